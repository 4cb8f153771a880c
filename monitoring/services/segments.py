"""Rules about one segment, such as ``region=north``: which there are, and what everybody may be told of them."""

from collections.abc import Collection, Mapping, Sequence

from mlportal.lib.errors import Conflict, Invalid
from monitoring.drift import parts
from monitoring.models import AlertRule, Backfill, Monitor
from monitoring.services import marked
from projects.models import Project
from projects.services import marks
from projects.services.marks import Hidden

MOST_OFFERED = 200


def check(rule: AlertRule) -> None:
    """Refuse a segment that nothing is counted of, or whose name not everybody may read.

    Raises
    ------
    Invalid
        With the segments there are.
    """
    column, equals, _value = rule.segment.partition("=")
    if not column or not equals:
        raise Invalid("A segment is a column and a value, such as region=north.", field="segment")
    if named := marked.column_of(rule.segment, marks.anywhere(rule.project)):
        raise Invalid(f"Values of {named} are marked. Everybody reads a rule, so it cannot name one.", field="segment")
    known = _names(_live(rule))
    if rule.segment not in known:
        said = f"Nothing is counted of {rule.segment}. Choose its column on the rules page, under Segments, first."
        raise Invalid(said, field="segment", limit=known[:MOST_OFFERED])


def offered(project: Project) -> list[str]:
    """Return segments that a rule of the project can be about, those of marked columns left out."""
    hidden = marks.anywhere(project)
    known = _names(list(Monitor.objects.in_project(project).live().exclude(segment_columns=[], sensitive_columns=[])))
    return [name for name in known if not marked.column_of(name, hidden)][:MOST_OFFERED]


def check_free(monitor: Monitor, columns: Collection[str]) -> None:
    """Refuse to count columns no longer apart while a rule looks at one of their segments.

    Raises
    ------
    Conflict
        Naming the rule.
    """
    rules = AlertRule.objects.in_project(monitor.project).filter(enabled=True, endpoint__in=["", monitor.endpoint])
    for rule in rules.exclude(segment="") if columns else ():
        if column := marked.column_of(rule.segment, columns):
            said = f"The rule {rule.name!r} looks at a segment of {column}. Switch it off or change it first."
            raise Conflict(said, field="segment_columns")


def told(rule: AlertRule, hidden: Mapping[str, Hidden] | None = None) -> str:
    """Return what a rule's segment is called for everybody: by a code if its column was marked since.

    Parameters
    ----------
    hidden : mapping, optional
        Marked columns of the project as `marks.anywhere` returns them, for who reads many rules.
    """
    if not rule.segment:
        return ""
    hidden = marks.anywhere(rule.project) if hidden is None else hidden
    column = marked.column_of(rule.segment, hidden)
    if not column:
        return rule.segment
    return f"{column}={hidden[column].called(column, rule.segment.removeprefix(f'{column}='))}"


def is_counted_again(rule: AlertRule, monitor: Monitor) -> bool:
    """Whether stored predictions are still being counted by the rule's column, so that its counts are not whole."""
    rows = Backfill.objects.filter(monitor=monitor).values_list("columns", flat=True)
    return any(marked.column_of(rule.segment, columns) for columns in rows)


def _live(rule: AlertRule) -> list[Monitor]:
    """Monitors that the rule holds for now and that count its column apart; two queries."""
    rows = Monitor.objects.in_project(rule.project).live()
    rows = rows.filter(endpoint=rule.endpoint) if rule.endpoint else rows
    rows = rows.filter(version=rule.version) if rule.version else rows
    chosen = [one.pk for one in rows.defer("reference") if rule.concerns(one)]
    return list(Monitor.objects.filter(pk__in=chosen))


def _names(monitors: Sequence[Monitor]) -> list[str]:
    """Return the segments that rows of some monitors can fall into, by column, each once."""
    found: dict[str, None] = {}
    for monitor in monitors:
        for column in monitor.watched_columns:
            if grid := monitor.reference.get(column):
                found |= dict.fromkeys(f"{column}={name}" for name in parts.names(grid))
    return list(found)
