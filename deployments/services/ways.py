"""Which environments a version can go to from where it stands, and the way there."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from deployments.models import Endpoint, Environment, EnvironmentMove, ModelVersion
from deployments.proof import canonical
from mlportal.lib.errors import Conflict
from projects.models import Project

Origin = EnvironmentMove.Origin
Start = int | str  # an environment's number, or one of the two words of Origin
ANYWHERE, NOTHING = str(Origin.ANYWHERE), str(Origin.NOTHING)


@dataclass(frozen=True)
class Ways:
    """The allowed moves of a project at a moment.

    Attributes
    ----------
    places
        Open environments by number, in their order.
    into
        Where each environment can be reached from: numbers of environments, ``anywhere`` and ``nothing``.
    """

    places: Mapping[int, Environment]
    into: Mapping[int, frozenset[Start]]

    def leads(self, standing: Iterable[int], goal: int) -> bool:
        """Whether a version may be asked for in an environment: it stands there, or one move leads there."""
        stands = frozenset(standing)
        starts = self.into.get(goal, frozenset())
        return goal in stands or ANYWHERE in starts or bool(starts & stands) or (NOTHING in starts and not stands)

    def path(self, standing: Iterable[int], goal: int) -> list[Environment]:
        """Return the environments on the shortest way to a goal, the goal last; empty when there is none."""
        first = frozenset(standing)
        seen = {place for place in self.places if self.leads(first, place)}
        open_ends = deque([place] for place in self.places if place in seen)
        while open_ends:
            walked = open_ends.popleft()
            if walked[-1] == goal:
                return [self.places[place] for place in walked]
            fresh = [place for place in self.places if walked[-1] in self.into[place] and place not in seen]
            seen |= set(fresh)
            open_ends.extend([*walked, place] for place in fresh)
        return []

    def starts(self, goal: int) -> list[str]:
        """Name where an environment can be reached from."""
        given = self.into.get(goal, frozenset())
        words = [str(Origin(word).label) for word in (ANYWHERE, NOTHING) if word in given]
        return words + [f"from {place.name}" for number, place in self.places.items() if number in given]

    def pairs(self) -> list[tuple[str, str]]:
        """Return every move as two words: where from, where to."""
        return [
            (str(start) if isinstance(start, str) else self.places[start].name, place.name)
            for number, place in self.places.items()
            for start in (ANYWHERE, NOTHING, *self.places)
            if start in self.into[number]
        ]

    @property
    def mark(self) -> str:
        """A short hash of the moves, to notice that somebody else changed them meanwhile."""
        return canonical.digest([*sorted(f"{start}>{goal}" for start, goal in self.pairs())])[:16]


def of(project: Project) -> Ways:
    """Return the allowed moves of a project now; two queries."""
    places = {row.pk: row for row in Environment.objects.in_project(project).open().order_by("position", "pk")}
    moves = EnvironmentMove.objects.filter(project=project, valid_to=None)
    into: dict[int, set[Start]] = {number: set() for number in places}
    for start, origin, goal in moves.values_list("environment_from", "origin", "environment_to"):
        if goal in into and (start is None or start in places):
            into[goal].add(origin if start is None else start)
    return Ways(places, {number: frozenset(starts) for number, starts in into.items()})


def standing(version: ModelVersion) -> dict[int, str]:
    """Return the environments where a version answers now, by number."""
    live = Endpoint.objects.filter(model=version.model_id, current_revision__version=version, enabled=True)
    return dict(live.values_list("environment", "environment__name"))


def check(version: ModelVersion, environment: Environment) -> None:
    """Refuse an environment that is archived, or that no allowed move leads to from where a version stands.

    Raises
    ------
    Conflict
        Naming the allowed way.
    """
    if environment.archived_at is not None:
        raise Conflict(
            f"{environment.name} is archived since {environment.archived_at:%Y-%m-%d}; it takes no promotion.",
            code="environment_archived", field="environment", got=environment.name,
        )  # fmt: skip
    ways, stands = of(environment.project), standing(version)
    if not ways.leads(stands, environment.pk):
        raise Conflict(
            refusal(ways, version, stands, environment), code="move_not_allowed", field="environment",
            got=environment.name, limit=[list(pair) for pair in ways.pairs() if pair[1] == environment.name],
        )  # fmt: skip


def refusal(ways: Ways, version: ModelVersion, stands: Mapping[int, str], goal: Environment) -> str:
    """Say why a version cannot go to an environment in one move, and the allowed way."""
    where = f"answers in {', '.join(stands.values())}" if stands else "answers in no environment"
    starts = ways.starts(goal.pk)
    if not starts:
        return f"No allowed move leads to {goal.name}. An admin sets the moves under Environments."
    way = ways.path(stands, goal.pk)
    allowed = f"{version} {where}; {goal.name} is reached {' or '.join(starts)} only."
    if not way:
        return f"{allowed} No allowed way leads there from where it stands."
    return f"{allowed} The allowed way: {', then '.join(place.name for place in way)}."


def next_place(version: ModelVersion, goal: Environment) -> Environment:
    """Return the first environment on the way to a goal; the goal itself when there is no way."""
    way = of(goal.project).path(standing(version), goal.pk)
    return way[0] if way else goal
