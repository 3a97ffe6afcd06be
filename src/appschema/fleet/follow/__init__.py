"""Schemas of one state: the first is migrated by Django and recorded, the others follow it."""
