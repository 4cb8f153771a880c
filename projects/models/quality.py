"""What is expected of a dataset, what was found on each version, and saved ways to split a version."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from mlportal.lib.lease import LeasedWork
from projects.models.datasets import Dataset, DatasetVersion
from projects.models.scoped import ProjectScoped


class CheckSetQuerySet(ProjectScoped["CheckSet"]):
    """Reads of rule sets."""

    project_path = "dataset__project"


class CheckSet(models.Model):
    """One version of the rules of a dataset. Once a run has used it, it never changes; the next save is the next."""

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="check_sets")
    number = models.PositiveIntegerField()
    rules = models.JSONField(default=list)
    created_by = models.ForeignKey("projects.User", models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = CheckSetQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["dataset", "number"], name="check_set_number_once")]

    def __str__(self) -> str:
        return f"{self.dataset.name} checks {self.number}"


class CheckQuerySet(ProjectScoped["Check"]):
    """Reads of checks."""

    project_path = "dataset__project"


class Check(models.Model):
    """One check of a dataset through all its rule sets: what people star and talk about. Made once, never removed."""

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="checks")
    key = models.CharField(max_length=40)

    objects = CheckQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["dataset", "key"], name="check_once_a_dataset")]

    def __str__(self) -> str:
        return f"{self.key} of {self.dataset.name}"


class CheckRunQuerySet(ProjectScoped["CheckRun"]):
    """Reads of check runs."""

    project_path = "version__dataset__project"


class CheckRun(LeasedWork):
    """One measuring of a rule set on a version."""

    class Verdict(models.TextChoices):
        """What it found."""

        PASSED = "passed", "passed"
        FAILED = "failed", "failed"
        ERROR = "error", "could not be measured"

    version = models.ForeignKey(DatasetVersion, models.CASCADE, related_name="check_runs")
    check_set = models.ForeignKey(CheckSet, models.PROTECT, related_name="runs")
    verdict = models.CharField(max_length=6, choices=Verdict, blank=True)
    passed_count = models.PositiveIntegerField(default=0)
    failed_count = models.PositiveIntegerField(default=0)
    error_count = models.PositiveIntegerField(default=0)
    requested_by = models.ForeignKey("projects.User", models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = CheckRunQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["version"],
                condition=Q(state__in=["queued", "starting", "running"]),
                name="one_open_check_run_a_version",
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["state", "queued_at"],
                condition=Q(state__in=["queued", "starting", "running"]),
                name="check_run_open",
            ),  # the sweeper
        ]

    def __str__(self) -> str:
        return f"checks of {self.version}"

    @property
    def total(self) -> int:
        """How many checks were measured."""
        return self.passed_count + self.failed_count + self.error_count


class CheckResult(models.Model):
    """What one check found in one run."""

    run = models.ForeignKey(CheckRun, models.CASCADE, related_name="results")
    place = models.PositiveIntegerField()
    key = models.CharField(max_length=40)
    kind = models.CharField(max_length=12)
    severity = models.CharField(max_length=4)
    sentence = models.TextField()
    outcome = models.CharField(max_length=6)
    measured = models.FloatField(null=True)
    shown = models.TextField(blank=True)
    limit = models.TextField(blank=True)
    failing = models.BigIntegerField(null=True)
    sample = models.JSONField(default=dict, blank=True)
    message = models.TextField(blank=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["run", "key"], name="one_result_a_check_and_run")]

    def __str__(self) -> str:
        return f"{self.sentence}: {self.outcome}"

    @property
    def passed(self) -> bool:
        """Whether it holds."""
        return self.outcome == CheckRun.Verdict.PASSED


class SplitRecipeQuerySet(ProjectScoped["SplitRecipe"]):
    """Reads of splits."""

    project_path = "version__dataset__project"


class SplitRecipe(LeasedWork):
    """A saved way to cut a version into parts. A worker stores the row numbers once; they are the same for ever."""

    class Kind(models.TextChoices):
        """How rows are divided."""

        RANDOM = "random", "Random"
        STRATIFIED = "stratified", "Stratified"
        TIME = "time", "By time"
        GROUP = "group", "By group"

    version = models.ForeignKey(DatasetVersion, models.CASCADE, related_name="splits")
    name = models.CharField(max_length=100)
    name_key = models.CharField(max_length=100, editable=False)
    kind = models.CharField(max_length=10, choices=Kind)
    params = models.JSONField(default=dict)
    seed = models.PositiveBigIntegerField(default=0)
    report = models.JSONField(default=dict, blank=True, help_text="Sizes, balance and leakage of the parts.")
    rows_sha256 = models.CharField(max_length=64, blank=True, help_text="Row numbers and their parts, as Parquet.")
    carried_from = models.ForeignKey("self", models.SET_NULL, null=True, related_name="carried_to")
    created_by = models.ForeignKey("projects.User", models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = SplitRecipeQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["version", "name_key"], name="split_name_once_a_version"),
            models.CheckConstraint(condition=~Q(state="succeeded") | ~Q(rows_sha256=""), name="split_ready_has_rows"),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["state", "queued_at"],
                condition=Q(state__in=["queued", "starting", "running"]),
                name="split_open",
            ),  # the sweeper
        ]

    def __str__(self) -> str:
        return f"{self.name} of {self.version}"
