"""The audit log, which is also the outbox: append-only, hash-chained, one row an acknowledged change."""

from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Self, TypeVar

from django.db import models
from django.db.models import Q

if TYPE_CHECKING:
    from projects.actor import Actor


Row = TypeVar("Row", bound=models.Model)


class AppendOnly(RuntimeError):
    """Somebody tried to change or remove what is only ever added."""

    def __init__(self) -> None:
        super().__init__("the audit log is append-only")


class AppendOnlyQuerySet(models.QuerySet[Row]):
    """Rows that can be read and added; the database refuses the rest too."""

    def update(self, **_: Any) -> NoReturn:
        """Refuse."""
        raise AppendOnly

    def delete(self) -> NoReturn:
        """Refuse."""
        raise AppendOnly


class AppendOnlyRow(models.Model):
    """A row that is added once and never changed."""

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Add; a second time is refused."""
        if not self._state.adding:
            raise AppendOnly
        super().save(*args, **kwargs)

    def delete(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse."""
        raise AppendOnly


class ChainHead(models.Model):
    """The one row that is locked while an event is appended, so that the chain never forks."""

    seq = models.PositiveBigIntegerField(default=0)
    hash = models.CharField(max_length=64, default="0" * 64)

    def __str__(self) -> str:
        return f"event {self.seq}"


class ParticularsQuerySet(AppendOnlyQuerySet["Particulars"]):
    """Reads of particulars, and the one change that is allowed."""

    def erase(self) -> int:
        """Take name, address and salt away for ever; the digest in the chain stays."""
        return super(AppendOnlyQuerySet, self.exclude(salt="")).update(name="", address="", salt="")


class Particulars(AppendOnlyRow):
    """Name and address of somebody an event names: the only personal part of the log, outside its chain.

    The chain holds ``digest``, which is salted, so that name, address and salt can be erased and the log still
    verifies. A trigger lets nothing else be changed. ``owner_id`` is the account, 0 for parts of the portal.
    """

    owner_id = models.BigIntegerField(default=0)
    name = models.CharField(max_length=220, blank=True)
    address = models.CharField(max_length=64, blank=True)
    salt = models.CharField(max_length=32, blank=True)
    digest = models.CharField(max_length=64)

    objects = ParticularsQuerySet.as_manager()

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["owner_id", "name", "address"], name="particulars_of")  # each event; erasure
        ]

    def __str__(self) -> str:
        return self.name or "erased person"


class EventQuerySet(AppendOnlyQuerySet["Event"]):
    """Reads of the audit log."""

    def visible_to(self, actor: "Actor") -> Self:
        """Events of the actor's projects; those without a project for a site administrator only."""
        from projects.models.projects import Project

        if actor.kind == "system" and actor.project_id is None:
            return self.all()
        inside = Q(project__in=Project.objects.visible_to(actor))
        if actor.user is not None and actor.user.is_site_admin:
            inside |= Q(project=None)
        return self.filter(inside)


class _EventManager(models.Manager["Event"]):
    def get_queryset(self) -> EventQuerySet:
        return EventQuerySet(self.model, using=self._db).select_related("who", "whom")


class Event(AppendOnlyRow):
    """One acknowledged change. Never updated, never deleted: triggers in the database refuse both."""

    class Result(models.TextChoices):
        DONE = "done", "done"
        REFUSED = "refused", "refused"
        FAILED = "failed", "failed"

    seq = models.PositiveBigIntegerField(unique=True)
    at = models.DateTimeField(help_text="By the clock of the database.")
    schema = models.PositiveSmallIntegerField()
    verb = models.CharField(max_length=60)
    result = models.CharField(max_length=8, choices=Result, default=Result.DONE)
    reason = models.TextField(blank=True)
    project = models.ForeignKey("projects.Project", models.DO_NOTHING, null=True, related_name="events")
    actor_kind = models.CharField(max_length=10)
    actor_id = models.BigIntegerField(null=True)
    on_behalf_of = models.BigIntegerField(null=True, help_text="Account for which a part of the portal acted.")
    token_id = models.BigIntegerField(null=True)
    who = models.ForeignKey(Particulars, models.DO_NOTHING, related_name="+", db_index=False)
    whom = models.ForeignKey(Particulars, models.DO_NOTHING, related_name="+", null=True, db_index=False)
    request_id = models.CharField(max_length=64, blank=True)
    target_type = models.CharField(max_length=40, blank=True)
    target_id = models.BigIntegerField(null=True)
    label = models.CharField(max_length=200, blank=True, help_text="What the object was called; not of people.")
    before_hash = models.CharField(max_length=64, blank=True)
    after_hash = models.CharField(max_length=64, blank=True)
    changes = models.JSONField(default=dict, help_text="Field: value before and after; secrets and people masked.")
    data = models.JSONField(default=dict)
    prev_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64, unique=True)

    objects = _EventManager.from_queryset(EventQuerySet)()

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["project", "-seq"], name="event_by_project"),  # activity, audit page
            models.Index(fields=["target_type", "target_id", "-seq"], name="event_by_target"),  # timelines
            models.Index(fields=["actor_id", "-seq"], name="event_by_actor"),  # audit page, erasure
            models.Index(fields=["at"], name="event_by_time"),  # audit page, exports by period
        ]

    def __str__(self) -> str:
        return f"{self.seq} {self.actor_name} {self.verb} {self.target_label}"

    @property
    def actor_name(self) -> str:
        """Who acted, by the name of that time."""
        return str(self.who)

    @property
    def address(self) -> str:
        """Where the call came from."""
        return self.who.address

    @property
    def target_label(self) -> str:
        """What it was done to, by the name of that time."""
        return str(self.whom) if self.whom_id and self.target_type == "user" else self.label

    def entry(self) -> dict[str, Any]:
        """Return what the hash covers, as plain data."""
        return {
            "schema": self.schema,
            "seq": self.seq,
            "at": self.at.isoformat(timespec="microseconds"),
            "verb": self.verb,
            "result": self.result,
            "reason": self.reason,
            "project": self.project_id,
            "actor": {
                "kind": self.actor_kind, "id": self.actor_id, "on_behalf_of": self.on_behalf_of,
                "token": self.token_id,
            },
            "who": self.who.digest,
            "whom": self.whom.digest if self.whom else None,
            "request": self.request_id,
            "target": {"type": self.target_type, "id": self.target_id, "label": self.label},
            "before": self.before_hash,
            "after": self.after_hash,
            "changes": self.changes,
            "data": self.data,
            "prev": self.prev_hash,
        }  # fmt: skip


