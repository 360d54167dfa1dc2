"""The dashboard: pages that hold no data, and what they ask for. Anybody may load the pages, for a browser sends no
token by itself; the token is asked for by the page, which sends it with everything that has data in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from gateway.admin import exchange
from gateway.admin.aside import Aside
from gateway.admin.drawing import Drawing
from gateway.admin.exchange import answer
from gateway.admin.guard import PAGES
from gateway.admin.stream import Stream
from gateway.admin.worker import NoAnswerError, Worker

if TYPE_CHECKING:
    from gateway.admin.census import Json
    from gateway.admin.view import View

FOLDER = Path(__file__).parent
KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
PLOTS_EVERY, EDGES_EVERY, ADVICE_EVERY = 5.0, 3.0, 300.0  # seconds, while somebody watches
ADVICE_OF = "6h"
WITHIN = 1.0  # seconds that the end waits for what is being looked for


class Dashboard:
    """One method a page. Starts and stops with the application."""

    def __init__(self, view: View, log: Path | None, worker: Worker, needs_token: bool) -> None:
        self._view = view
        self._log = log
        self._worker = worker
        self._files = read_files(needs_token, log is not None)
        self._drawing = Drawing()
        self._drawn = 0
        self._edges: Aside[list[Json]] = Aside(view.edges, EDGES_EVERY, [])
        self._plots: Aside[str] = Aside(self._draw_now, PLOTS_EVERY, "")
        self._advice: Aside[object] = Aside(self._advise, ADVICE_EVERY, [])
        self._stream = Stream(self._overview)

    def routes(self) -> list[web.RouteDef]:
        return [
            *[web.get(path, self.file) for path in self._files],
            web.get("/api/stream", self._stream.watch, allow_head=False),
            web.get("/api/overview", self.overview),
            web.get("/api/plots", self.plots),
            web.post("/api/draw", self.draw),
        ]

    async def lives(self, _: web.Application) -> None:
        self._view.start()

    async def ends(self, _: web.Application) -> None:
        self._view.stop()
        await asyncio.gather(
            self._stream.close(),
            self._drawing.close(),
            *[one.close(WITHIN) for one in (self._edges, self._plots, self._advice)],
        )

    async def file(self, request: web.Request) -> web.Response:
        body, kind = self._files[request.path]
        return web.Response(body=body, content_type=kind, charset="utf-8")

    async def overview(self, _: web.Request) -> web.Response:
        """What the stream has every second, once, without what is looked for less often."""
        return answer(await self._view.overview())

    async def plots(self, _: web.Request) -> web.Response:
        """The plots of the overview as they were drawn last."""
        return web.Response(text=self._plots.last, content_type="text/html")

    async def draw(self, request: web.Request) -> web.Response:
        """Plots of numbers that the page has."""
        try:
            html = await self._drawing.draw(await exchange.asked(request))
        except NoAnswerError as error:
            return answer({"error": str(error)}, error.status)
        return web.Response(text=html, content_type="text/html")

    async def _overview(self) -> Mapping[str, object]:
        found = await self._view.overview()
        self._plots.look()
        return {**found, "limits": self._edges.look(), "advice": self._advice.look(), "plots": self._drawn}

    async def _draw_now(self) -> str:
        html = await self._drawing.draw(await self._view.plots())
        self._drawn += 1
        return html

    async def _advise(self) -> object:
        if self._log is None:
            return []
        question = {"ask": "advice", "log": str(self._log), "since": ADVICE_OF}
        return (await self._worker.ask(question, lambda: self._stream.watched)).get("advice", [])


def read_files(needs_token: bool, has_log: bool) -> dict[str, tuple[bytes, str]]:
    """Everything that is served without being asked of anybody: path -> bytes and type."""
    layout = (FOLDER / "pages" / "layout.html").read_text("utf-8")
    layout = layout.replace("{token}", "needed" if needs_token else "no").replace("{log}", "yes" if has_log else "no")
    files = {path: (_page(layout, path, name), "text/html") for path, name in PAGES.items()}
    for file in sorted((FOLDER / "static").iterdir()):
        if file.suffix in KINDS:
            files[f"/static/{file.name}"] = (file.read_bytes(), KINDS[file.suffix])
    style = FOLDER.parent / "past" / "charts.css"
    return {**files, "/static/charts.css": (style.read_bytes(), KINDS[".css"])}


def _page(layout: str, path: str, name: str) -> bytes:
    main = (FOLDER / "pages" / f"{name}.html").read_text("utf-8")
    here = f'href=".{path}"'
    page = layout.replace(here, f'{here} aria-current="page"')
    return page.replace("{name}", name).replace("{title}", name.capitalize()).replace("{main}", main).encode()
