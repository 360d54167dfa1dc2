"""Real servers and real clients with a gateway process between them."""
