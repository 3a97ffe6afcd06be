"""The isolated app: each customer's projects and tasks."""
