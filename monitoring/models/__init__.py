"""Tables of the monitoring app, one module a noun."""

from monitoring.models.windows import Bucket, DriftScore, Monitor, Window

__all__ = ["Bucket", "DriftScore", "Monitor", "Window"]
