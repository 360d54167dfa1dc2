"""Whether a request costs the same with little as with much: polls held, routes, consumers known, endpoints."""
