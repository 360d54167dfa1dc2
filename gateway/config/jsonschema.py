"""The JSON Schema of a configuration file, for editors: pydantic's, in the words of TOML, which has no null."""

from __future__ import annotations

from typing import Any

from gateway.config.schema import Document


def document_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the main file, with durations, sizes and secrets as the texts people write."""
    schema: dict[str, Any] = _without_null(Document.model_json_schema(by_alias=True, mode="validation"))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "gateway.toml"}


def _without_null(node: Any) -> Any:
    if isinstance(node, list):
        return [_without_null(item) for item in node]
    if not isinstance(node, dict):
        return node
    clean = {key: _without_null(value) for key, value in node.items() if not (key == "default" and value is None)}
    choices = clean.get("anyOf")
    if isinstance(choices, list) and {"type": "null"} in choices:
        rest = [choice for choice in choices if choice != {"type": "null"}]
        del clean["anyOf"]
        return {**clean, **rest[0]} if len(rest) == 1 else {**clean, "anyOf": rest}
    return clean
