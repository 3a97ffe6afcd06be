"""A project whose customers have 34 tables each, by each of the packages that are compared.

``benchmarks.fleet_project`` copies it, and writes more migrations into the copy: those that are measured.
"""
