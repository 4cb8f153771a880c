"""What the REST API takes and gives for experiments, runs and artifacts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rest_framework import serializers

from experiments.metricstore import Latest
from experiments.models import Artifact
from experiments.queries import RunFacts
from mlportal.lib.errors import Invalid


class Strict(serializers.Serializer):
    """A body that may hold only the declared fields, each of its own type."""

    def to_internal_value(self, data: Any) -> Any:
        """Refuse unknown fields by name before reading the known ones."""
        if isinstance(data, Mapping) and (unknown := sorted(str(name) for name in set(data) - set(self.fields))):
            raise serializers.ValidationError({unknown[0][:100]: f"Unknown field. Known: {', '.join(self.fields)}."})
        return super().to_internal_value(data)


class Text(serializers.CharField):
    """A text; numbers and booleans are no texts."""

    def to_internal_value(self, data: Any) -> str:
        """Refuse what DRF would turn into text."""
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class TextMap(serializers.DictField):
    """Names and texts; a number or a boolean becomes the text JSON writes for it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(child=serializers.CharField(allow_blank=True), **options)

    def to_internal_value(self, data: Any) -> dict[str, str]:
        """Read the map; sizes are checked by the service."""
        if not isinstance(data, dict):
            self.fail("not_a_dict", input_type=type(data).__name__)
        return {str(key): text_of(value, f"{self.field_name}.{key}") for key, value in data.items()}


def text_of(value: object, field: str) -> str:
    """Return a parameter's text.

    Raises
    ------
    Invalid
        If the value is a list, an object or null.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    raise Invalid(f"{field[:100]} must be a text or a number.", code="wrong_type", field=field[:100])


class ExperimentIn(Strict):
    """A new experiment."""

    name = Text(max_length=500, trim_whitespace=False)
    description = Text(max_length=10_000, allow_blank=True, default="")
    folder = serializers.IntegerField(
        min_value=1, max_value=2**63 - 1, allow_null=True, required=False, help_text="Where a new one shall lie."
    )


class ExperimentChange(Strict):
    """What of an experiment can change."""

    description = Text(max_length=10_000, allow_blank=True, required=False)
    primary_metric = Text(max_length=250, allow_blank=True, required=False)
    name = Text(max_length=500, trim_whitespace=False, required=False)


class ExperimentOut(serializers.Serializer):
    """An experiment."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    description = serializers.CharField()
    primary_metric = serializers.CharField()
    folder = serializers.IntegerField(source="folder_id", allow_null=True)
    run_count = serializers.IntegerField(default=0)
    running_count = serializers.IntegerField(default=0)
    starred = serializers.BooleanField(default=False, help_text="By the caller; told in the list only.")
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class RunIn(Strict):
    """A new run."""

    experiment = Text(max_length=500, trim_whitespace=False)
    name = Text(max_length=250, allow_blank=True, default="")
    params = TextMap(default=dict)
    tags = TextMap(default=dict)
    parent = serializers.IntegerField(min_value=1, max_value=2**63 - 1, required=False, allow_null=True, default=None)
    dataset = Text(max_length=100, allow_blank=True, default="")
    dataset_version = serializers.IntegerField(min_value=1, max_value=2**31 - 1, required=False, allow_null=True)
    start = serializers.BooleanField(default=True, help_text="Start the run at once.")


class RunChange(Strict):
    """What of a run can change."""

    name = Text(max_length=250, required=False)
    notes = Text(max_length=10_000, allow_blank=True, required=False)


class RunEnd(Strict):
    """How a run ended."""

    state = serializers.ChoiceField(["finished", "failed", "cancelled"])
    failure = Text(max_length=4000, allow_blank=True, default="")


class TagsIn(Strict):
    """Tags to set."""

    tags = TextMap()


class MetricIn(serializers.Serializer):
    """One metric point; the timestamp is in milliseconds and now when left out."""

    key = serializers.CharField()
    value = serializers.FloatField(help_text='A number, or "NaN", "Infinity", "-Infinity".')
    timestamp = serializers.IntegerField(required=False)
    step = serializers.IntegerField(default=0)


class Batch(serializers.Serializer):
    """At most 1,000 metrics, 100 params and 100 tags, 1,000 items together: all of it is recorded, or nothing."""

    metrics = MetricIn(many=True, required=False)
    params = TextMap(required=False)
    tags = TextMap(required=False)


