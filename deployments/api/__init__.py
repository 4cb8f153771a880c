"""REST routes of the deployments app, one module a noun."""
