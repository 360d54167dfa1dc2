"""Policy kinds, one module each: what a route may demand of a call before it is forwarded. A kind is a pure
decision and a `compile_..` that turns numbers and names into a step (`gateway.pipeline`) or into bytes; its
settings live in `gateway.config`, its state, if any, behind the store.
"""
