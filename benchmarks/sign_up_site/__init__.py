"""A site whose new customers get many tables, by each of the packages that are compared."""
