"""A machine that serves with several processes: the supervisor, its workers, and what passes between them."""
