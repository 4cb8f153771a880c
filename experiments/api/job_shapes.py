"""What the REST API takes and gives for training jobs."""

from typing import Any

from django.urls import reverse
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from experiments.api.shapes import Strict, Text
from experiments.models import JobAttempt, TrainingJob
from experiments.training import catalogue
from experiments.training.spec import MISSING_TARGET

MAX_ID = 2**63 - 1


class Whole(serializers.IntegerField):
    """A whole number of the database's size; texts and booleans are none."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"min_value": 1, "max_value": MAX_ID, **options})

    def to_internal_value(self, data: Any) -> int:
        """Refuse what would otherwise be turned into a number."""
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("invalid")
        return super().to_internal_value(data)


class Spec(serializers.Serializer[Any]):
    """What to train. The service checks it against the columns and names every fault at once."""

    task = serializers.ChoiceField(catalogue.TASKS)
    target = serializers.CharField()
    features = serializers.ListField(child=serializers.CharField(), allow_null=True, required=False)
    missing_target = serializers.ChoiceField(MISSING_TARGET, required=False)
    test_share = serializers.FloatField(min_value=0.01, max_value=0.9, required=False)
    seed = serializers.IntegerField(min_value=0, max_value=2**32 - 1, required=False)
    stratify = serializers.BooleanField(required=False)
    folds = serializers.IntegerField(min_value=0, max_value=10, required=False)
    algorithm = serializers.ChoiceField(list(catalogue.ALGORITHMS))
    hyper_parameters = serializers.DictField(required=False)
    split = serializers.CharField(
        required=False, allow_null=True, max_length=100, help_text="Saved split of the version; by share and seed else."
    )

    def run_validation(self, data: Any = None) -> Any:
        """Pass on as it came: one place checks it."""
        return None if data is serializers.empty else data


class Limits(serializers.Serializer[Any]):
    """When to stop the training."""

    wall_seconds = serializers.IntegerField(min_value=10, max_value=604_800, required=False, allow_null=True)
    memory_mb = serializers.IntegerField(min_value=1024, required=False, allow_null=True)

    def run_validation(self, data: Any = None) -> Any:
        """Pass on as it came: the service checks it."""
        return None if data is serializers.empty else data


class JobIn(Strict):
    """A training to launch."""

    dataset = Text(max_length=100)
    version = Whole(required=False, allow_null=True, default=None, help_text="The newest ready one by default.")
    experiment = Text(max_length=500)
    name = Text(required=False, allow_blank=True, default="", max_length=250)
    baseline = Whole(required=False, allow_null=True, default=None, help_text="Run to compare with.")
    spec = Spec()
    limits = Limits(required=False, allow_null=True, default=None)
    override_reason = Text(
        required=False, allow_blank=True, default="", max_length=1000,
        help_text="Why failed checks of the data are passed over; needs the permission gate.override.",
    )  # fmt: skip


class AttemptOut(serializers.ModelSerializer[JobAttempt]):
    """One worker's try."""

    class Meta:
        model = JobAttempt
        fields = ["number", "worker", "started_at", "ended_at", "outcome", "cause", "log_lines"]
        read_only_fields = fields


class JobOut(serializers.ModelSerializer[TrainingJob]):
    """A training job."""

    run = serializers.IntegerField(source="run_id")
    name = serializers.CharField(source="run.name")
    experiment = serializers.CharField(source="run.experiment.name")
    dataset = serializers.CharField(source="dataset_version.dataset.name")
    version = serializers.IntegerField(source="dataset_version.number")
    baseline = serializers.IntegerField(source="baseline_id", allow_null=True)
    created_by = serializers.SerializerMethodField()
    page = serializers.SerializerMethodField()

    class Meta:
        model = TrainingJob
        fields = [
            "id", "run", "name", "experiment", "dataset", "version", "baseline", "state", "cancelling", "progress",
            "phase", "phases", "attempt", "failure", "warnings", "spec", "limits", "usage", "created_by", "created_at",
            "started_at", "ended_at", "page",
        ]  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_created_by(self, job: TrainingJob) -> str | None:
        """Name of who launched it."""
        return job.created_by.username if job.created_by else None

    @extend_schema_field(serializers.CharField())
    def get_page(self, job: TrainingJob) -> str:
        """Address of its page."""
        return reverse("experiments:job-detail", args=[job.project.slug, job.pk])


class JobPageOut(serializers.Serializer[Any]):
    """One page of jobs."""

    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)
    results = JobOut(many=True)


class JobDetailOut(JobOut):
    """A training job with its attempts."""

    attempts = AttemptOut(many=True)

    class Meta(JobOut.Meta):
        fields = [*JobOut.Meta.fields, "attempts"]
        read_only_fields = fields


class LogQuery(serializers.Serializer[Any]):
    """Which lines of a log."""

    attempt = serializers.IntegerField(required=False, min_value=1, max_value=1000)
    after = serializers.IntegerField(required=False, default=0, min_value=0, max_value=MAX_ID)
    limit = serializers.IntegerField(required=False, default=500, min_value=1, max_value=2000)


class LogLineOut(serializers.Serializer[Any]):
    """One line."""

    number = serializers.IntegerField()
    at_ms = serializers.IntegerField()
    level = serializers.ChoiceField(["info", "warning", "error"])
    text = serializers.CharField()


class LogOut(serializers.Serializer[Any]):
    """Lines, and where to read on."""

    attempt = serializers.IntegerField(allow_null=True)
    lines = LogLineOut(many=True)
    next = serializers.IntegerField(help_text="Send it as `after` to read on.")
    ended = serializers.BooleanField(help_text="No more lines will come.")


class AlgorithmOut(serializers.Serializer[Any]):
    """One entry of the catalogue."""

    name = serializers.CharField()
    label = serializers.CharField()
    summary = serializers.CharField()
    tasks = serializers.ListField(child=serializers.CharField())
    parameters = serializers.DictField()
