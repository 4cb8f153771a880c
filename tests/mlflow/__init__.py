"""The real MLflow clients against a real portal."""
