"""Changes to many runs at once: what was chosen, what was done to each page of runs, and how to take it back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from django.conf import settings
from django.db import models
from django.db.models import Q

from experiments.models.runs import Experiment
from mlportal.lib.lease import ACTIVE, TERMINAL, LeasedWork, WorkState
from projects.models.scoped import ProjectScoped

if TYPE_CHECKING:
    from projects.actor import Actor


class SelectionQuerySet(models.QuerySet["Selection"]):
    """Reads of selections."""

    def visible_to(self, actor: Actor) -> Self:
        """Keep the actor's own."""
        return self.filter(user=actor.user) if actor.user is not None else self.none()


class Selection(models.Model):
    """The runs a person has chosen in one experiment or in all, once they are too many for an address."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    project = models.ForeignKey("projects.Project", on_delete=models.CASCADE, related_name="+")
    # None on the page of all runs of the project.
    experiment = models.ForeignKey(Experiment, null=True, on_delete=models.CASCADE, related_name="+")
    run_ids = models.JSONField(default=list)
    updated_at = models.DateTimeField()

    objects = SelectionQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "experiment"], name="one_selection_a_person"),
            models.UniqueConstraint(
                fields=["user", "project"], condition=Q(experiment=None), name="one_selection_over_all"
            ),
        ]

    def __str__(self) -> str:
        return f"{len(self.run_ids)} runs of {self.experiment or self.project}"


class BulkAction(LeasedWork):
    """One change to many runs. The row is the queue; its pages say what was done to which run."""

    class Kind(models.TextChoices):
        TAG = "tag"
        UNTAG = "untag"
        MOVE = "move"
        ARCHIVE = "archive"
        RESTORE = "restore"
        REMOVE = "remove"

    project = models.ForeignKey("projects.Project", on_delete=models.CASCADE, related_name="bulk_actions")
    # None for what concerns the whole project, as emptying the trash.
    experiment = models.ForeignKey(Experiment, null=True, on_delete=models.SET_NULL, related_name="+")
    kind = models.CharField(max_length=7, choices=Kind)
    # What the kind needs: key and value of a tag, number of the experiment to move to, moment of the trash.
    given = models.JSONField(default=dict)
    # The filter that chose the runs, None when they were chosen one by one.
    question = models.JSONField(null=True)
    expected = models.IntegerField(help_text="Runs that were announced before it began.")
    done = models.IntegerField(default=0)
    excluded = models.JSONField(default=dict, help_text="Why runs were left out, and how many.")
    confirmed_at = models.DateTimeField(null=True, help_text="Until then it only says what would be done.")
    undo_of = models.OneToOneField("self", null=True, on_delete=models.SET_NULL, related_name="undone_by")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField()

    objects = ProjectScoped.as_manager()

    class Meta:
        verbose_name = "bulk action"
        indexes = [
            # Serves the sweeper: only what has not ended.
            models.Index(
                fields=["state", "queued_at"], name="bulk_unended", condition=~Q(state__in=[str(s) for s in TERMINAL])
            ),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=WorkState.values), name="bulk_state_known"),
            models.CheckConstraint(
                condition=~Q(state__in=[str(s) for s in ACTIVE]) | Q(lease_until__isnull=False),
                name="bulk_at_work_has_a_lease",
            ),
        ]

    def __str__(self) -> str:
        return f"bulk {self.kind} {self.pk}"

    @property
    def left_out(self) -> int:
        """Runs that were left out for a reason known before."""
        return sum(self.excluded.values())

    @property
    def skipped(self) -> int:
        """Runs that were announced but had changed since."""
        return max(0, self.expected - self.done)


class BulkPage(models.Model):
    """Some runs of a bulk action. It is applied once: with the change to its runs, in one transaction."""

    action = models.ForeignKey(BulkAction, on_delete=models.CASCADE, related_name="pages")
    run_ids = models.JSONField()
    # What each run shall become, by its number, where that is not the same for all: when an action is undone.
    wanted = models.JSONField(default=dict)
    applied_at = models.DateTimeField(null=True)
    # What each changed run was before, by its number: the inverse of the page.
    before = models.JSONField(default=dict)

    class Meta:
        indexes = [
            # Finds the next page to do.
            models.Index(fields=["action", "id"], name="bulk_page_waiting", condition=Q(applied_at=None)),
        ]

    def __str__(self) -> str:
        return f"{len(self.run_ids)} runs of bulk action {self.action_id}"


class FormerPlace(models.Model):
    """An experiment that a run was in before it moved; addresses that clients hold go on to work."""

    run = models.ForeignKey("Run", on_delete=models.CASCADE, related_name="former_places", db_index=False)
    place = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "place"], name="former_place_once")]

    def __str__(self) -> str:
        return f"run {self.run_id} was in experiment {self.place_id}"