class ObjectState(models.Model):
    """What an object looked like at its newest event, so that the next one can say what changed."""

    target_type = models.CharField(max_length=40)
    target_id = models.BigIntegerField()
    fields = models.JSONField()
    salt = models.CharField(max_length=32, blank=True, help_text="For what belongs to a person.")
    hash = models.CharField(max_length=64)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["target_type", "target_id"], name="one_known_state")]

    def __str__(self) -> str:
        return f"{self.target_type} {self.target_id}"


class AnchorQuerySet(AppendOnlyQuerySet["Anchor"]):
    """Reads of anchors."""

    def visible_to(self, actor: "Actor") -> Self:
        """All of them for a site administrator: they speak of the whole log."""
        return self if actor.user is not None and actor.user.is_site_admin else self.none()


class Anchor(AppendOnlyRow):
    """Where the log stood at a moment, signed; the same line is kept in a second place."""

    class Cause(models.TextChoices):
        HOUR = "hour", "every hour"
        PROMOTION = "promotion", "a promotion"
        REQUEST = "request", "asked for"

    number = models.PositiveBigIntegerField(unique=True)
    seq = models.PositiveBigIntegerField()
    head_hash = models.CharField(max_length=64)
    count = models.PositiveBigIntegerField()
    at = models.DateTimeField()
    cause = models.CharField(max_length=10, choices=Cause)
    previous = models.CharField(max_length=64, help_text="sha256 of the anchor before.")
    key_id = models.CharField(max_length=16)
    signature = models.CharField(max_length=100)

    objects = AnchorQuerySet.as_manager()

    def __str__(self) -> str:
        return f"anchor {self.number} at event {self.seq}"

    def line(self) -> dict[str, Any]:
        """Return what is signed, as plain data."""
        return {
            "anchor": self.number, "seq": self.seq, "hash": self.head_hash, "count": self.count,
            "at": self.at.isoformat(timespec="microseconds"), "cause": self.cause, "previous": self.previous,
            "key": self.key_id,
        }  # fmt: skip


class AnchorCopy(models.Model):
    """One place an anchor was sent to, and what came of it."""

    anchor = models.ForeignKey(Anchor, models.PROTECT, related_name="copies")
    place = models.CharField(max_length=10, choices=[("file", "file"), ("webhook", "webhook"), ("mail", "e-mail")])
    target = models.CharField(max_length=300)
    sent_at = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    failure = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["anchor", "place"], name="one_copy_a_place")]
        indexes: ClassVar = [models.Index(fields=["place"], condition=Q(sent_at=None), name="copy_open")]

    def __str__(self) -> str:
        return f"{self.anchor} in {self.target}"


class EventDelivery(models.Model):
    """Work that one consumer owes one event; written with the event, done exactly once."""

    event = models.ForeignKey(Event, models.DO_NOTHING, related_name="deliveries")
    task = models.CharField(max_length=100)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_at = models.DateTimeField()
    done_at = models.DateTimeField(null=True)
    failure = models.TextField(blank=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["event", "task"], name="one_delivery_a_consumer")]
        indexes: ClassVar = [
            models.Index(fields=["next_at"], condition=Q(done_at=None), name="delivery_open")  # republish_events
        ]

    def __str__(self) -> str:
        return f"{self.task} of event {self.event_id}"
