"""Queries, pieces and verified downloads over TAP. Importing this package loads no network library."""
