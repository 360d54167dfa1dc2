"""Addresses as people write them: where to listen, networks, URLs of endpoints, origins. Pure parsers.
Every error is a ValueError whose text is "what is wrong; what to write instead".
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from gateway.config.durations import quoted

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9])?")
_UNIX_LIMIT = 107  # bytes of sun_path on Linux, less its closing zero
_PATH = re.compile(r"(/[A-Za-z0-9._~!$&'()*+,=:@%-]*)*")  # RFC 3986 3.3, less ";"
_SIGNAL = re.compile(r"/v1/(?:traces|metrics|logs)$")


@dataclass(frozen=True, slots=True)
class Listen:
    """One place to listen: a TCP host and port, the absolute path of a unix socket (then `host` is ""), or the number
    of a descriptor that whoever starts the process has opened (then there is neither)."""

    host: str
    port: int
    path: str | None = None
    fd: int | None = None

    def __str__(self) -> str:
        if self.fd is not None:
            return f"fd:{self.fd}"
        if self.path is not None:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class EndpointUrl:
    """An upstream address. `path` is the prefix put before every forwarded path, "" for none."""

    scheme: str
    host: str
    port: int
    path: str = ""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"


def parse_listen(value: object, base: Path) -> Listen:
    """`"127.0.0.1:8080"`, `"[::]:8443"`, `"unix:/run/gateway.sock"` (relative to `base`), `"fd:3"`. Port 0 takes a free
    one."""
    if not isinstance(value, str):
        raise ValueError('is not an address; write text in quotes, such as "127.0.0.1:8080"')
    if value.startswith("fd:"):
        return _parse_descriptor(value[3:])
    if value.startswith("unix:"):
        return _parse_unix(value[5:], base)
    host, port = split_port(value)
    if not host and not value.isdigit() and _is_host(value):
        raise ValueError(f'{quoted(value)} names no port; write "{value}:8080"')
    if host in ("", "*"):
        raise ValueError(f'{quoted(value)} names no host; write "0.0.0.0:{port or 8080}" to listen on every address')
    if port is None or not _is_host(host):
        raise ValueError(f'{quoted(value)} is not an address; write "HOST:PORT", such as "127.0.0.1:8080"')
    return Listen(host, port)


def parse_socket(value: object, base: Path) -> Listen:
    """`"unix:/run/gateway/control.sock"` (relative to `base`), and nothing else."""
    if not isinstance(value, str) or not value.startswith("unix:"):
        raise ValueError('is not a unix socket; write "unix:/run/gateway/control.sock"')
    return _parse_unix(value[5:], base)


def _parse_descriptor(number: str) -> Listen:
    """systemd's sockets begin at 3 (sd_listen_fds(3)); what is below is somebody else's."""
    if not re.fullmatch("[0-9]{1,4}", number) or int(number) < 3:
        raise ValueError('is no descriptor of a socket; write "fd:3" for the first that systemd hands over')
    return Listen("", 0, fd=int(number))


def _parse_unix(where: str, base: Path) -> Listen:
    path = str((base / where).absolute())
    if not where or "\0" in where:
        raise ValueError('names no socket; write "unix:/run/gateway.sock"')
    if len(path.encode()) > _UNIX_LIMIT:
        raise ValueError(f"the socket path is longer than {_UNIX_LIMIT} bytes; write a shorter one")
    return Listen("", 0, path)


def split_port(value: str) -> tuple[str, int | None]:
    """("host", port) of `host:port` or `[v6]:port`; the port is None when there is none or it is no port."""
    host, _, port = value.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:  # an IPv6 address without brackets has no unambiguous port
        return value, None
    number = int(port) if re.fullmatch("[0-9]{1,5}", port) else -1
    return host, number if 0 <= number <= 65535 else None


def _is_host(host: str) -> bool:
    try:
        return bool(ipaddress.ip_address(host))
    except ValueError:
        return _HOST.fullmatch(host) is not None and not host.replace(".", "").isdigit()


def is_name(host: str) -> bool:
    """Whether it must be looked up: no address is, nor is this machine's own name, which every dial knows."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host.lower() != "localhost"
    return False


