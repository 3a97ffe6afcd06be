"""The shared app of the sample site."""
