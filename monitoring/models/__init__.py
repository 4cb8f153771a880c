"""Tables of the monitoring app, one module a noun."""

from monitoring.models.alerts import Alert, AlertTransition, RuleEvaluation, Silence
from monitoring.models.days import Day, DaySum, Week, WeekSum
from monitoring.models.divisions import Division, DivisionArm, DivisionSource, DivisionUnit
from monitoring.models.incidents import Incident
from monitoring.models.predictions import (
    Backfill,
    GroundTruth,
    IngestedSegment,
    Prediction,
    PredictionChunk,
    PredictionUpload,
)
from monitoring.models.routes import AlertGroup, AlertRoute
from monitoring.models.rules import AlertRule
from monitoring.models.variants import VariantCount
from monitoring.models.windows import Bucket, DriftScore, LabelBucket, Monitor, SegmentBucket, Window

__all__ = [
    "Alert",
    "AlertGroup",
    "AlertRoute",
    "AlertRule",
    "AlertTransition",
    "Backfill",
    "Bucket",
    "Day",
    "DaySum",
    "Division",
    "DivisionArm",
    "DivisionSource",
    "DivisionUnit",
    "DriftScore",
    "GroundTruth",
    "Incident",
    "IngestedSegment",
    "LabelBucket",
    "Monitor",
    "Prediction",
    "PredictionChunk",
    "PredictionUpload",
    "RuleEvaluation",
    "SegmentBucket",
    "Silence",
    "VariantCount",
    "Week",
    "WeekSum",
    "Window",
]