def is_loopback(listen: Listen) -> bool:
    """Whether only this machine can reach it: a unix socket, 127.0.0.0/8, ::1 or "localhost"."""
    if listen.path is not None or listen.host == "localhost":
        return True
    if listen.fd is not None:  # whoever opened it decided that, and may decide otherwise tomorrow
        return False
    try:
        return ipaddress.ip_address(listen.host).is_loopback
    except ValueError:
        return False


def parse_network(value: object) -> str:
    """`"10.0.0.0/8"` or one address, in canonical form. Host bits set are an error, not silently dropped."""
    if not isinstance(value, str):
        raise ValueError('is not a network; write text in quotes, such as "10.0.0.0/8"')
    try:
        loose = ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise ValueError(
            f'{quoted(value)} is not a network; write an address or a range, such as "10.0.0.0/8"'
        ) from None
    if ipaddress.ip_address(value.partition("/")[0]) != loose.network_address:
        raise ValueError(f'{quoted(value)} has bits set behind its length; write "{loose}"')
    return str(loose)


def parse_endpoint(value: object) -> EndpointUrl:
    """`"http://127.0.0.1:5000"` or `"https://host/prefix"` as an EndpointUrl with its port filled in."""
    if not isinstance(value, str):
        raise ValueError('is not a URL; write text in quotes, such as "http://127.0.0.1:5000"')
    try:
        url = urlsplit(value)
        host, port = url.hostname or "", url.port
    except ValueError:
        host, port, url = "", None, urlsplit("")
    if url.scheme not in ("http", "https") or not _is_host(host) or port == 0 or "?" in value or "#" in value:
        raise ValueError(f'{quoted(value)} is not an upstream URL; write "http://HOST:PORT" or "https://HOST:PORT"')
    if "@" in url.netloc:
        raise ValueError("the URL carries a password; remove it and use headers = { set = { Authorization = .. } }")
    path = url.path.rstrip("/")
    if not _PATH.fullmatch(path) or "//" in path or any(part in (".", "..") for part in path.split("/")):
        raise ValueError(f'the path of {quoted(value)} is not canonical; write it plain, such as "http://host:5000/v2"')
    return EndpointUrl(url.scheme, host, port or (443 if url.scheme == "https" else 80), path)


def parse_collector(value: object) -> EndpointUrl:
    """`"http://127.0.0.1:4318"`: a collector of OpenTelemetry, to whose address `/v1/traces` and its like are added."""
    if isinstance(value, str) and "@" in value:
        raise ValueError("the URL carries a password; remove it and use headers = { Authorization = .. }")
    try:
        url = parse_endpoint(value)
    except ValueError:
        said = f"{quoted(value)} is" if isinstance(value, str) else "is"
        raise ValueError(f'{said} not the URL of a collector; write "http://HOST:4318"') from None
    if (signal := _SIGNAL.search(url.path)) is not None:
        plain = EndpointUrl(url.scheme, url.host, url.port, url.path.removesuffix(signal[0]))
        raise ValueError(f'{signal[0]} is added to what stands here; write "{plain}"')
    return url


def parse_origin(value: object) -> str:
    """A web origin, `"https://app.example.com"`, or `"*"` (RFC 6454 6.2: scheme, host and port, nothing behind)."""
    if value == "*":
        return "*"
    if not isinstance(value, str):
        raise ValueError('is not an origin; write text in quotes, such as "https://app.example.com"')
    try:
        url = urlsplit(value)
        plain = f"{url.scheme}://{url.netloc}".lower()
        if url.port == {"http": 80, "https": 443}.get(url.scheme):  # browsers leave that out
            plain = plain.removesuffix(f":{url.port}")
        valid = bool(url.scheme and url.hostname) and (url.port or 1) > 0 and re.fullmatch(r"[!-~]+", value)
    except ValueError:
        plain, valid = "", False
    if not valid or "@" in plain or "*" in plain:
        raise ValueError(f'{quoted(value)} is not an origin; write "https://HOST", or "*" for everyone')
    if plain != value:
        raise ValueError(f'{quoted(value)} is never sent by a browser; write "{plain}"')
    return plain
