"""The isolated app of the sample site."""
