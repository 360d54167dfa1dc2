"""longpoll-gateway: an API gateway for long-poll endpoints, built on aiohttp."""

__version__ = "0.1.0"
