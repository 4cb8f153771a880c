"""The registry part of the MLflow door, on the services of the registry pages."""
