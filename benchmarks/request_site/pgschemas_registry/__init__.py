"""The registry of the variant django-pgschemas."""
