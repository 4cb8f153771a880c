"""Saved ways to cut a table into a training, a validation and a test part."""
