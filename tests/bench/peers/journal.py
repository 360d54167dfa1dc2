"""Takes the lines of a log as datagrams, as a syslog does, and writes them to a file in batches; a process of its own.
It accepts connections on a port to say that it is there.
"""

from __future__ import annotations

import select
import socket
import sys


def main(path: str, target: str, port: int) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as lines, socket.socket() as there, open(target, "wb") as out:
        lines.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        lines.bind(path)
        there.bind(("127.0.0.1", port))
        there.listen()
        while True:
            if not select.select([lines], [], [], 0.5)[0]:
                out.flush()
                continue
            line = lines.recv(65536)
            out.write(line if line.endswith(b"\n") else line + b"\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
