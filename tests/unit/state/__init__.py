"""The arithmetic of rates."""
