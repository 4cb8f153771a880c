"""Certificates of reproduction: a version trained again from its recorded recipe, and what came out."""

from typing import Any, ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils import timezone

from deployments.models.registry import ModelVersion
from experiments.models import TrainingJob
from mlportal.lib import lease
from mlportal.lib.lease import LeasedWork
from projects.models.scoped import ProjectScoped


class ReproductionQuerySet(ProjectScoped["Reproduction"]):
    """Reads of reproductions."""

    project_path = "version__model__project"

    def trained(self) -> Self:
        """Those whose training has ended, so that there is something to compare."""
        return self.filter(job__state__in=lease.TERMINAL)

    def with_subject(self) -> Self:
        """Join what every line shows."""
        return self.select_related("version__model__project", "job__run", "asked_by")


class Reproduction(LeasedWork):
    """One training of a version again; the state is that of the comparison, which waits for the job.

    ``document`` is the certificate, signed as a whole. The database refuses to change a signed one.
    """

    class Verdict(models.TextChoices):
        REPRODUCED = "reproduced", "reproduced"
        WITHIN = "within_tolerance", "reproduced within tolerance"
        NOT = "not_reproduced", "not reproduced"

    version = models.ForeignKey(ModelVersion, models.PROTECT, related_name="reproductions")
    job = models.OneToOneField(TrainingJob, models.SET_NULL, null=True, related_name="reproduction")
    metric_tolerance = models.FloatField(help_text="Share of the recorded metric.")
    prediction_tolerance = models.FloatField(
        help_text="Probability; of numbers a share of the recorded predictions' deviation."
    )
    verdict = models.CharField(max_length=20, choices=Verdict, blank=True)
    document: "models.JSONField[Any, dict[str, Any] | None]" = models.JSONField(null=True)
    signature = models.CharField(max_length=100, blank=True, help_text="Ed25519 over the document, base64.")
    signed_by = models.CharField(max_length=16, blank=True, help_text="Id of the signing key.")
    asked_by = models.ForeignKey("projects.User", models.PROTECT, null=True, related_name="+")
    asked_at = models.DateTimeField(default=timezone.now)

    objects = ReproductionQuerySet.as_manager()

    class Meta:
        verbose_name = "reproduction"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["version"], condition=Q(state__in=["queued", "starting", "running"]),
                name="one_open_reproduction",
            ),
            models.CheckConstraint(
                condition=Q(verdict="") | ~Q(signature=""), name="a_verdict_of_reproduction_is_signed"
            ),
        ]  # fmt: skip
        indexes: ClassVar = [
            models.Index(
                fields=["queued_at"], condition=Q(state__in=["queued", "starting", "running"]),
                name="reproduction_open",
            )  # sweeper
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"reproduction {self.pk} of {self.version}"

    @property
    def is_good(self) -> bool:
        """Whether the version came out again."""
        return self.verdict in (self.Verdict.REPRODUCED, self.Verdict.WITHIN)
