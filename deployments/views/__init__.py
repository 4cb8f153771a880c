"""Pages of the deployments app, one module a noun."""
