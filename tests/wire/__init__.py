"""The gateway on real sockets: raw bytes in, raw bytes out, upstreams that record all they get."""
