"""Models, their versions and the names that point at versions."""

from typing import ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils import timezone

from projects.models import Project
from projects.models.scoped import ProjectScoped


class RegisteredModel(models.Model):
    """A line of versions that do the same work, and what it may be used for."""

    class Risk(models.TextChoices):
        """Risk classes in the words of the EU AI Act."""

        NOT_STATED = "", "not stated"
        MINIMAL = "minimal", "minimal"
        LIMITED = "limited", "limited"
        HIGH = "high", "high"

    project = models.ForeignKey(Project, models.PROTECT, related_name="registered_models")
    name = models.CharField(max_length=256)
    description = models.TextField(blank=True)
    owner = models.ForeignKey("projects.User", models.PROTECT, null=True, related_name="owned_models")
    intended_purpose = models.TextField(blank=True)
    risk_class = models.CharField(max_length=10, choices=Risk, default=Risk.NOT_STATED, blank=True)
    out_of_scope_use = models.TextField(blank=True)
    revision = models.PositiveIntegerField(default=0, help_text="Edits of what people say of it; a form names its own.")
    last_number = models.PositiveIntegerField(default=0, help_text="Highest version ever; a number is never reused.")
    created_by = models.ForeignKey("projects.User", models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)

    objects = ProjectScoped.as_manager()

    class Meta:
        verbose_name = "model"
        constraints: ClassVar = [models.UniqueConstraint(fields=["project", "name"], name="one_model_a_name")]

    def __str__(self) -> str:
        return self.name


class RegisteredModelTag(models.Model):
    """One tag of one model; the last value wins."""

    model = models.ForeignKey(RegisteredModel, models.CASCADE, related_name="tag_rows", db_index=False)
    key = models.CharField(max_length=250)
    value = models.TextField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["model", "key"], name="model_tag_once")]

    def __str__(self) -> str:
        return f"{self.key}: {self.value[:80]}"


class ModelVersionQuerySet(ProjectScoped["ModelVersion"]):
    """Reads of versions."""

    project_path = "model__project"

    def with_origin(self) -> Self:
        """Join what a page about a version shows."""
        return self.select_related("model__project", "run", "dataset_version__dataset", "created_by", "conversion")


class ModelVersion(models.Model):
    """One trained model with its files, where it came from, and a signature over both.

    The files and their origin never change. Description, tags and stage are labels that may.
    """

    class Origin(models.TextChoices):
        PORTAL = "portal", "registered in the portal"
        MLFLOW = "mlflow", "registered by an MLflow client"

    class Stage(models.TextChoices):
        NONE = "None"
        STAGING = "Staging"
        PRODUCTION = "Production"
        ARCHIVED = "Archived"

    class State(models.TextChoices):
        READY = "ready", "ready"
        DAMAGED = "damaged", "damaged"

    model = models.ForeignKey(RegisteredModel, models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    origin = models.CharField(max_length=6, choices=Origin, default=Origin.PORTAL)
    run = models.ForeignKey("experiments.Run", models.PROTECT, null=True, related_name="model_versions")
    run_uuid = models.CharField(
        max_length=256, blank=True, help_text="Id of the run as the client named it; it may be on another server."
    )
    logged_model = models.ForeignKey(
        "experiments.LoggedModel", models.PROTECT, null=True, related_name="model_versions"
    )
    source = models.TextField(
        blank=True, help_text="Where the files lie, as the client named it; never opened as such."
    )
    location = models.TextField(blank=True, help_text="Where clients download the files; never opened here.")
    run_link = models.CharField(max_length=500, blank=True)
    description = models.TextField(blank=True)
    stage = models.CharField(
        max_length=10, choices=Stage, default=Stage.NONE, help_text="MLflow's label; moves nothing."
    )
    dataset_version = models.ForeignKey("projects.DatasetVersion", models.PROTECT, null=True, related_name="+")
    state = models.CharField(max_length=10, choices=State, default=State.READY)
    task = models.CharField(max_length=20, blank=True)
    algorithm = models.CharField(max_length=100, blank=True)
    flavors = models.JSONField(default=dict, help_text="Kinds of model that the client's MLmodel file names.")
    manifest = models.JSONField(help_text="Rows of path, sha256 and size_bytes, sorted by path.")
    provenance = models.JSONField(help_text="Run, dataset hash, library versions, attempt: hashed with the manifest.")
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
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)
    verified_at = models.DateTimeField(null=True)

    objects = ModelVersionQuerySet.as_manager()

    class Meta:
        verbose_name = "model version"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["model", "number"], name="one_version_a_number"),
            models.UniqueConstraint(fields=["model", "run"], condition=Q(origin="portal"), name="one_version_a_run"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["run_uuid"], condition=~Q(run_uuid=""), name="version_by_run_uuid"),  # client searches
        ]

    def __str__(self) -> str:
        return f"{self.model.name} v{self.number}"

    @property
    def label(self) -> str:
        """The version as people read it; monitors and alerts use the same word."""
        return f"v{self.number}"

    @property
    def is_of_client(self) -> bool:
        """Whether an MLflow client registered it."""
        return self.origin == self.Origin.MLFLOW

    def file(self, path: str) -> str | None:
        """Return the sha256 of a file of the manifest, None when it has no such file."""
        return next((row["sha256"] for row in self.manifest if row["path"] == path), None)


class ModelVersionTag(models.Model):
    """One tag of one version; the last value wins."""

    version = models.ForeignKey(ModelVersion, models.CASCADE, related_name="tag_rows", db_index=False)
    key = models.CharField(max_length=250)
    value = models.TextField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["version", "key"], name="version_tag_once")]

    def __str__(self) -> str:
        return f"{self.key}: {self.value[:80]}"


class Alias(models.Model):
    """A name that points at a version for a span of time."""

    model = models.ForeignKey(RegisteredModel, models.CASCADE, related_name="aliases")
    name = models.CharField(max_length=255)
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
