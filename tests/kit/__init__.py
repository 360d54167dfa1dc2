"""What tests share: strict parsers, raw sockets, recording upstreams and gateways to put between them.
Nothing in here imports the gateway's own parsing, so a test never judges the gateway with its own eyes.
"""
