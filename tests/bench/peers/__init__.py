"""The same work through the gateway and every peer that is installed: what each costs, and what each can do."""
