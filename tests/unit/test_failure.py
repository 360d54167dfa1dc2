"""What a failed connect is called: whose fault it was decides who is blamed and what the client is told."""

from __future__ import annotations

import errno
import ssl

import pytest

from gateway.outcome import ENDINGS, Blame
from gateway.upstream.failure import of_connect

CASES = [
    (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), 502, Blame.UPSTREAM, "ConnectionRefusedError"),
    (OSError(errno.EHOSTUNREACH, "no route"), 502, Blame.UPSTREAM, "OSError"),
    (UnicodeError("label too long"), 502, Blame.UPSTREAM, "UnicodeError"),
    (TimeoutError(), 504, Blame.UPSTREAM, "timeout"),
    (ssl.SSLCertVerificationError(1, "self-signed"), 502, Blame.UPSTREAM, "tls"),
    (OSError(errno.EMFILE, "Too many open files"), 503, Blame.GATEWAY, "descriptors"),
    (OSError(errno.ENFILE, "File table overflow"), 503, Blame.GATEWAY, "descriptors"),
    (OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address"), 503, Blame.GATEWAY, "ports"),
]


@pytest.mark.parametrize(("error", "status", "blame", "note"), CASES, ids=[case[3] for case in CASES])
def test_a_failed_connect_has_a_status_and_somebody_to_blame(
    error: Exception, status: int, blame: Blame, note: str
) -> None:
    refusal, said = of_connect(error)
    assert (refusal.status, ENDINGS[refusal.outcome].blame, said) == (status, blame, note)


def test_a_machine_without_ipv6_has_not_run_out_of_ports() -> None:
    refusal, _ = of_connect(OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address"), "::1")
    assert ENDINGS[refusal.outcome].blame is Blame.UPSTREAM
