"""Identity providers: exactly one source of keys, read the way the gateway will read it, and what they leave open."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gateway.config.checks.finding import Finding, Findings, Notice, View
from gateway.config.checks.reading import check_secret, said
from gateway.config.problems import Problem
from gateway.config.references import read_secret, read_text
from gateway.config.schema import JwtProvider

SOURCES = ("secret", "public_key", "jwks")


def check_providers(view: View) -> Findings:
    """The keys of every provider, and a notice for one that takes tokens of any issuer or audience."""
    for name, provider in view.config.jwt.items():
        yield from _provider(view, name, provider)


def _provider(view: View, name: str, provider: JwtProvider) -> Findings:
    keys = provider.keys
    given = [source for source in SOURCES if getattr(keys, source) is not None]
    if len(given) != 1:
        what = "names no key to verify with" if not given else f"names {' and '.join(given)}"
        yield view.at("jwt", name, "keys", f"{what}; write exactly one of secret, public_key and jwks")
    for source in given:
        yield from _key(view, name, provider, source)
    if keys.private_key is not None:
        yield from _private_key(view.at("jwt", name, "keys.private_key", ""), keys.private_key)
    if provider.issuer is None or not provider.audience:
        missing = " and ".join(
            each for each, value in (("issuer", provider.issuer), ("audience", provider.audience)) if not value
        )
        text = f"tokens of any {missing} are accepted; write {missing.replace(' and ', ' = .. and ')} = .."
        yield Notice(view.at("jwt", name, "", text))


def _key(view: View, name: str, provider: JwtProvider, source: str) -> Iterator[Finding]:
    """Reads one source of keys the way the gateway will, with every rule about lengths and curves."""
    from gateway.identity.keys import KeySet

    at = view.at("jwt", name, f"keys.{source}", "")
    shared = source == "secret"
    if source != "jwks" and shared != provider.algorithms[0].startswith("HS"):
        fitting = "HS256" if shared else "RS256, ES256 or EdDSA"
        yield said(at, f"does not fit algorithms; write algorithms with {fitting}, or another kind of key")
        return
    try:
        if provider.keys.secret is not None and shared:
            if provider.keys.secret.kind == "literal":
                yield from check_secret(view, at, provider.keys.secret)
            text = read_secret(provider.keys.secret, view.environ)
            KeySet.from_secret(text.encode(), provider.algorithms, "keys")
            return
        text = read_text(getattr(provider.keys, source))
        make = KeySet.from_jwks if source == "jwks" else KeySet.from_public_key
        for notice in make(text.encode(), provider.algorithms, "keys").notices:
            yield Notice(said(at, notice.removeprefix("keys: ")))
    except ValueError as error:
        yield said(at, str(error).removeprefix("keys: "))


def _private_key(at: Problem, path: Path) -> Iterator[Finding]:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        load_pem_private_key(read_text(path).encode(), password=None)
    except (TypeError, UnsupportedAlgorithm):
        yield said(at, "is encrypted or of an unknown kind; name a plain PEM private key")
    except ValueError as error:
        known = str(error) if "; " in str(error) else "is not a PEM private key; name one"
        yield said(at, known)
