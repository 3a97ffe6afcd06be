"""A second sample project: Wagtail as its users install it, in one schema for each customer."""
