"""What every settings table has in common: unknown keys are errors, values are frozen, defaults are written the way
a person would write them. Settings have no behaviour.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Table(BaseModel):
    """One TOML table."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, hide_input_in_errors=True)
