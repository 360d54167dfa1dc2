"""Connections that take their time: heads, TLS hellos and bodies at a byte a second, readers that take nothing. Each is
cut by its own clock and recorded, and a hundred honest polls do not notice (row 22).
"""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from pathlib import Path

from tests.bench.wire import request, status
from tests.kit.certificates import make_certificate

from .abuse import HONEST, Honest, compare, deep_stage
from .abuse_attack import PATIENCE, Attack, attacking
from .sheet import Sheet
from .stage import Chaos
from .waiting import reached

ROUNDS = 8
CLOCK, BODY_CLOCK = 2.0, 0.5  # seconds; that of a body is shorter than the pause between two bytes
SERVER = f"""
header_timeout = "{CLOCK:g}s"
body_idle_timeout = "{BODY_CLOCK * 1e3:g}ms"
keepalive_timeout = "{CLOCK:g}s"
write_idle_timeout = "{CLOCK:g}s"
"""


async def _under(sheet: Sheet, on: Chaos, attack: Attack) -> None:
    """Honest polls in peace, then under the attack, until everybody was cut off."""
    honest = Honest(on)
    await honest.dial()
    idle = await honest.wakes(ROUNDS)
    sheet.step(f"{attack.number:,} slow connections, which come back when they are cut off")
    async with attacking(attack):
        attacked = await honest.wakes(ROUNDS)
        await reached(lambda: len(attack.ended) >= attack.number, PATIENCE)
    honest.leave()
    compare(sheet, honest, idle, attacked)


def _cut(sheet: Sheet, attack: Attack, status: str, after: float) -> None:
    """Every slow one was cut by its clock: neither sooner nor much later."""
    seen = dict(Counter(one.status for one in attack.ended))
    all_of_them = set(seen) == {status} and len(attack.ended) >= attack.number and not attack.open
    sheet.check("cut off with", seen | {"open": len(attack.open)}, all_of_them, f"{status or 'no answer'}, all")
    took = sorted(one.took for one in attack.ended)
    sheet.check("the first was cut after", f"{took[0]:.2f} s", took[0] >= after * 0.95, f"about {after:g} s")
    sheet.within("the last was cut after", took[-1], after + 1.0)


async def _recorded(sheet: Sheet, on: Chaos, number: int) -> None:
    def found() -> int:
        return sum(record["outcome"] == "client_timeout" for record in on.records())

    await reached(lambda: found() >= number, 5)
    sheet.check("records of them", found(), found() == number, f"{number}")


