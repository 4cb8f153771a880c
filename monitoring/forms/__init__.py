"""Forms of the monitoring app, one module a noun."""
