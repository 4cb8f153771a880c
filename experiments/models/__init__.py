"""Tables of the experiments app, one module a noun."""

from experiments.models.artifacts import Artifact
from experiments.models.bulk import BulkAction, BulkPage, FormerPlace, Selection
from experiments.models.folders import Folder, FolderRole
from experiments.models.jobs import JobAttempt, JobLog, TrainingJob
from experiments.models.reports import Report
from experiments.models.runs import (
    Experiment,
    ExperimentTag,
    Key,
    Lifecycle,
    MetricChunk,
    Run,
    RunMetric,
    RunParam,
    RunTag,
)
from experiments.models.steps import StepColumn, StepValue
from experiments.models.studies import ImportanceStudy
from experiments.models.tracked import (
    InputDataset,
    LoggedModel,
    LoggedModelMetric,
    LoggedModelParam,
    LoggedModelTag,
    RunInput,
    RunModel,
)
from experiments.models.views import SavedView

__all__ = [
    "Artifact",
    "BulkAction",
    "BulkPage",
    "Experiment",
    "ExperimentTag",
    "Folder",
    "FolderRole",
    "FormerPlace",
    "ImportanceStudy",
    "InputDataset",
    "JobAttempt",
    "JobLog",
    "Key",
    "Lifecycle",
    "LoggedModel",
    "LoggedModelMetric",
    "LoggedModelParam",
    "LoggedModelTag",
    "MetricChunk",
    "Report",
    "Run",
    "RunInput",
    "RunMetric",
    "RunModel",
    "RunParam",
    "RunTag",
    "SavedView",
    "Selection",
    "StepColumn",
    "StepValue",
    "TrainingJob",
]
