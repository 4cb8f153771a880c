"""Training jobs: what was asked for, each attempt at it, and what it said."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Self

from django.conf import settings
from django.db import models
from django.db.models import Q

from mlportal.lib.lease import ACTIVE, TERMINAL, LeasedWork, WorkState
from projects.models.scoped import ProjectScoped

if TYPE_CHECKING:
    from projects.models import User


class TrainingJobQuerySet(ProjectScoped["TrainingJob"]):
    """Reads of training jobs."""

    def active(self) -> Self:
        """Jobs that wait or work."""
        return self.filter(state__in=[WorkState.QUEUED, *ACTIVE])

    def with_context(self) -> Self:
        """Load what a job's line on a page shows, without further queries."""
        rows = self.select_related("run__experiment", "dataset_version__dataset", "created_by", "project")
        return rows.defer(*(f"dataset_version__{name}" for name in ("profile", "warnings", "schema", "facts")))


class TrainingJob(LeasedWork):
    """One training: its specification, its state and its run. The row is the queue."""

    project = models.ForeignKey("projects.Project", models.CASCADE, related_name="jobs")
    run = models.OneToOneField("experiments.Run", models.CASCADE, related_name="job")
    dataset_version = models.ForeignKey("projects.DatasetVersion", models.PROTECT, related_name="jobs")
    split = models.ForeignKey("projects.SplitRecipe", models.PROTECT, null=True, related_name="jobs")
    baseline = models.ForeignKey("experiments.Run", models.SET_NULL, null=True, related_name="+")
    spec = models.JSONField()
    limits = models.JSONField(default=dict)
    phases = models.JSONField(default=list, help_text="[{name, seconds}] of the attempt, in order.")
    usage = models.JSONField(default=dict, help_text="Memory and processor time of the attempt.")
    warnings = models.JSONField(default=list)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = TrainingJobQuerySet.as_manager()

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["project", "-id"], name="job_newest_first"),  # the jobs page
            models.Index(fields=["project", "state"], name="job_by_state"),  # counts of the side bar
            # Serves the sweeper, every 15 s: only jobs that have not ended.
            models.Index(
                fields=["state", "queued_at"], name="job_unended", condition=~Q(state__in=[str(s) for s in TERMINAL])
            ),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(state__in=WorkState.values), name="job_state_known"),
            models.CheckConstraint(
                condition=~Q(state__in=[str(s) for s in ACTIVE]) | Q(lease_until__isnull=False),
                name="job_at_work_has_a_lease",
            ),
        ]

    def __str__(self) -> str:
        return f"job {self.pk}"

    def roles_here(self, user: "User") -> list[str]:
        """Roles of the person on the folders its run lies in."""
        return self.run.roles_here(user)

    @property
    def algorithm(self) -> str:
        """Name of the algorithm in the catalogue."""
        return str(self.spec["algorithm"])

    @property
    def took(self) -> timedelta | None:
        """Time from the start of the last attempt to the end."""
        return None if self.ended_at is None or self.started_at is None else self.ended_at - self.started_at

    @property
    def cancelling(self) -> bool:
        """Whether a stop was asked for and has not happened yet."""
        return self.cancel_requested_at is not None and not self.is_terminal


class JobAttempt(models.Model):
    """One worker's try at a job."""

    class Outcome(models.TextChoices):
        WORKING = "working"
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        CANCELLED = "cancelled"
        TIMED_OUT = "timed_out", "timed out"
        INTERRUPTED = "interrupted"

    job = models.ForeignKey(TrainingJob, models.CASCADE, related_name="attempts")
    number = models.PositiveSmallIntegerField()
    fence = models.PositiveBigIntegerField()
    worker = models.CharField(max_length=200)
    pid = models.PositiveIntegerField(null=True)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=12, choices=Outcome, default=Outcome.WORKING)
    cause = models.TextField(blank=True)
    log_lines = models.PositiveBigIntegerField(default=0)
    log_warnings = models.PositiveIntegerField(default=0)
    log_errors = models.PositiveIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["job", "fence"], name="attempt_once_per_fence")]

    def __str__(self) -> str:
        return f"attempt {self.number} of job {self.job_id}"


class JobLogQuerySet(ProjectScoped["JobLog"]):
    """Reads of log parts."""

    project_path = "attempt__job__project"


class JobLog(models.Model):
    """Some consecutive log lines of an attempt, each ``[milliseconds, level, text]``."""

    attempt = models.ForeignKey(JobAttempt, models.CASCADE, related_name="logs")
    first_line = models.PositiveBigIntegerField()
    line_count = models.PositiveIntegerField()
    size_bytes = models.PositiveIntegerField()
    is_head = models.BooleanField(help_text="Belongs to the first half, which is kept for good.")
    lines: "models.JSONField[Any, list[list[Any]]]" = models.JSONField()

    objects = JobLogQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["attempt", "first_line"], name="log_part_once_per_line")
        ]

    def __str__(self) -> str:
        return f"lines from {self.first_line} of attempt {self.attempt_id}"
