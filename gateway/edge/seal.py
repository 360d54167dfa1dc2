"""The end of a listening socket without a loss. Between a last look into its queue and its close somebody may come into
it, is told by the kernel that he is connected, and reset: so first the kernel drops what asks for a connection. Whoever
asks meanwhile asks again a second later, and is refused, or finds a successor.
"""

from __future__ import annotations

import socket
import struct
import sys
from array import array

SO_ATTACH_FILTER = 26  # of Linux; Python has no name for it
FLAGS, SYN = 13, 0x02  # of a TCP header: the byte of its flags, and that of who asks for a connection (RFC 9293 3.1)
_LOAD, _IF_SET, _RETURN = 0x30, 0x45, 0x06  # BPF_LD|BPF_B|BPF_ABS, BPF_JMP|BPF_JSET|BPF_K, BPF_RET|BPF_K
_PROGRAM = b"".join(
    struct.pack("HBBI", *step)  # struct sock_filter: operation, where to go if so, if not, number
    for step in ((_LOAD, 0, 0, FLAGS), (_IF_SET, 0, 1, SYN), (_RETURN, 0, 0, 0), (_RETURN, 0, 0, 0xFFFFFFFF))
)


def seal(sock: socket.socket) -> None:
    """From now on nobody new comes into the queue of a listening TCP socket, in no process that has it; handshakes that
    have begun still end. Where a system has no such filter, or does not let us, nothing changes."""
    if sys.platform != "linux" or sock.family == socket.AF_UNIX:
        return
    program = array("B", _PROGRAM)
    address, size = program.buffer_info()
    try:  # struct sock_fprog: so many steps of eight bytes, and where they are
        sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", size // 8, address))
    except OSError:
        pass
