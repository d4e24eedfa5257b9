"""Small networks that learn from trained ones, to do the same in less time."""
