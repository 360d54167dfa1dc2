"""The downstream edge: listeners and the connections of clients."""