async def heads(sheet: Sheet, folder: Path) -> None:
    """Heads that never end."""
    async with deep_stage(folder, SERVER) as (on, _):
        attack = Attack(on.port, lambda: b"GET /now HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        await _under(sheet, on, attack)
        _cut(sheet, attack, "408", CLOCK)
        await _recorded(sheet, on, len(attack.ended))


async def bodies(sheet: Sheet, folder: Path) -> None:
    """Bodies that never end, sent with good tokens."""
    async with deep_stage(folder, SERVER) as (on, deep):
        head = "POST /deep/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\nAuthorization: Bearer {}\r\n\r\n"
        attack = Attack(on.port, lambda: head.format(next(on.tokens)).encode())
        await _under(sheet, on, attack)
        _cut(sheet, attack, "408", BODY_CLOCK)
        await _recorded(sheet, on, len(attack.ended))
        sheet.within("the last upstream connection was freed after", await deep.freed(), 1)


async def readers(sheet: Sheet, folder: Path) -> None:
    """Readers that take nothing of an answer of 1 MiB."""
    async with deep_stage(folder, SERVER) as (on, deep):
        ask = "GET /deep/1048576 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n"
        attack = Attack(on.port, lambda: ask.format(next(on.tokens)).encode(), reads=False)
        await _under(sheet, on, attack)
        await _recorded(sheet, on, len(attack.ended))
        took = sorted(float(str(record["took"])) for record in on.records() if record["outcome"] == "client_timeout")
        sheet.check("the first was cut after", f"{took[0]:.2f} s", took[0] >= CLOCK * 0.95, f"about {CLOCK:g} s")
        sheet.within("the last was cut after", took[-1], 2 * CLOCK + 1)  # taking a little begins the time anew
        sheet.within("the last upstream connection was freed after", await deep.freed(), 1)


RANGES = ",".join(f"{at}-{at}" for at in range(1200))
ODD = [  # as requests, each with a token, and the status each must get
    ("GET /now HTTP/1.1\r\nHost: x\r\nRange: bytes=" + RANGES, "200"),
    ("GET http://x/now HTTP/1.1\r\nHost: x", "200"),
    ("GET /now HTTP/1.1", "400"),
    ("GET /now HTTP/1.1\r\nHost: x\r\nHost: y", "400"),
    ("GET /now HTTP/1.1\r\nHost : x", "400"),
    ("GET /now#a HTTP/1.1\r\nHost: x", "400"),
    ("TRACE /now HTTP/1.1\r\nHost: x", "405"),
    ("BREW /now HTTP/1.1\r\nHost: x", "501"),
    ("GET /now HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked", "501"),
    ("GET /now HTTP/9.9\r\nHost: x", "505"),
    ("GET /now HTTP/1.1\r\nHost: x\r\nExpect: miracles", "417"),
    ("GET /nowhere HTTP/1.1\r\nHost: x", "404"),
    ("GET /" + "a" * 9000 + " HTTP/1.1\r\nHost: x", "414"),
    ("GET /now HTTP/1.1\r\nHost: x\r\nX: " + "a" * 17000, "431"),
]


async def odd(sheet: Sheet, folder: Path) -> None:
    """Ranges by the thousand and requests that are none, a thousand a second; kept connections say nothing more."""
    sent: Counter[str] = Counter()

    def wire() -> bytes:
        text, wanted = ODD[sent.total() % len(ODD)]
        sent[wanted] += 1
        return f"{text}\r\nAuthorization: Bearer {next(on.tokens)}\r\n\r\n".encode()

    async with deep_stage(folder, SERVER) as (on, _):
        attack = Attack(on.port, wire, rest=b"")
        await _under(sheet, on, attack)
        seen = Counter(one.status for one in attack.ended)
        sheet.check(
            "odd requests answered with", dict(sorted(seen.items())), seen == sent, f"{dict(sorted(sent.items()))}"
        )
        number = sent.total()
        await reached(lambda: sum(record["route"] != "poll" for record in on.records()) >= number, 5)
        found = sum(record["route"] != "poll" for record in on.records())
        sheet.check("records of them", found, found == number, f"{number}")


async def hellos(sheet: Sheet, folder: Path) -> None:
    """TLS handshakes that never end, while others shake hands and are answered."""
    certificate = make_certificate(folder / "tls", "127.0.0.1")
    tls = f'tls = {{ cert = "file:{certificate.cert}", key = "file:{certificate.key}" }}\n'
    async with deep_stage(folder, SERVER + tls) as (on, _):
        hello = _hello(certificate.client())
        attack = Attack(on.port, lambda: hello[:5], hello[5:])
        sheet.step(f"{attack.number:,} slow TLS handshakes, which come back when they are cut off")
        async with attacking(attack):
            asked = [_ask(on.port, certificate.client(), request("/now", next(on.tokens))) for _ in range(HONEST)]
            said = dict(Counter([await one for one in asked]))
            await reached(lambda: len(attack.ended) >= attack.number, PATIENCE)
        sheet.check("honest requests over TLS", said, said == {200: HONEST}, f"{HONEST} x 200")
        _cut(sheet, attack, "", CLOCK)


def _hello(context: ssl.SSLContext) -> bytes:
    """What a TLS client says first."""
    out = ssl.MemoryBIO()
    try:
        context.wrap_bio(ssl.MemoryBIO(), out, server_hostname="127.0.0.1").do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()


async def _ask(port: int, context: ssl.SSLContext, wire: bytes) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    writer.write(wire)
    found = status(await reader.readuntil(b"\r\n\r\n"))
    writer.close()
    return found
