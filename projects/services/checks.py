"""Expectations of a dataset: declare, suggest, run on a version, read what was found, hold launches back."""

from collections.abc import Iterable, Sequence
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Max

from mlportal.lib import names, queue
from mlportal.lib.errors import Conflict, Invalid, Missing
from mlportal.lib.lease import TERMINAL, WorkState
from projects.actor import Actor
from projects.models import Check, CheckResult, CheckRun, CheckSet, Dataset, DatasetVersion
from projects.permissions import Permission, require
from projects.services import events, marks
from projects.tabular.checks import rules as reading
from projects.tabular.checks import suggest
from projects.tabular.checks.rules import Rule

RUN_TASK = "projects.run_checks"
HISTORY = 30
NAMED = 5


def current(by: Actor, *, dataset: Dataset) -> CheckSet | None:
    """The newest rule set of a dataset."""
    require(by, Permission.DATASET_VIEW, dataset.project)
    return _newest(dataset)


def rules_of(found: CheckSet | None) -> list[Rule]:
    """Rules of a set; none without one."""
    return [reading.read(one) for one in found.rules] if found else []


def save(by: Actor, *, dataset: Dataset, rules: object) -> CheckSet:
    """Replace the rules of a dataset. A set that a run has used stays as it is, and the next number is made.

    Raises
    ------
    Invalid
        Naming the rule and the field: ``rules[3].min``.
    """
    require(by, Permission.DATASET_CREATE, dataset.project)
    wanted = reading.read_all(rules)
    with transaction.atomic():
        _lock(dataset)
        return _store(by, dataset, wanted)


def put(by: Actor, *, dataset: Dataset, rule: object, replaces: str = "") -> CheckSet:
    """Add one rule, or put it in the place of the one with the key ``replaces``.

    Raises
    ------
    Invalid
        Naming the field at fault.
    Missing
        When there is no rule to replace.
    Conflict
        When another rule has its key.
    """
    require(by, Permission.DATASET_CREATE, dataset.project)
    wanted = reading.read(rule)
    with transaction.atomic():
        _lock(dataset)
        known = rules_of(_newest(dataset))
        if replaces and replaces not in {one.key for one in known}:
            raise Missing(f"{dataset.name} has no check {replaces[:40]!r} any more.", field="key")
        if any(one.key == wanted.key != replaces for one in known):
            raise Conflict(
                f"There is such a check already: {next(one.sentence for one in known if one.key == wanted.key)}. "
                "Edit that one.",
                code="check_exists", field="kind", got=wanted.key,
            )  # fmt: skip
        kept = [wanted if one.key == replaces else one for one in known]
        return _store(by, dataset, kept if replaces else [*kept, wanted])


def remove(by: Actor, *, dataset: Dataset, key: str) -> CheckSet:
    """Take one rule out of the next set; what it found before stays.

    Raises
    ------
    Missing
        When there is none of that key.
    """
    require(by, Permission.DATASET_CREATE, dataset.project)
    with transaction.atomic():
        _lock(dataset)
        known = rules_of(_newest(dataset))
        left = [one for one in known if one.key != key]
        if len(left) == len(known):
            raise Missing(f"{dataset.name} has no check {key[:40]!r}.", field="key")
        return _store(by, dataset, left)


def numbers_of(dataset: Dataset) -> dict[str, int]:
    """Number of each check by its key, for stars and comments."""
    return dict(Check.objects.filter(dataset=dataset).values_list("key", "pk"))


def suggested(by: Actor, *, dataset: Dataset) -> list[Rule]:
    """What the profile of the newest ready version suggests and is not declared yet."""
    require(by, Permission.DATASET_VIEW, dataset.project)
    return _suggested(dataset)


def _suggested(dataset: Dataset) -> list[Rule]:
    version = dataset.versions.ready().order_by("-number").first()
    if version is None:
        return []
    known = {one.key for one in rules_of(_newest(dataset))}
    found = suggest.suggestions(version.schema, version.profile, version.row_count or 0)
    return [one for one in found if one.key not in known]


