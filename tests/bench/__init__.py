"""`make bench`: what a held poll, a wake and a short request cost, measured on the gateway and, in the same
run, on a naive aiohttp proxy. It measures and prints; it never fails because a bar is missed.
"""
