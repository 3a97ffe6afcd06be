"""One small site that can be served by each of the packages that are compared."""
