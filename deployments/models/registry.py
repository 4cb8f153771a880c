"""Models, their versions and the names that point at versions."""

from typing import TYPE_CHECKING, ClassVar, Self

from django.db import models
from django.db.models import Q

from projects.models import Project

if TYPE_CHECKING:
    from projects.actor import Actor


class RegisteredModelQuerySet(models.QuerySet["RegisteredModel"]):
    """Reads of models."""

    def visible_to(self, actor: "Actor") -> Self:
        """Models of the actor's projects."""
        return self.filter(project__in=Project.objects.visible_to(actor))

    def in_project(self, project: Project) -> Self:
        """Models of one project."""
        return self.filter(project=project)


class RegisteredModel(models.Model):
    """A line of versions that do the same work."""

    project = models.ForeignKey(Project, models.PROTECT, related_name="registered_models")
    name = models.CharField(max_length=100)
    name_key = models.CharField(max_length=100)
    description = models.TextField(blank=True)
    created_by = models.ForeignKey("projects.User", models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = RegisteredModelQuerySet.as_manager()

    class Meta:
        verbose_name = "model"
        constraints: ClassVar = [models.UniqueConstraint(fields=["project", "name_key"], name="one_model_a_name")]

    def __str__(self) -> str:
        return self.name


class ModelVersionQuerySet(models.QuerySet["ModelVersion"]):
    """Reads of versions."""

    def visible_to(self, actor: "Actor") -> Self:
        """Versions in the actor's projects."""
        return self.filter(model__project__in=Project.objects.visible_to(actor))

    def in_project(self, project: Project) -> Self:
        """Versions of one project's models."""
        return self.filter(model__project=project)

    def with_origin(self) -> Self:
        """Join what a page about a version shows."""
        return self.select_related("model__project", "run", "dataset_version__dataset", "created_by")


class ModelVersion(models.Model):
    """One trained model with its files, where it came from, and a signature over both. Never changes but for state."""

    class State(models.TextChoices):
        READY = "ready", "ready"
        DAMAGED = "damaged", "damaged"

    model = models.ForeignKey(RegisteredModel, models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    run = models.ForeignKey("experiments.Run", models.PROTECT, related_name="model_versions")
    dataset_version = models.ForeignKey("projects.DatasetVersion", models.PROTECT, null=True, related_name="+")
    state = models.CharField(max_length=10, choices=State, default=State.READY)
    task = models.CharField(max_length=20, blank=True)
    algorithm = models.CharField(max_length=100, blank=True)
    manifest = models.JSONField(help_text="Rows of path, sha256 and size_bytes, sorted by path.")
    provenance = models.JSONField(help_text="Run, data set hash, library versions, attempt: hashed with the manifest.")
    manifest_sha256 = models.CharField(max_length=64)
    manifest_signature = models.CharField(max_length=100, help_text="Ed25519 over the manifest hash, base64.")
    signed_by = models.CharField(max_length=16, help_text="Id of the signing key.")
    signature = models.JSONField(help_text="Schema of inputs and outputs.")
    environment = models.JSONField(default=dict, help_text="Python and library versions of the training.")
    metrics = models.JSONField(default=dict, help_text="Metrics of the run when it was registered.")
    importance = models.JSONField(default=list, help_text="Permutation importance per feature.")
    reference_grids = models.JSONField(null=True, help_text="Drift grids of the held-out rows, made by a worker.")
    size_bytes = models.PositiveBigIntegerField(default=0)
    created_by = models.ForeignKey("projects.User", models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    verified_at = models.DateTimeField(null=True)

    objects = ModelVersionQuerySet.as_manager()

    class Meta:
        verbose_name = "model version"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["model", "number"], name="one_version_a_number"),
            models.UniqueConstraint(fields=["model", "run"], name="one_version_a_run"),
        ]

    def __str__(self) -> str:
        return f"{self.model.name} v{self.number}"

    @property
    def label(self) -> str:
        """The version as people read it; monitors and alerts use the same word."""
        return f"v{self.number}"

    def file(self, path: str) -> str | None:
        """Return the sha256 of a file of the manifest, None when it has no such file."""
        return next((row["sha256"] for row in self.manifest if row["path"] == path), None)


class Alias(models.Model):
    """A name that points at a version for a span of time."""

    model = models.ForeignKey(RegisteredModel, models.CASCADE, related_name="aliases")
    name = models.CharField(max_length=100)
    version = models.ForeignKey(ModelVersion, models.PROTECT, related_name="aliases")
    set_by = models.ForeignKey("projects.User", models.PROTECT, related_name="+")
    valid_from = models.DateTimeField(auto_now_add=True)
    valid_to = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["model", "name"], condition=Q(valid_to=None), name="one_open_alias_a_name")
        ]

    def __str__(self) -> str:
        return f"{self.name} → {self.version}"
