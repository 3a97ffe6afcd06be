"""Fixtures for all tests; the server is the concern of `tests/server.py`."""
