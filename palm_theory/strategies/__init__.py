"""Which weights to solve, and which of the policies found to keep: a file a strategy."""
