"""What a call leaves behind: its record, and where records go."""
