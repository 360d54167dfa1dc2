"""The operator's listener: health, readiness, and what is held right now."""
