"""Where predictions are asked for, and which version answered there at every moment."""

from typing import ClassVar, Self

from django.db import models
from django.db.models import Q

from projects.models import Project
from projects.models.scoped import ProjectScoped


class EndpointQuerySet(ProjectScoped["Endpoint"]):
    """Reads of endpoints."""

    def with_live(self) -> Self:
        """Join what every line about an endpoint shows."""
        return self.select_related(
            "project", "environment", "model", "current_revision__version__model", "current_revision__promotion",
            "current_revision__version__conversion", "frozen_by",
        )  # fmt: skip


class Endpoint(models.Model):
    """A stable address for predictions. Points at one immutable revision."""

    class LogMode(models.TextChoices):
        ALL = "all", "all features"
        HASHED = "hashed", "features hashed"
        NONE = "none", "no features"

    class Logging(models.TextChoices):
        OFF = "off", "nothing is written; nothing is watched"
        SAMPLE = "sample", "every row is counted, the features of a share are kept"
        SAFE = "safe", "written before the answer; survives a killed process"
        DURABLE = "durable", "on the disk before the answer; survives a power cut"

    class OnLogFailure(models.TextChoices):
        SERVE = "serve", "answer and count the lost lines"
        REFUSE = "refuse", "answer nothing that cannot be logged"

    project = models.ForeignKey(Project, models.PROTECT, related_name="endpoints")
    name = models.CharField(max_length=210)
    name_key = models.CharField(max_length=210)
    environment = models.ForeignKey("deployments.Environment", models.PROTECT, related_name="endpoints")
    model = models.ForeignKey("deployments.RegisteredModel", models.PROTECT, related_name="endpoints")
    enabled = models.BooleanField(default=True)
    log_mode = models.CharField(max_length=10, choices=LogMode, default=LogMode.ALL)
    on_log_failure = models.CharField(max_length=6, choices=OnLogFailure, default=OnLogFailure.SERVE)
    logging = models.CharField(max_length=7, choices=Logging, default=Logging.SAFE)
    sample_share = models.FloatField(default=0.1, help_text="Share of requests whose features a sample keeps.")
    masked_columns = models.JSONField(default=list, help_text="Columns of which the log keeps only hashes.")
    log_days = models.PositiveIntegerField(default=30, help_text="Days predictions are kept; 0: as the settings say.")
    requests_per_minute = models.PositiveIntegerField(default=0, help_text="Of all callers; 0 for no limit.")
    caller_requests_per_minute = models.PositiveIntegerField(default=0, help_text="Of each token; 0 for no limit.")
    current_revision = models.ForeignKey("deployments.EndpointRevision", models.PROTECT, null=True, related_name="+")
    frozen_at = models.DateTimeField(null=True, help_text="Since when nothing may switch, until a newer approval.")
    frozen_by = models.ForeignKey("deployments.Condition", models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = EndpointQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project", "name_key"], name="one_endpoint_a_name"),
            models.UniqueConstraint(fields=["model", "environment"], name="one_endpoint_a_model_and_environment"),
        ]

    def __str__(self) -> str:
        return self.name


class EndpointRevision(models.Model):
    """One setting of an endpoint: which version answers and why. A trigger in the database refuses changes."""

    class Kind(models.TextChoices):
        PROMOTION = "promotion", "promotion"
        ROLLBACK = "rollback", "rollback"
        BREAK_GLASS = "break_glass", "break-glass"
        ROLLOUT = "rollout", "rollout"
        TRIAL = "trial", "experiment"

    endpoint = models.ForeignKey(Endpoint, models.PROTECT, related_name="revisions")
    number = models.PositiveIntegerField()
    version = models.ForeignKey("deployments.ModelVersion", models.PROTECT, related_name="revisions")
    kind = models.CharField(max_length=12, choices=Kind, default=Kind.PROMOTION)
    promotion = models.ForeignKey("deployments.PromotionRequest", models.PROTECT, null=True, related_name="revisions")
    previous = models.ForeignKey("self", models.PROTECT, null=True, related_name="+")
    routes = models.JSONField(
        default=list,
        help_text="Rows of variant, version_id, version, weight, mode; none: the version answers all.",
    )
    salt = models.CharField(max_length=64, blank=True, help_text="Key of the assignment of units to routes.")
    score_edges = models.JSONField(default=list, help_text="Where the bins lie in which scores of routes are counted.")
    base = models.ForeignKey(
        "self",
        models.PROTECT,
        null=True,
        related_name="+",
        help_text="Of a step of traffic: the revision that put the version live.",
    )
    rollout = models.ForeignKey("deployments.Rollout", models.PROTECT, null=True, related_name="revisions")
    trial = models.ForeignKey("deployments.Trial", models.PROTECT, null=True, related_name="revisions")
    reason = models.TextField(blank=True)
    created_by = models.ForeignKey("projects.User", models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["endpoint", "number"], name="one_revision_a_number"),
            models.UniqueConstraint(
                fields=["promotion"], condition=Q(kind__in=["promotion", "break_glass"]), name="one_switch_a_promotion"
            ),
            models.CheckConstraint(
                condition=~Q(kind__in=["promotion", "break_glass"]) | Q(promotion__isnull=False),
                name="a_switch_names_its_promotion",
            ),
            models.CheckConstraint(condition=Q(kind="promotion") | ~Q(reason=""), name="a_rollback_has_a_reason"),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.endpoint.name} revision {self.number}"

    @property
    def put_live(self) -> int:
        """Id of the revision that put its version live: its own, or that which a step of traffic stands on."""
        return self.base_id or self.pk


class EndpointInterval(models.Model):
    """Which revision answered in a span of time; at most one span is open."""

    endpoint = models.ForeignKey(Endpoint, models.PROTECT, related_name="intervals")
    revision = models.ForeignKey(EndpointRevision, models.PROTECT, related_name="intervals")
    enabled = models.BooleanField(default=True)
    valid_from = models.DateTimeField()
    valid_to = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["endpoint"], condition=Q(valid_to=None), name="one_open_interval"),
            models.CheckConstraint(
                condition=Q(valid_to=None) | Q(valid_to__gte=models.F("valid_from")), name="interval_ends_after_start"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.revision} from {self.valid_from:%F %T}"


class RollbackReview(models.Model):
    """Opened by every rollback and every break-glass: somebody with the right to approve looks at it afterwards.

    That of a rollback is closed with a comment. That of a break-glass is forced: it is confirmed or rolled back.
    """

    class Outcome(models.TextChoices):
        NOTED = "noted", "noted"
        CONFIRMED = "confirmed", "confirmed"
        ROLLED_BACK = "rolled_back", "rolled back"

    revision = models.OneToOneField(EndpointRevision, models.PROTECT, related_name="review")
    closed_at = models.DateTimeField(null=True)
    closed_by = models.ForeignKey("projects.User", models.PROTECT, null=True, related_name="+")
    comment = models.TextField(blank=True)
    outcome = models.CharField(max_length=12, choices=Outcome, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(closed_at=None, closed_by=None) | Q(closed_at__isnull=False, closed_by__isnull=False),
                name="a_closed_review_names_who",
            )
        ]

    def __str__(self) -> str:
        return f"review of {self.revision}"
