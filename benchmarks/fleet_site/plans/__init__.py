"""The shared app, to which tables of each customer refer."""
