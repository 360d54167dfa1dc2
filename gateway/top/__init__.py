"""`gateway top`: what a running gateway holds now, live in a terminal. A client of the admin listener like others."""

from gateway.top.command import top_command

__all__ = ["top_command"]
