"""Measurements of runs: logging, search, tables, history."""
