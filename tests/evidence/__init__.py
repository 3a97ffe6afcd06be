"""Schemas of published applications, copied: what docs/evidence/copies.md tells of."""
