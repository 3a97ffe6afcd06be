"""The pages of the sites, as `wagtail start` makes them."""
