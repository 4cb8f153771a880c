"""Datasets: named tables of a project, each version an immutable file with its profile."""

from typing import TYPE_CHECKING, ClassVar, Self

from django.db import models
from django.db.models import Q
from django.db.models.functions import Coalesce

from mlportal.lib.lease import LeasedWork, WorkState
from projects.models.marks import Star
from projects.models.projects import Project
from projects.models.scoped import ProjectScoped

if TYPE_CHECKING:
    from projects.actor import Actor


MOST_WORDS = 20


def _facet(key: str, value: str) -> Q:
    """Condition on one thing that is said of a dataset."""
    if key == "tag":
        return Q(tags__icontains=f'"{value}"')
    if key == "owner":
        return Q(owner__username__iexact=value) | Q(owner=None, created_by__username__iexact=value)
    later = DatasetVersion.objects.filter(
        dataset=models.OuterRef("dataset"), number__gt=models.OuterRef("number"), deleted_at=None
    )
    newest = DatasetVersion.objects.filter(~models.Exists(later), dataset=models.OuterRef("pk"), deleted_at=None)
    if key == "source":
        return Q(models.Exists(newest.filter(source_kind=value)))
    if key == "checks":
        return Q(models.Exists(newest.filter(check_state=value)))
    # names of columns stand in the schema as "name": "age"
    return Q(models.Exists(newest.filter(schema__icontains=f'"name": "{value}')))


class DatasetQuerySet(ProjectScoped["Dataset"]):
    """Reads of datasets."""

    def visible_to(self, actor: "Actor") -> Self:
        """Datasets of projects the actor may see, without those in the trash."""
        return super().visible_to(actor).filter(deleted_at=None)

    def in_project(self, project: Project) -> Self:
        """Datasets of one project, without those in the trash."""
        return super().in_project(project).filter(deleted_at=None)

    def trashed(self, project: Project) -> Self:
        """Datasets of one project that wait in the trash."""
        return self.filter(project=project, deleted_at__isnull=False)

    def matching(self, text: str, *, me: str = "") -> Self:
        """Datasets that fit each word: in the name, description, owner, a tag, or a column of the newest version.

        ``tag:eu``, ``owner:ana`` (or ``me``), ``column:age``, ``source:url`` and ``checks:failed`` (or passed,
        error, none) look at one of these only; ``is:starred`` keeps what ``me`` has starred.
        """
        found = self
        for word in text.split()[:MOST_WORDS]:
            key, colon, value = word.partition(":")
            if word == "is:starred":
                stars = Star.objects.filter(user__username=me, target_type="dataset")
                found = found.filter(pk__in=stars.values("target_id"))
            elif colon and value and key in ("tag", "owner", "column", "source", "checks"):
                found = found.filter(_facet(key, me if key == "owner" and value == "me" else value))
            else:
                found = found.filter(
                    Q(name__icontains=word) | Q(description__icontains=word) | Q(owner__username__icontains=word)
                    | Q(tags__icontains=word) | _facet("column", word)
                )  # fmt: skip
        return found

    def with_latest(self) -> Self:
        """Add the id of the newest version and the count of versions, without a query a row."""
        kept = DatasetVersion.objects.filter(dataset=models.OuterRef("pk"), deleted_at=None)
        newest = kept.order_by("-number")
        counted = kept.order_by().values("dataset").annotate(count=models.Count("pk"))
        return self.annotate(
            latest_id=models.Subquery(newest.values("pk")[:1]),
            latest_at=models.Subquery(newest.values("created_at")[:1]),
            version_count=Coalesce(models.Subquery(counted.values("count")), 0),
        )


class Dataset(models.Model):
    """A named table; its content is in its versions."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="datasets")
    name = models.CharField(max_length=100)
    name_key = models.CharField(max_length=100, editable=False, help_text="Folded name, unique in the project.")
    description = models.TextField(blank=True, help_text="Markdown.")
    owner = models.ForeignKey("projects.User", models.PROTECT, null=True, related_name="+", help_text="Who answers.")
    licence = models.CharField(max_length=100, blank=True, help_text="SPDX identifier, or words of one's own.")
    tags = models.JSONField(default=list, blank=True, help_text="Words, sorted.")
    marks = models.JSONField(default=dict, blank=True, help_text="Sensitivity by column: personal, sensitive, secret.")
    revision = models.PositiveIntegerField(default=1, help_text="Grows with each edit, so that none is overwritten.")
    created_by = models.ForeignKey("projects.User", models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    deleted_at = models.DateTimeField(null=True)
    deleted_by = models.ForeignKey("projects.User", models.PROTECT, null=True, related_name="+")

    objects = DatasetQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["project", "name_key"], condition=Q(deleted_at=None), name="dataset_name_once_a_project"
            )
        ]

    def __str__(self) -> str:
        return self.name


class DatasetVersionQuerySet(ProjectScoped["DatasetVersion"]):
    """Reads of dataset versions."""

    project_path = "dataset__project"

    def visible_to(self, actor: "Actor") -> Self:
        """Versions in projects the actor may see, without those in the trash."""
        return super().visible_to(actor).kept()

    def in_project(self, project: Project) -> Self:
        """Versions of one project's datasets, without those in the trash."""
        return super().in_project(project).kept()

    def kept(self) -> Self:
        """Versions that are not in the trash, nor their dataset."""
        return self.filter(deleted_at=None, dataset__deleted_at=None)

    def ready(self) -> Self:
        """Versions that are profiled and can be trained on."""
        return self.kept().filter(state=WorkState.SUCCEEDED)

    def light(self) -> Self:
        """Without the profile, which no list shows and which can be large."""
        return self.defer("profile", "warnings", "schema", "manifest")


