"""Tables of the monitoring app, one module a noun."""

from monitoring.models.alerts import Alert, AlertRule, AlertTransition, RuleEvaluation, Silence
from monitoring.models.predictions import GroundTruth, IngestedSegment, Prediction, PredictionChunk
from monitoring.models.windows import Bucket, DriftScore, Monitor, Window

__all__ = [
    "Alert",
    "AlertRule",
    "AlertTransition",
    "Bucket",
    "DriftScore",
    "GroundTruth",
    "IngestedSegment",
    "Monitor",
    "Prediction",
    "PredictionChunk",
    "RuleEvaluation",
    "Silence",
    "Window",
]