def take(by: Actor, *, dataset: Dataset, keys: Iterable[str] | None = None) -> CheckSet:
    """Declare what is suggested: all of it, or the suggestions of these keys.

    Raises
    ------
    Invalid
        When a key is not suggested, or nothing is left to take.
    """
    require(by, Permission.DATASET_CREATE, dataset.project)
    with transaction.atomic():
        _lock(dataset)
        offered = {one.key: one for one in _suggested(dataset)}
        wanted = list(offered) if keys is None else list(dict.fromkeys(keys))
        if unknown := [key for key in wanted if key not in offered]:
            raise Invalid(f"There is no suggestion {unknown[0][:40]!r}, or it was taken.", field="keys")
        if not wanted:
            raise Invalid("No suggestion is chosen.", field="keys")
        return _store(by, dataset, [*rules_of(_newest(dataset)), *(offered[key] for key in wanted)])


def run(by: Actor, *, version: DatasetVersion) -> CheckRun:
    """Measure the newest rule set on a version now; a run that is under way is given back.

    Raises
    ------
    Conflict
        When the version is not ready or its dataset has no checks.
    """
    require(by, Permission.DATASET_CREATE, version.dataset.project)
    if by.user is None:
        raise Invalid("A run of checks needs a person who asks for it.", field="by")
    if not version.is_ready:
        raise Conflict(f"{version} cannot be checked: it is {version.get_state_display()}.", code="dataset_not_ready")
    with transaction.atomic():
        _lock(version.dataset)
        found = _newest(version.dataset)
        if found is None or not found.rules:
            raise Conflict(f"{version.dataset.name} has no checks. Declare some first.", code="no_checks")
        if open_run := version.check_runs.exclude(state__in=TERMINAL).first():
            return open_run
        made = _queue(version, found, by.user.pk)
        data = {"version": version.number, "checks": found.number}
        events.record(by, "checks.requested", project=version.dataset.project, target=version, data=data)
    return made


def follow_profile(version: DatasetVersion) -> CheckRun | None:
    """Queue the checks of a version that has just been profiled; called in that transaction."""
    found = _newest(version.dataset)
    if found is None or not found.rules:
        return None
    try:
        with transaction.atomic():
            return _queue(version, found, version.created_by_id)
    except IntegrityError:  # somebody asked for a run in the same moment
        return None


def newest_run(by: Actor, *, version: DatasetVersion) -> CheckRun | None:
    """The newest run on a version, finished or not."""
    require(by, Permission.DATASET_VIEW, version.dataset.project)
    return version.check_runs.select_related("check_set", "requested_by", "version__dataset").order_by("-pk").first()


def results(by: Actor, *, run: CheckRun) -> list[CheckResult]:
    """What a run found: what needs a look first, then in the order of the rules."""
    require(by, Permission.DATASET_VIEW, run.version.dataset.project)
    order = {"failed": 0, "error": 1, "passed": 2}
    found = list(run.results.order_by("place"))
    hidden = marks.hidden(by, dataset=run.version.dataset)
    for one in found if hidden else ():
        one.sample = marks.sample(one.sample, hidden, foreign=one.kind == "sql")
    return sorted(found, key=lambda one: (order[one.outcome], one.severity != "gate"))


def history(by: Actor, *, dataset: Dataset, keys: Sequence[str] | None = None) -> dict[str, list[CheckResult]]:
    """What each check found on the newest versions, oldest first: the last finished run of each version."""
    require(by, Permission.DATASET_VIEW, dataset.project)
    done = CheckRun.objects.filter(version__dataset=dataset, state=WorkState.SUCCEEDED)
    newest = done.values("version").annotate(last=Max("pk")).order_by("-version__number").values_list("last", flat=True)
    rows = CheckResult.objects.filter(run__in=list(newest[:HISTORY])).select_related("run__version__dataset")
    rows = rows.defer("sample").order_by("run__version__number")
    found: dict[str, list[CheckResult]] = {}
    for row in rows if keys is None else rows.filter(key__in=keys):
        found.setdefault(row.key, []).append(row)
    return found


