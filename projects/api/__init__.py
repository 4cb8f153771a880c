"""REST routes of the projects app, one module a noun."""
