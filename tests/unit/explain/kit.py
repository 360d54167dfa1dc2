"""A configuration with the three shipped policies, and requests explained in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.settings import Config
from gateway.explain.gather import explain
from gateway.explain.model import Event, Explanation
from gateway.explain.model_hold import HoldStory
from gateway.explain.request import describe
from gateway.identity.issue import issue

from ..config import kit
from ..config.kit import JWT, SECRET

NOW = 1_800_000_000.0
KEY = "an-upstream-key-nobody-may-see"
ENVIRON = {"SECRET": SECRET, "KEY": KEY}
UPSTREAM = """
[upstream.u]
endpoints = ["http://127.0.0.1:5000", "http://127.0.0.1:5001"]
balance = "round-robin"
identity = { consumer = "Gateway-Consumer", tenant = "Gateway-Tenant" }
headers = { set = { X-Api-Key = "env:KEY", X-Served-By = "gateway", X-Auth = "plain-but-telling" } }
"""
ROUTES = """
[policy.signed.jwt]
provider = "main"
scopes = ["updates:read"]
[policy.web.cors]
origins = ["https://app.example.com"]
[policy.inside.allow_list]
addresses = ["10.0.0.0/8"]
[[route]]
name = "updates"
match = { host = "api.example.com", path = "/updates", methods = ["GET"] }
upstream = "u"
policies = ["cursor-updates", "signed", "web"]
[[route]]
name = "article"
match = { host = "api.example.com", path = "/article" }
upstream = "u"
policies = ["article-updates"]
[[route]]
name = "doc"
match = { host = "api.example.com", path = "/doc/{id}" }
upstream = "u"
rewrite = "/v2/{id}"
policies = ["prefer-wait"]
[[route]]
name = "plain"
match = { host = "*.example.org", path = "/plain/**", methods = ["POST"] }
upstream = "u"
policies = ["inside"]
"""
WHOLE = UPSTREAM + JWT.replace("algorithms", 'tenant = "tenant"\nalgorithms') + ROUTES
POLL = "/updates?last_event_id=41"


def configured(folder: Path, monkeypatch: pytest.MonkeyPatch, more: str = "", **changed: str) -> Config:
    text = WHOLE
    for old, new in changed.items():
        text = text.replace(f'policies = ["{old}"]', new)
    for name, value in ENVIRON.items():
        monkeypatch.setitem(kit.ENVIRON, name, value)
    return kit.sound(folder, text + more)


def token(config: Config, ttl: float = 3600.0, scope: str = "updates:read", now: float = NOW) -> str:
    return issue(config.jwt["main"], "alice", ttl, {"scope": scope, "tenant": "acme"}, now=now, environ=ENVIRON)


def told(config: Config, url: str, *headers: tuple[str, str], method: str = "GET", data: str | None = None,
         bearer: str | None = "", peer: str = "127.0.0.1", every: bool = False) -> Explanation:  # fmt: skip
    """An explanation; signed by alice unless `bearer` says otherwise."""
    signed = token(config) if bearer == "" else bearer
    fields = headers if signed is None else (*headers, ("Authorization", f"Bearer {signed}"))
    body = data.encode("utf-8", "surrogateescape") if data is not None else None
    return explain(config, describe(method, url, fields, body, peer), NOW, every, ENVIRON)


def talking(folder: Path, monkeypatch: pytest.MonkeyPatch, hold: str, path: str = "/p") -> Config:
    """The configuration with one more route, for any host, whose dialect is written in `hold`."""
    route = f'[[route]]\nname = "talk"\nmatch = {{ host = "talk", path = "{path}" }}\nupstream = "u"\n'
    return configured(folder, monkeypatch, f"{route}[route.hold]\n{hold}\n")


def asked(config: Config, target: str = "/p", *headers: tuple[str, str], data: str | None = None,
          method: str = "POST", peer: str = "192.0.2.7") -> Explanation:  # fmt: skip
    """A request to that route, by nobody in particular."""
    return told(config, f"http://talk{target}", *headers, method=method, data=data, bearer=None, peer=peer)


def width(text: str, config: Config) -> int:
    """The longest line, as if the file lay at hand: its path is never broken, however long it is."""
    return max(map(len, text.replace(str(config.path), config.path.name).splitlines()))


def says(story: Explanation, name: str) -> list[str]:
    """What the rules of that name say."""
    return [rule.says for rule in story.rules if rule.name == name]


def hold_of(story: Explanation) -> HoldStory:
    assert story.hold is not None
    return story.hold


def event(story: Explanation, name: str) -> Event:
    return next(each for each in story.events if each.name.startswith(name))


def first_line(story: Explanation) -> str:
    assert story.forwarded is not None
    return story.forwarded.lines[0]
