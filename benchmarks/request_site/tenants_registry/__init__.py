"""The registry of the variant django-tenants."""
