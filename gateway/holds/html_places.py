"""Where in an HTML page a value may stand that somebody else wrote: in text, in a comment and in a quoted attribute.
Belongs here: finding the others, where escaping it is not enough: scripts, styles, tags and names.
"""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Final

PROBE: Final = "zqa zqb"  # stands for a value: two words, so that a place without quotes tears it apart


def takes_values(page: str) -> bool:
    """Whether everything that is filled in stands where it can be escaped; the PROBE is filled in."""
    found = _Places()
    found.feed(page)
    found.close()
    return found.safe == page.count(PROBE)


class _Places(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.safe = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.safe += sum((value or "").count(PROBE) for name, value in attrs if not name.startswith("on"))

    def handle_data(self, data: str) -> None:
        if self.cdata_elem is None:
            self.safe += data.count(PROBE)

    def handle_comment(self, data: str) -> None:
        self.safe += data.count(PROBE)
