"""Papers about a model: what people wrote in its card and technical file, cards kept with requests, issued files."""

from datetime import datetime
from typing import ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils import timezone

from deployments.models.promotions import PromotionRequest
from deployments.models.registry import ModelVersion, RegisteredModel
from mlportal.lib.lease import LeasedWork
from projects.models import Project
from projects.models.scoped import ProjectScoped

KEPT_YEARS = 10


class PaperVersionQuerySet(ProjectScoped["PaperVersion"]):
    """Reads of written parts."""

    project_path = "model__project"

    def about(self, version: ModelVersion, paper: str) -> Self:
        """Those that a reader of one version sees: of the whole model, and of this version alone."""
        return self.filter(Q(version=None) | Q(version=version), model=version.model_id, paper=paper)


class PaperVersion(models.Model):
    """One saved change of what people wrote: a new version of the card or of the technical file. Never changed.

    ``parts`` is everything written at this level after the change, by name:
    ``{"limitations": {"text", "by": account, "at", "number"}}``; who, when and number are those of that part. Texts of
    a version stand over those of its model.
    """

    class Paper(models.TextChoices):
        CARD = "card", "model card"
        FILE = "file", "technical file"

    model = models.ForeignKey(RegisteredModel, models.CASCADE, related_name="papers")
    version = models.ForeignKey(ModelVersion, models.CASCADE, null=True, related_name="papers")
    paper = models.CharField(max_length=4, choices=Paper)
    number = models.PositiveIntegerField()
    parts = models.JSONField()
    changed = models.JSONField(help_text="Names of the parts that this change touched.")
    sha256 = models.CharField(max_length=64, help_text="Hash of the parts.")
    written_by = models.ForeignKey("projects.User", models.PROTECT, related_name="+")
    written_at = models.DateTimeField(default=timezone.now)

    objects = PaperVersionQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["model", "paper", "number"], name="one_paper_a_number"),
            models.CheckConstraint(condition=Q(paper__in=["card", "file"]), name="paper_known"),
        ]

    def __str__(self) -> str:
        return f"{self.get_paper_display()} {self.number} of {self.version or self.model}"


class KeptCard(models.Model):
    """The model card as it was when a request was measured: what the approver saw. Never changed."""

    request = models.OneToOneField(PromotionRequest, models.CASCADE, related_name="kept_card")
    number = models.PositiveIntegerField(help_text="Version of the card; 0 when nobody had written anything.")
    document = models.JSONField()
    sha256 = models.CharField(max_length=64, help_text="Hash of the document; the audit log has it too.")
    made_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"card {self.number} of {self.request}"


class DrawnPaper(LeasedWork):
    """A paper that a worker draws as PDF, by its content; kept for a while, so that the next download is at once."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="+")
    sha256 = models.CharField(max_length=64, unique=True, help_text="Hash of the paper with the names it shows.")
    document = models.JSONField(null=True, help_text="The paper, people as accounts; gone once it is drawn.")
    about = models.JSONField(default=dict, help_text="More facts for its head.")
    file_sha256 = models.CharField(max_length=64, blank=True, help_text="The stored PDF.")
    size_bytes = models.PositiveBigIntegerField(default=0)

    class Meta:
        indexes: ClassVar = [
            models.Index(
                fields=["queued_at"], condition=Q(state__in=["queued", "starting", "running"]), name="drawing_open"
            ),  # sweeper
            models.Index(fields=["ended_at"], name="drawing_ended"),  # sweeper
        ]

    def __str__(self) -> str:
        return f"PDF {self.sha256[:12]}"


class TechnicalFileQuerySet(ProjectScoped["TechnicalFile"]):
    """Reads of issues."""

    project_path = "version__model__project"


class TechnicalFile(LeasedWork):
    """One issue of the technical file of a version; a worker packs it. Once packed it is never changed or deleted."""

    version = models.ForeignKey(ModelVersion, models.PROTECT, related_name="technical_files")
    number = models.PositiveIntegerField(help_text="Issues of all versions of a model are counted in one line.")
    document = models.JSONField(null=True)
    sha256 = models.CharField(max_length=64, blank=True, help_text="Hash of the document.")
    file_sha256 = models.CharField(max_length=64, blank=True, help_text="The stored zip.")
    size_bytes = models.PositiveBigIntegerField(default=0)
    filled = models.PositiveSmallIntegerField(default=0)
    asked = models.PositiveSmallIntegerField(default=0)
    model = models.ForeignKey(RegisteredModel, models.PROTECT, related_name="technical_files")
    issued_by = models.ForeignKey("projects.User", models.PROTECT, related_name="+")
    asked_at = models.DateTimeField(default=timezone.now)

    objects = TechnicalFileQuerySet.as_manager()

    class Meta:
        verbose_name = "technical file"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["model", "number"], name="one_issue_a_number"),
            models.UniqueConstraint(
                fields=["version"], condition=Q(state__in=["queued", "starting", "running"]), name="one_open_issue"
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["queued_at"], condition=Q(state__in=["queued", "starting", "running"]), name="issue_open"
            )  # sweeper
        ]

    def __str__(self) -> str:
        return f"technical file {self.number} of {self.version}"

    @property
    def kept_until(self) -> datetime:
        """Until when it has to be kept, at the least."""
        day = self.asked_at
        leap = day.month == 2 and day.day == 29
        return day.replace(year=day.year + KEPT_YEARS, day=28 if leap else day.day)

    @property
    def percent(self) -> int:
        """Share of the fields that are filled, 0 to 100."""
        return 100 * self.filled // self.asked if self.asked else 0
