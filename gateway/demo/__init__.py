"""The demo: a small but real long-poll service, its page, and the gateway started before it."""
