"""The shared app: the central site, and what all customers see."""
