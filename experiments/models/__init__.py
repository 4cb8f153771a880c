"""Tables of the experiments app, one module a noun."""

from experiments.models.jobs import JobAttempt, JobLog, TrainingJob
from experiments.models.runs import (
    Artifact,
    Experiment,
    Key,
    Lifecycle,
    MetricChunk,
    Run,
    RunMetric,
    RunParam,
    RunTag,
)

__all__ = [
    "Artifact",
    "Experiment",
    "JobAttempt",
    "JobLog",
    "Key",
    "Lifecycle",
    "MetricChunk",
    "Run",
    "RunMetric",
    "RunParam",
    "RunTag",
    "TrainingJob",
]
