"""What develops, tests and shows the package; none of it is installed with it."""
