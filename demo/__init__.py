"""A small SaaS on django-appschema: a project tracker for teams, one schema per customer.

Start it with `make demo`.
"""

LOGIN, MEMBER, PASSWORD = "admin", "robin", "demo"
CUSTOMERS = {
    "acme": {
        "Rocket skates": [
            "Find a slope that ends in a meadow",
            "Make the brakes work before the cliff",
            "Order more dynamite",
            "Write the warning label",
        ],
        "Portable hole": [
            "Measure the sample",
            "Keep it from rolling up",
            "Test it on a tunnel wall",
            "Find out where things go",
        ],
    },
    "globex": {
        "Weather machine": [
            "Calibrate the thunder",
            "Lower the noise for the neighbours",
            "Renew the permit for Tuesdays",
            "Translate the manual",
        ],
        "Company picnic": [
            "Book the lake",
            "Ask who brings the salad",
            "Rent twelve hammocks",
            "Print the invitations",
        ],
    },
    "initech": {
        "Report cover sheets": [
            "Collect all eight memos",
            "Agree on one cover sheet",
            "Tell everybody again",
            "Count the copies",
        ],
        "New stapler": [
            "Compare three red ones",
            "Find the old one",
            "Move the desk back upstairs",
            "File the receipt",
        ],
    },
}