class MetricOut(serializers.Serializer):
    """The latest point of a metric."""

    value = serializers.FloatField()
    step = serializers.IntegerField()
    timestamp = serializers.IntegerField()


class DatasetOut(serializers.Serializer):
    """The dataset version a run used."""

    name = serializers.CharField()
    version = serializers.IntegerField()


class RunOut(serializers.Serializer):
    """A run with its parameters, tags and latest metrics."""

    id = serializers.IntegerField()
    uuid = serializers.CharField()
    name = serializers.CharField()
    experiment = serializers.CharField()
    state = serializers.ChoiceField(["queued", "running", "finished", "failed", "cancelled"])
    source = serializers.CharField()
    lifecycle = serializers.CharField()
    parent = serializers.IntegerField(allow_null=True)
    dataset = DatasetOut(allow_null=True)
    primary_metric = serializers.CharField()
    params = serializers.DictField(child=serializers.CharField())
    tags = serializers.DictField(child=serializers.CharField())
    metrics = serializers.DictField(child=MetricOut())
    notes = serializers.CharField()
    failure = serializers.CharField()
    digest = serializers.CharField()
    created_by = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)
    took_seconds = serializers.FloatField(allow_null=True)


class RunRowOut(RunOut):
    """A run in a list; ``columns`` holds what ``cols`` asked for, and ``metrics`` only what these name."""

    columns = serializers.DictField(required=False)


class GroupStatOut(serializers.Serializer):
    """What a group says of a metric; ``half_width`` is that of the 95 % confidence interval of the mean."""

    name = serializers.CharField()
    agg = serializers.CharField()
    count = serializers.IntegerField()
    best = serializers.FloatField(allow_null=True)
    mean = serializers.FloatField(allow_null=True)
    deviation = serializers.FloatField(allow_null=True)
    half_width = serializers.FloatField(allow_null=True)


class GroupOut(serializers.Serializer):
    """Runs that share their values; failed ones are counted, their values are not."""

    group = serializers.DictField(child=serializers.CharField(allow_null=True))
    runs = serializers.IntegerField()
    failed = serializers.IntegerField()
    metrics = GroupStatOut(many=True)


class RunPageOut(serializers.Serializer):
    """One page of runs; ``total`` is exact up to 10,000."""

    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)
    total = serializers.IntegerField()
    total_is_exact = serializers.BooleanField()
    results = RunRowOut(many=True)
    groups = GroupOut(many=True, required=False, help_text="In place of results when `group` is given.")


class SeriesOut(serializers.Serializer):
    """Points of one metric of one run, thinned to at most the asked number."""

    key = serializers.CharField()
    total = serializers.IntegerField()
    steps = serializers.ListField(child=serializers.IntegerField())
    timestamps = serializers.ListField(child=serializers.IntegerField())
    values = serializers.ListField(child=serializers.FloatField())


class ArtifactOut(serializers.ModelSerializer):
    """A file of a run."""

    class Meta:
        model = Artifact
        fields = ("id", "path", "sha256", "size_bytes", "media_type", "kind", "created_at")


def run_body(row: RunFacts) -> dict[str, Any]:
    """Return a run as the API writes it."""
    run = row.run
    version = run.dataset_version
    return {
        "id": run.pk, "uuid": run.uuid, "name": run.name, "experiment": run.experiment.name, "state": run.state,
        "source": run.source, "lifecycle": run.lifecycle, "parent": run.parent_id,
        "dataset": None if version is None else {"name": version.dataset.name, "version": version.number},
        "primary_metric": run.primary_metric, "params": row.params, "tags": row.tags,
        "metrics": {name: metric_body(point) for name, point in row.metrics.items()},
        "notes": run.notes, "failure": run.failure, "digest": run.digest,
        "created_by": run.created_by.username if run.created_by else None, "created_at": moment(run.created_at),
        "started_at": moment(run.started_at), "ended_at": moment(run.ended_at), "took_seconds": run.took_seconds,
    }  # fmt: skip


def moment(at: datetime | None) -> str | None:
    """Return a moment as the API writes it: text, because an answer kept for an idempotency key is stored as JSON."""
    return None if at is None else at.isoformat().replace("+00:00", "Z")


def metric_body(point: Latest) -> dict[str, Any]:
    """Return a latest point as the API writes it."""
    return {"value": number(point.value), "step": point.step, "timestamp": point.stamp_ms}


def number(value: float) -> float | str:
    """JSON has no NaN and no infinities: they are the texts MLflow writes."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
