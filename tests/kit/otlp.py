"""A collector on loopback, in a thread of its own: takes OTLP over HTTP as protobuf, decodes all of it and keeps what
came. It can fail (`status`), answer more than it should (`endless`), speak TLS, or take requests and say nothing for as
long as its `gate` is closed.
"""

from __future__ import annotations

import gzip
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

KINDS: dict[str, Any] = {
    "/v1/traces": ExportTraceServiceRequest,
    "/v1/metrics": ExportMetricsServiceRequest,
    "/v1/logs": ExportLogsServiceRequest,
}


class Collector:
    """What came, oldest first: `requests` are (path, header fields, decoded message), `raw` is every byte of bodies."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        self.raw = b""
        self.status = 200
        self.endless = b""  # a piece of body, sent every millisecond for as long as somebody reads
        self.gate = threading.Event()
        self.gate.set()
        self.asked = 0  # requests begun, answered or not
        self.port = 0
        self.url = ""

    def messages(self, path: str) -> list[Any]:
        return [message for where, _, message in list(self.requests) if where == path]

    @property
    def resources(self) -> list[dict[str, Any]]:
        """The attributes of every resource that sent spans."""
        found = (each.resource for message in self.messages("/v1/traces") for each in message.resource_spans)
        return [attributes(resource) for resource in found]

    @property
    def spans(self) -> list[Any]:
        batches = (each for message in self.messages("/v1/traces") for each in message.resource_spans)
        return [span for batch in batches for scope in batch.scope_spans for span in scope.spans]

    @property
    def metrics(self) -> list[Any]:
        """Every metric of every export: the same one comes again and again."""
        batches = (each for message in self.messages("/v1/metrics") for each in message.resource_metrics)
        return [metric for batch in batches for scope in batch.scope_metrics for metric in scope.metrics]

    @property
    def logs(self) -> list[Any]:
        batches = (each for message in self.messages("/v1/logs") for each in message.resource_logs)
        return [record for batch in batches for scope in batch.scope_logs for record in scope.log_records]


def plain(value: Any) -> Any:
    """An AnyValue as Python has it."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain(one) for one in value.array_value.values]
    if kind == "kvlist_value":
        return {each.key: plain(each.value) for each in value.kvlist_value.values}
    return getattr(value, kind) if kind else None


def attributes(holder: Any) -> dict[str, Any]:
    """The attributes of a span, event, link, resource, data point or log record."""
    return {each.key: plain(each.value) for each in holder.attributes}


def _handler(collector: Collector) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            collector.asked += 1
            collector.gate.wait()
            if collector.status == 200:
                collector.raw += body
                message = KINDS[self.path].FromString(body)
                collector.requests.append((self.path, dict(self.headers.items()), message))
            self.send_response(collector.status)
            self.send_header("Content-Type", "application/x-protobuf")
            if not collector.endless:
                self.send_header("Content-Length", "0")
            try:
                self.end_headers()
                while collector.endless:
                    self.wfile.write(collector.endless)
                    time.sleep(0.001)
            except OSError:
                self.close_connection = True  # it has stopped waiting

        def log_message(self, *args: Any) -> None:
            """Says nothing."""

    return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A gateway that broke off is no news."""


class _Server6(_Server):
    address_family = socket.AF_INET6


@contextmanager
def collector(port: int = 0, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> Iterator[Collector]:
    """A collector that listens on loopback until the block is left."""
    found = Collector()
    server = (_Server6 if ":" in host else _Server)((host, port), _handler(found))
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    found.port = server.server_address[1]
    found.url = f"http{'s' if tls else ''}://{f'[{host}]' if ':' in host else host}:{found.port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        found.gate.set()
        server.shutdown()
        server.server_close()
        thread.join()
