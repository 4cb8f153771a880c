"""Makers of rows for tests, one module an app."""
