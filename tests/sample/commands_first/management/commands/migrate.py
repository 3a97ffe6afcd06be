"""A command of the name of one of ours."""
