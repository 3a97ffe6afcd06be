"""The both app of the sample site."""
