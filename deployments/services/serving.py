"""What answers where, since when, and by whose approval: one line an environment."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Prefetch, Q

from deployments.models import Decision, Endpoint, EndpointRevision, Environment, RegisteredModel
from projects.actor import Actor
from projects.permissions import Permission, require


@dataclass(frozen=True)
class Strip:
    """One environment of a model; without an endpoint nothing was ever promoted there."""

    environment: Environment
    endpoint: Endpoint | None = None

    @property
    def revision(self) -> EndpointRevision | None:
        """What answers."""
        return self.endpoint.current_revision if self.endpoint else None

    @property
    def state(self) -> str:
        """One word: live, off, frozen or nothing."""
        if self.endpoint is None or self.revision is None:
            return "nothing"
        if not self.endpoint.enabled:
            return "off"
        return "frozen" if self.endpoint.frozen_at else "live"

    @property
    def since(self) -> datetime | None:
        """When the version began to answer."""
        return self.revision.created_at if self.revision else None

    @property
    def approved_by(self) -> list[str]:
        """Who approved what answers; nobody for a break-glass."""
        request = self.revision.promotion if self.revision else None
        if request is None:
            return []
        return [str(each.user) for each in request.decisions.all() if each.verdict == Decision.Verdict.APPROVE]

    @property
    def previous(self) -> EndpointRevision | None:
        """What answered before."""
        return self.revision.previous if self.revision else None


def strips(by: Actor, *, model: RegisteredModel) -> list[Strip]:
    """Return the environments of a model's project with what answers there, the highest first; four queries."""
    require(by, Permission.MODEL_VIEW, model.project)
    decisions = Prefetch(
        "current_revision__promotion__decisions", Decision.objects.select_related("user").order_by("pk")
    )
    rows = Endpoint.objects.with_live().filter(model=model)
    rows = rows.select_related(
        "project", "environment", "model", "current_revision__version__model", "current_revision__created_by",
        "current_revision__previous__version__model", "current_revision__promotion__requested_by",
    )  # fmt: skip
    held = {row.environment_id: row for row in rows.prefetch_related(decisions)}
    shown = Q(archived_at=None) | Q(pk__in=held)
    places = Environment.objects.in_project(model.project).filter(shown).order_by("-position", "-pk")
    return [Strip(place, held.get(place.pk)) for place in places]
