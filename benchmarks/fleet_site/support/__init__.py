"""What was said about it."""
