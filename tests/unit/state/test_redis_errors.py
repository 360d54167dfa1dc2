"""What goes wrong with a Redis server, as a table: what it says or what fails, and how that is called."""

from __future__ import annotations

import socket
import ssl

import pytest
from hiredis import ProtocolError, ReplyError
from redis.exceptions import AuthenticationError, InvalidResponse, NoPermissionError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError

from gateway.config.states import parse_state
from gateway.state.redis_errors import REMEDIES, LostError, kind_of, sentence
from gateway.state.redis_session import Where

WHERE = Where(parse_state("redis://localhost"), "gateway", "hunter2")


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("user_script:31: WRONGTYPE Operation against a key holding the wrong kind of value", "wrongtype"),
        ("-OOM command not allowed when used memory > 'maxmemory'.", "oom"),
        ("READONLY You can't write against a read only replica.", "readonly"),
        ("MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist", "misconf"),
        ("NOREPLICAS Not enough good replicas to write.", "noreplicas"),
        ("MOVED 3999 127.0.0.1:6381", "moved"),
        ("ASK 3999 127.0.0.1:6381", "moved"),
        ("CLUSTERDOWN Hash slot not served", "clusterdown"),
        ("LOADING Redis is loading the dataset in memory", "loading"),
        ("BUSY Redis is busy running a script.", "busy"),
        ("MASTERDOWN Link with MASTER is down", "masterdown"),
        (ReplyError("NOSCRIPT No matching script. Please use EVAL."), "noscript"),
        (ReplyError("NOPERM this user has no permissions to run the 'evalsha' command"), "noperm"),
        (NoPermissionError("NOPERM this user has no permissions to run the 'hello' command"), "noperm"),
        (ReplyError("ERR something nobody knows"), "other"),
        (ResponseError("DB index is out of range"), "database"),
        (ResponseError("unknown command `HELLO`, with args beginning with: `3`, "), "old"),
        (AuthenticationError("invalid username-password pair or user is disabled."), "wrongpass"),
        (AuthenticationError("HELLO must be called with the client already authenticated"), "noauth"),
        (InvalidResponse("Protocol error, got \"H\" as reply type byte"), "not redis"),
        (ProtocolError("Protocol error, got \"H\" as reply type byte"), "not redis"),
        (caused(RedisConnectionError("Error 1 connecting"), ssl.SSLCertVerificationError("no")), "certificate"),
        (caused(RedisConnectionError("Error 1 connecting"), ssl.SSLError("wrong version number")), "tls"),
        (caused(RedisConnectionError("Error -2 connecting to nowhere"), socket.gaierror(-2, "not known")), "name"),
        (caused(RedisConnectionError("Error 111 connecting"), ConnectionRefusedError(111, "refused")), "refused"),
        (RedisConnectionError("Error 113 connecting to 10.0.0.1:6379. No route to host."), "unreachable"),
        (RedisConnectionError("Connection closed by server."), "plain"),
        (TimeoutError(), "timeout"),
        (LostError("timeout"), "timeout"),
        (LostError("forgotten"), "forgotten"),
        (LostError("READONLY"), "readonly"),
        (LostError("connection lost: [Errno 32] Broken pipe"), "lost"),
        (RedisConnectionError("Redis is loading the dataset in memory"), "loading"),
        (RedisConnectionError("max number of clients reached"), "clients"),
        (RedisConnectionError("DENIED Redis is running in protected mode because protected mode is"), "protected"),
        (ResponseError("SELECT is not allowed in cluster mode"), "moved"),
        ("TRYAGAIN Multiple keys request during rehashing of slot", "moved"),
        ("@user_script: 63: The user executing the script can't run this command or subcommand", "noperm"),
        ("ACL failure in script: User gw has no permissions to run the 'zadd' command script: f_0", "noperm"),
        (ValueError("it answers with something else"), "garbage"),
    ],
)  # fmt: skip
def test_what_goes_wrong_has_a_name_and_a_remedy(error: Exception | str, kind: str) -> None:
    assert kind_of(error) == kind
    assert sentence(WHERE, kind, error).startswith(f"state.url: redis://localhost:6379/0: {REMEDIES[kind]}")


def test_what_nobody_knows_is_told_as_it_is_but_not_at_length() -> None:
    assert sentence(WHERE, "other", "ERR strange").endswith("see what its log says (ERR strange)")
    assert len(sentence(WHERE, "other", "x" * 10_000)) < 400


def test_what_a_stranger_says_forges_no_line_and_tells_no_secret() -> None:
    said = sentence(WHERE, "other", "ERR what is\r\nWARNING all is well \x1b[2J\u202e: AUTH gateway hunter2?")
    assert said.isprintable() and "hunter2" not in said and "AUTH gateway ***?" in said
