"""Expectations of a table: what may be declared, what a profile suggests, how it is measured."""
