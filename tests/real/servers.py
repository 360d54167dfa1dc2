"""Long-poll servers as people write them with Flask: one thread per held request, HTTP/1.0 of werkzeug. One keeps its
history and is asked with a cursor; the other is the tutorials' kind, one queue that whoever polls empties.
"""

from __future__ import annotations

import contextlib
import itertools
import queue
import threading
from collections.abc import Iterator

from flask import Flask, Response, jsonify, request
from werkzeug.serving import WSGIRequestHandler, make_server

HOLD = 0.3  # seconds


class Quiet(WSGIRequestHandler):
    """Werkzeug without its access log."""

    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002 - werkzeug's name
        pass


class Server:
    """What both kinds share. `empty` is the form of no news: 204 or `[]`; `failing` polls get a 503 first."""

    def __init__(self, empty: str = "[]", failing: int = 0) -> None:
        self.empty = empty
        self.failing = failing
        self.idle = 0  # polls that ended in no news
        self.polls = 0
        self.port = 0
        self.lock = threading.Lock()

    def publish(self, item: int) -> None:
        raise NotImplementedError

    def take(self) -> list[dict[str, int]]:
        """Holds the current request until there is news or HOLD has passed."""
        raise NotImplementedError

    def updates(self) -> Response:
        with self.lock:
            self.polls += 1
            self.failing -= 1
            if self.failing >= 0:
                return Response("try later", 503)
        if items := self.take():
            return jsonify(items)
        with self.lock:
            self.idle += 1
        return Response(status=204) if self.empty == "204" else jsonify([])


class History(Server):
    """`GET /updates?last_event_id=N` waits for items after N; nothing is ever taken away."""

    def __init__(self, empty: str = "[]", failing: int = 0) -> None:
        super().__init__(empty, failing)
        self.items: list[dict[str, int]] = []
        self.news = threading.Condition()

    def publish(self, item: int) -> None:
        with self.news:
            self.items.append({"id": len(self.items) + 1, "item": item})
            self.news.notify_all()

    def take(self) -> list[dict[str, int]]:
        after = int(request.args.get("last_event_id", "0"))
        with self.news:
            self.news.wait_for(lambda: len(self.items) > after, HOLD)
            return self.items[after:]


class OneQueue(Server):
    """`GET /updates` takes what is in the queue; who left before the answer has lost it."""

    def __init__(self, empty: str = "[]", failing: int = 0) -> None:
        super().__init__(empty, failing)
        self.queue: queue.Queue[dict[str, int]] = queue.Queue()
        self.numbers = itertools.count(1)

    def publish(self, item: int) -> None:
        self.queue.put({"id": next(self.numbers), "item": item})

    def take(self) -> list[dict[str, int]]:
        items: list[dict[str, int]] = []
        with contextlib.suppress(queue.Empty):
            items.append(self.queue.get(timeout=HOLD))
            while True:
                items.append(self.queue.get_nowait())
        return items


@contextlib.contextmanager
def serving(server: Server, port: int = 0) -> Iterator[Server]:
    """Runs a server in threads of this process, on a free port unless one is given."""
    app = Flask(__name__)
    app.add_url_rule("/updates", view_func=server.updates)
    web = make_server("127.0.0.1", port, app, threaded=True, request_handler=Quiet)
    server.port = web.server_port
    thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        web.shutdown()
        thread.join()
        web.server_close()
