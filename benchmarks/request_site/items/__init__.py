"""The isolated app."""