class DatasetVersion(LeasedWork):
    """An uploaded file, its typed copy and its profile. The profiling of it is leased work."""

    class Format(models.TextChoices):
        """Kinds of files that are taken."""

        CSV = "csv", "CSV"
        PARQUET = "parquet", "Parquet"

    class CheckState(models.TextChoices):
        """What the newest finished run of the dataset's checks found."""

        NONE = "none", "not checked"
        PASSED = "passed", "passed"
        FAILED = "failed", "failed"
        ERROR = "error", "could not be measured"

    class Source(models.TextChoices):
        """Where a version came from."""

        UPLOAD = "upload", "Upload"
        SAMPLE = "sample", "Bundled sample"
        URL = "url", "Address"
        S3 = "s3", "S3 object"
        POSTGRES = "postgres", "PostgreSQL query"
        FOLDER = "folder", "Folder by reference"
        SCORED = "scored", "Batch scoring"

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    sample = models.CharField(max_length=40, blank=True, help_text="Bundled sample it was made from.")
    sha256 = models.CharField(max_length=64, blank=True, help_text="The uploaded bytes; empty until a sample is built.")
    size_bytes = models.BigIntegerField(default=0)
    filename = models.CharField(max_length=255)
    format = models.CharField(max_length=10, choices=Format, default=Format.CSV)
    encoding = models.CharField(max_length=20, blank=True, help_text="What the user chose; empty to detect.")
    delimiter = models.CharField(max_length=1, blank=True, help_text="What the user chose; empty to detect.")
    row_count = models.BigIntegerField(null=True)
    column_count = models.PositiveIntegerField(null=True)
    schema = models.JSONField(default=list, blank=True)
    profile = models.JSONField(default=dict, blank=True)
    warnings = models.JSONField(default=list, blank=True)
    facts = models.JSONField(default=dict, blank=True, help_text="How it was read: encoding, delimiter, duplicates.")
    parquet_sha256 = models.CharField(max_length=64, blank=True, help_text="Typed canonical copy.")
    check_state = models.CharField(max_length=6, choices=CheckState, default=CheckState.NONE)
    source_kind = models.CharField(max_length=10, choices=Source, default=Source.UPLOAD)
    source = models.JSONField(default=dict, blank=True, help_text="Address, query or folder; never a secret.")
    sealed_source = models.TextField(blank=True, help_text="The part of the source that may hold a secret.")
    manifest = models.JSONField(default=list, blank=True, help_text="Files of a folder: name, size_bytes, sha256.")
    derived_from = models.ForeignKey("self", models.SET_NULL, null=True, related_name="derived")
    created_by = models.ForeignKey("projects.User", models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    deleted_at = models.DateTimeField(null=True)
    deleted_by = models.ForeignKey("projects.User", models.PROTECT, null=True, related_name="+")

    objects = DatasetVersionQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["dataset", "number"], name="dataset_version_number_once"),
            models.UniqueConstraint(
                fields=["dataset", "sha256", "encoding", "delimiter"],
                condition=~Q(sha256="") & Q(deleted_at=None),
                name="dataset_content_once",
            ),
            models.CheckConstraint(
                condition=~Q(state=WorkState.SUCCEEDED)
                | (Q(row_count__gt=0) & (~Q(parquet_sha256="") | Q(source_kind="folder"))),
                name="dataset_version_ready_has_copy",
            ),
        ]
        indexes: ClassVar = [
            # serves the sweeper, which looks for queued and active rows every few seconds
            models.Index(
                fields=["state", "queued_at"],
                condition=Q(state__in=["queued", "starting", "running"]),
                name="dataset_version_open",
            )
        ]

    def __str__(self) -> str:
        return f"{self.dataset.name} v{self.number}"

    @property
    def is_ready(self) -> bool:
        """Whether it is profiled and can be trained on."""
        return self.state == WorkState.SUCCEEDED

    @property
    def label(self) -> str:
        """``v3``."""
        return f"v{self.number}"
