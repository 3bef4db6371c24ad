"""What a backend is, and the only way to call it."""
