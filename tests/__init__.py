"""The tests: `unit` needs no server, `integration` needs PostgreSQL, `acceptance` uses whole sites."""
