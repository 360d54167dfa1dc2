"""What stands over the table for a moment: whether a poll shall end, and which keys there are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from gateway.top.view import seconds, text

KEYS = """\
/          filter: what you type is looked for in id, route, consumer, tenant, peer and path
Escape     no filter
1 to 7     sort by this column; again: the other way round
up, down   select a poll
e          end the selected poll in "no news", after asking you
t          the routes instead of the calls, and back
w          the workers, where several serve, and back
q          leave"""

_FRAME = """
{name} {{ align: center middle; }}
{name} > Vertical {{ width: auto; max-width: 100%; height: auto; padding: 1 2; border: solid $foreground; }}
{name} Static {{ width: auto; max-width: 100%; }}
{name} Horizontal {{ height: auto; width: auto; margin-top: 1; }}
{name} Button {{ margin-right: 2; }}
{name} Button:focus {{ text-style: reverse bold; }}
"""


class Confirm(ModalScreen[bool]):
    """Asks before a poll ends. The answer that changes nothing has the focus."""

    CSS = _FRAME.format(name="Confirm")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "end it"),
        Binding("n,escape", "answer(False)", "let it wait"),
    ]

    def __init__(self, call: Mapping[str, Any]) -> None:
        super().__init__()
        self._call = call

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(question(self._call), markup=False)
            with Horizontal():
                yield Button("Let it wait (n)", id="no")
                yield Button("End it (y)", id="yes")

    def on_button_pressed(self, pressed: Button.Pressed) -> None:
        self.dismiss(pressed.button.id == "yes")

    def action_answer(self, yes: bool) -> None:
        self.dismiss(yes)


class Help(ModalScreen[None]):
    """The keys."""

    CSS = _FRAME.format(name="Help")
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,enter,question_mark", "dismiss", "back")]

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(KEYS, markup=False)


def question(call: Mapping[str, Any]) -> str:
    who = text(call.get("consumer")) if call.get("consumer") else f"a stranger at {text(call.get('peer'))}"
    return f'End this poll in "no news"?\n\n{text(call.get("route"))}: {who}, for {seconds(call.get("since"))}'