def gate(by: Actor, *, version: DatasetVersion, override: str = "") -> dict[str, Any]:
    """Let a launch through: every check of severity gate holds, or somebody who may says why not.

    Returns
    -------
    dict
        Empty; with an override ``reason`` and the ``checks`` it passed over, to be recorded with the launch.

    Raises
    ------
    Conflict
        Naming the checks that failed, or while they are being measured.
    Forbidden
        When a reason is given by somebody who may not override.
    """
    require(by, Permission.JOB_LAUNCH, version.dataset.project)
    if override:
        require(by, Permission.GATE_OVERRIDE, version.dataset.project)
        override = names.clean_text(override, field="override_reason", limit=1_000)
    problem, sentences = _barred(version)
    if not problem:
        return {}
    if override:
        return {"reason": override, "checks": sentences}
    raise Conflict(
        f"{version} {problem}", code="checks_failed" if sentences else "checks_running", field="dataset",
        errors=[{"field": "dataset", "message": f"{version} {problem}"}], got=sentences or None,
    )  # fmt: skip


def barred(by: Actor, *, version: DatasetVersion) -> str:
    """Why a training on this version would be refused, in words; empty when it would not."""
    require(by, Permission.DATASET_VIEW, version.dataset.project)
    return _barred(version)[0]


def _barred(version: DatasetVersion) -> tuple[str, list[str]]:
    """Why a launch must wait, in words, and the checks that failed."""
    newest = version.check_runs.select_related("check_set").order_by("-pk").first()
    if newest is None:
        return "", []
    if newest.state not in TERMINAL:
        has_gate = any(rule.get("severity") == "gate" for rule in newest.check_set.rules)
        return ("is being checked. Wait for its checks." if has_gate else ""), []
    if newest.state != WorkState.SUCCEEDED:
        return f"could not be checked: {newest.failure or newest.get_state_display()}", ["the run of the checks"]
    failed = newest.results.filter(severity="gate").exclude(outcome="passed").order_by("place")
    sentences = [f"{one.sentence} ({one.shown or one.message})" for one in failed]
    if not sentences:
        return "", []
    listed = "; ".join(sentences[:NAMED]) + (f"; and {len(sentences) - NAMED} more" if len(sentences) > NAMED else "")
    word = "check" if len(sentences) == 1 else "checks"
    return f"fails {len(sentences)} {word} that must pass: {listed}.", sentences


def _newest(dataset: Dataset) -> CheckSet | None:
    return dataset.check_sets.select_related("created_by", "dataset").order_by("-number").first()


def _lock(dataset: Dataset) -> None:
    """Rule sets of one dataset change one after the other."""
    Dataset.objects.select_for_update(no_key=True).get(pk=dataset.pk)


def _store(by: Actor, dataset: Dataset, wanted: list[Rule]) -> CheckSet:
    before = _newest(dataset)
    _check_columns(dataset, wanted, before)
    reading.read_all([one.as_json() for one in wanted])
    told = [one.as_json() for one in wanted]
    if before is not None and before.rules == told:
        return before
    if before is not None and not before.runs.exists():
        before.rules, before.created_by_id = told, by.user.pk if by.user else before.created_by_id
        before.save(update_fields=["rules", "created_by"])
        found = before
    else:
        number = before.number + 1 if before else 1
        found = CheckSet.objects.create(dataset=dataset, number=number, rules=told, created_by=by.user)
    named = [Check(dataset=dataset, key=one.key) for one in wanted]
    Check.objects.bulk_create(named, ignore_conflicts=True)  # what is said of a check outlives its rule sets
    data = {"checks": found.number, "rules": len(told)}
    events.record(by, "checks.saved", project=dataset.project, target=dataset, data=data)
    return found


def _check_columns(dataset: Dataset, wanted: list[Rule], before: CheckSet | None) -> None:
    """A new rule names columns that are there; one that was declared before may outlive its column."""
    version = dataset.versions.ready().order_by("-number").first()
    if version is None:
        return
    kept = {one.key for one in rules_of(before)}
    known = [entry["name"] for entry in version.schema]
    for one in wanted:
        gone = [name for name in one.columns if name not in known]
        if gone and one.key not in kept:
            shown = ", ".join(known[:12]) + (" …" if len(known) > 12 else "")
            raise Invalid(
                f"There is no column {gone[0][:100]!r} in {version}. Columns: {shown}.",
                code="check_invalid", field="columns", got=gone[0][:100],
            )  # fmt: skip


def _queue(version: DatasetVersion, found: CheckSet, person: int) -> CheckRun:
    made = CheckRun.objects.create(version=version, check_set=found, requested_by_id=person)
    queue.enqueue(RUN_TASK, made.pk)
    return made
