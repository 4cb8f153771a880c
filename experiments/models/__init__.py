"""Tables of the experiments app, one module a noun."""
