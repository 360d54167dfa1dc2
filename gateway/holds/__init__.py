"""What a hold dialect means, as pure functions: the wish, the arithmetic, the no-news answer, idle or not."""
