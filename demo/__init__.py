"""A small SaaS on django-appschema: a task tracker for teams, one schema per customer.

Start it with `make demo`.
"""

LOGIN, PASSWORD = "admin", "demo"
CUSTOMERS = {
    "acme": ["Rocket skates", "Portable hole"],
    "globex": ["Weather machine", "Company picnic"],
    "initech": ["Report cover sheets", "New stapler"],
}
