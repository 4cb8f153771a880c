"""The models of a project, chosen by what people say of them and by where they answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Case, Exists, IntegerField, OuterRef, Q, QuerySet, Value, When

from deployments.models import Endpoint, Environment, RegisteredModel
from mlportal.lib.errors import Invalid
from projects.actor import Actor
from projects.models import Project
from projects.permissions import Permission, require

PAGE_ROWS = 50
NONE = "none"  # not stated, nobody, nowhere
# The column that orders, and the way the rows that are alike follow each other.
SORTS = {
    "name": ("name", "Name"), "-created_at": ("-created_at", "Newest first"),
    "-updated_at": ("-updated_at", "Last changed"), "-rank": ("-rank", "Risk class, highest first"),
}  # fmt: skip
_RANK = Case(
    *(When(risk_class=value, then=Value(at)) for at, value in enumerate(RegisteredModel.Risk.values)),
    default=Value(0), output_field=IntegerField(),
)  # fmt: skip


@dataclass(frozen=True)
class Chosen:
    """What a person asked for; empty texts ask for nothing."""

    query: str = ""
    risk: str = ""
    owner: str = ""
    environment: str = ""
    sort: str = "name"
    after: str = ""

    @classmethod
    def read(cls, given: Mapping[str, str]) -> "Chosen":
        """Read the values of an address."""
        names = {"query": "q", "risk": "risk", "owner": "owner", "environment": "environment", "after": "after"}
        values = {field: given.get(name, "").strip()[:150] for field, name in names.items()}
        sort = given.get("sort", "")
        return cls(**values, sort=sort if sort in SORTS else "name")


def find(by: Actor, *, project: Project, chosen: Chosen) -> QuerySet[RegisteredModel]:
    """Return the chosen models, not in an order yet.

    Raises
    ------
    Invalid
        When the risk class or the environment is not known.
    """
    require(by, Permission.MODEL_VIEW, project)
    rows = RegisteredModel.objects.visible_to(by).in_project(project).select_related("owner", "created_by")
    if chosen.query:
        rows = rows.filter(name__icontains=chosen.query)
    if chosen.risk:
        rows = rows.filter(risk_class=_risk(chosen.risk))
    if chosen.owner:
        rows = rows.filter(owner=None) if chosen.owner == NONE else rows.filter(owner__username=chosen.owner)
    return rows.filter(_answers(project, chosen.environment)) if chosen.environment else rows


def page(by: Actor, *, project: Project, chosen: Chosen) -> tuple[list[RegisteredModel], str]:
    """Return one page of the chosen models and where the next one starts, empty when it is the last."""
    require(by, Permission.MODEL_VIEW, project)
    rows = find(by, project=project, chosen=chosen).annotate(rank=_RANK)
    column, down = chosen.sort.removeprefix("-"), chosen.sort.startswith("-")
    rows = rows.order_by(SORTS[chosen.sort][0], "-pk" if down else "pk")
    if chosen.after.isascii() and chosen.after.isdigit():
        rows = rows.filter(_behind(project, column, down=down, after=int(chosen.after[:18])))
    found: list[RegisteredModel] = [*rows[: PAGE_ROWS + 1]]
    return found[:PAGE_ROWS], str(found[PAGE_ROWS - 1].pk) if len(found) > PAGE_ROWS else ""


def owners(by: Actor, *, project: Project) -> list[str]:
    """Return the user names of those who own a model."""
    require(by, Permission.MODEL_VIEW, project)
    rows = RegisteredModel.objects.in_project(project).exclude(owner=None)
    return list(rows.order_by("owner__username").values_list("owner__username", flat=True).distinct()[:200])


def _behind(project: Project, column: str, *, down: bool, after: int) -> Q:
    last = RegisteredModel.objects.in_project(project).filter(pk=after).annotate(rank=_RANK).first()
    if last is None:
        return Q()
    word, value = "lt" if down else "gt", getattr(last, column)
    return Q(**{f"{column}__{word}": value}) | Q(**{column: value, f"pk__{word}": after})


def _risk(given: str) -> str:
    value = "" if given == NONE else given
    if value not in RegisteredModel.Risk.values:
        allowed = [*RegisteredModel.Risk.values[1:], NONE]
        raise Invalid(f"risk is one of {', '.join(allowed)}.", field="risk", limit=allowed, got=given[:50])
    return value


def _answers(project: Project, name: str) -> Any:
    live = Endpoint.objects.filter(model=OuterRef("pk"), enabled=True, current_revision__isnull=False)
    if name == NONE:
        return ~Exists(live)
    if not Environment.objects.filter(project=project, name=name).exists():
        raise Invalid(f"There is no environment {name[:60]!r}.", field="environment", got=name[:60])
    return Exists(live.filter(environment__name=name))
