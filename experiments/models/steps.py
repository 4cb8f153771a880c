"""Values at steps that were asked of many runs, kept so that runs are sorted and grouped by them through an index."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from experiments.models.runs import Experiment, Key, Run


class StepColumn(models.Model):
    """A step at which the values of a metric are kept for all runs of an experiment."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="+", db_index=False)
    key = models.ForeignKey(Key, on_delete=models.PROTECT, related_name="+", db_index=False)
    step = models.BigIntegerField()
    # The runs up to this number have been read; those that came later brought their values themselves.
    read_to = models.BigIntegerField(default=0)
    is_complete = models.BooleanField(default=False)
    asked_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["experiment", "key", "step"], name="step_column_once"),
        ]

    def __str__(self) -> str:
        return f"metric {self.key_id} of experiment {self.experiment_id} at step {self.step}"


class StepValue(models.Model):
    """The value that one metric of one run had at a step; runs that did not come so far have none."""

    pk = models.CompositePrimaryKey("run_id", "key_id", "step")
    run = models.ForeignKey(Run, on_delete=models.CASCADE, db_index=False, related_name="+")
    key = models.ForeignKey(Key, on_delete=models.PROTECT, db_index=False, related_name="+")
    step = models.BigIntegerField()
    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, db_index=False, related_name="+")
    value = models.FloatField()
    is_nan = models.BooleanField()

    class Meta:
        indexes: ClassVar = [
            # Walks runs by the value, without reading the table.
            models.Index(fields=["experiment", "key", "step", "is_nan", "value", "run"], name="stepvalue_by_value"),
        ]

    def __str__(self) -> str:
        return f"metric {self.key_id} of run {self.run_id} at step {self.step}"
