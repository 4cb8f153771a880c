"""Measure the checks of a version: our own in one child process, each foreign SELECT in a smaller one."""

import json
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from mlportal.lib import lease
from mlportal.lib.errors import DomainError
from mlportal.lib.failpoints import failpoint
from mlportal.lib.lease import Claim, WorkState
from projects.actor import Actor
from projects.models import CheckResult, CheckRun, DatasetVersion
from projects.pipeline import children
from projects.services import checks, events, tables
from projects.tabular.checks.rules import Rule, limit_words, read

log = structlog.get_logger(__name__)
CHILD = "projects.tabular.checks.child"
PRELOAD = ("projects.tabular.checks.measure",)
GRACE_SECONDS = 15
Found = dict[str, Any]


def run_checks(run_id: int, *, worker: str) -> str:
    """Claim a queued run, measure its rules, store what was found. Returns the state it ended in."""
    rows = CheckRun.objects.all()
    held = lease.claim(rows, run_id, worker=worker)
    if held is None:
        return "not claimed"
    failpoint("checks.claimed")
    run = rows.select_related("version__dataset__project", "check_set", "requested_by").get(pk=run_id)
    try:
        with children.folder("checks-data") as kept:
            found = _Measuring(run, held, kept).all()
    except children.Stopped:
        return _give_up(held)
    except (DomainError, OSError) as error:
        return _settle(run, held, [], failure=str(error))
    failpoint("checks.measured")
    return _settle(run, held, found)


def sweep_checks() -> dict[str, int]:
    """Hand on the runs of silent workers, and wake workers for forgotten ones."""
    rows = CheckRun.objects.all()
    moved = lease.sweep(rows, on_end=_end_unmeasured, on_requeue=lambda _row: None)
    return {"moved": moved, "published": lease.republish(rows, task=checks.RUN_TASK)}


class _Measuring:
    """One attempt at a run."""

    def __init__(self, run: CheckRun, held: Claim, kept: Path) -> None:
        self.run, self.held = run, held
        self.rules = [read(one) for one in run.check_set.rules]
        self.path = tables.one_file(run.version, kept / "data.parquet")

    def all(self) -> list[Found]:
        """Results in the order of the rules."""
        declared = [rule for rule in self.rules if rule.kind != "sql"]
        foreign = [rule for rule in self.rules if rule.kind == "sql"]
        found: dict[str, Found] = {}
        if declared:
            found |= self._measure(declared, done=0)
        for at, rule in enumerate(foreign):
            found |= self._measure([rule], done=len(declared) + at, foreign=True)
        return [found[rule.key] for rule in self.rules]

    def _measure(self, rules: list[Rule], *, done: int, foreign: bool = False) -> dict[str, Found]:
        seconds = settings.CHECK_SQL_SECONDS if foreign else settings.PROFILE_SECONDS
        with children.folder("checks") as place:
            beat = children.heart(CheckRun.objects.all(), self.held, lambda: self._progress(place, rules, done))
            if beat():
                raise children.Stopped
            ended = children.run(
                CHILD,
                self._request(rules, foreign=foreign),
                place,
                beat=beat,
                seconds=seconds + GRACE_SECONDS,
                preload=PRELOAD,
            )
        if ended.stopped in (children.LOST, children.CANCELLED):
            raise children.Stopped
        if ended.stopped or ended.code:
            return {rule.key: _error(rule, _crash(ended, seconds)) for rule in rules}
        return {one["key"]: one for one in json.loads(ended.out)}

    def _progress(self, place: Path, rules: list[Rule], done: int) -> Found:
        share, phase = children.said(place)
        total = max(1, len(self.rules))
        return {"progress": min(0.99, (done + share * len(rules)) / total), "phase": phase or rules[0].sentence[:100]}

    def _request(self, rules: list[Rule], *, foreign: bool) -> Found:
        version = self.run.version
        earlier = version.dataset.versions.ready().filter(number__lt=version.number).order_by("-number")
        memory_mb = settings.CHECK_SQL_MEMORY_MB if foreign else settings.PROFILE_MEMORY_MB
        seconds = settings.CHECK_SQL_SECONDS if foreign else settings.PROFILE_SECONDS
        return {
            "foreign": foreign,
            "rules": [rule.as_json() for rule in rules],
            "path": str(self.path),
            "schema": version.schema,
            "rows": version.row_count,
            "earlier_rows": earlier.values_list("row_count", flat=True).first(),
            "uploaded_at": version.created_at.isoformat(),
            "now": timezone.now().isoformat(),
            "seconds": settings.CHECK_SQL_SECONDS,
            # the engine gets half: Arrow batches, Python and its libraries need the rest
            "memory_mb": memory_mb // 2,
            "kernel_limits": {
                "memory_bytes": memory_mb * 2**20,
                "file_bytes": 0 if foreign else 4 * settings.MAX_UPLOAD_BYTES,
                "cpu_seconds": 2 * seconds + 30,
                "core_bytes": 0,
            },
        }


def _crash(ended: children.Ended, seconds: float) -> str:
    if ended.stopped:
        return f"It took longer than {seconds:g} seconds, which is the limit."
    last = ended.last_words
    if "memory" in last.lower() or "alloc" in last.lower():
        return "It needs more memory than a check may use."
    if ended.code < 0:
        return f"Its process was ended by signal {-ended.code}."
    return f"Its process stopped unexpectedly (exit {ended.code}). {last}".strip()


def _error(rule: Rule, message: str) -> Found:
    return {"key": rule.key, "outcome": "error", "measured": None, "shown": "", "limit": limit_words(rule),
            "failing": None, "sample": {}, "message": message}  # fmt: skip


def _give_up(held: Claim) -> str:
    """End as cancelled when that was asked for; otherwise the run is another attempt's."""
    rows = CheckRun.objects.all()
    asked = rows.filter(pk=held.pk, cancel_requested_at__isnull=False)
    if asked.exists() and lease.finish(rows, held, state=WorkState.CANCELLED):
        return "cancelled"
    return "fenced"


def _settle(run: CheckRun, held: Claim, found: list[Found], *, failure: str = "") -> str:
    """Write the results, the version's state and the event together, if the attempt still holds the row."""
    counts = {word: sum(one["outcome"] == word for one in found) for word in ("passed", "failed", "error")}
    verdict = "error" if failure else "failed" if counts["failed"] else "error" if counts["error"] else "passed"
    state = WorkState.FAILED if failure else WorkState.SUCCEEDED
    changes = {f"{word}_count": count for word, count in counts.items()}
    with transaction.atomic():
        if not lease.finish(
            CheckRun.objects.all(), held, state=state, failure=failure, verdict=verdict, phase="", **changes
        ):
            return _give_up(held)
        rules = {rule["key"]: read(rule) for rule in run.check_set.rules}
        CheckResult.objects.bulk_create(
            CheckResult(run=run, place=at, kind=rules[one["key"]].kind, severity=rules[one["key"]].severity,
                        sentence=rules[one["key"]].sentence, **one)
            for at, one in enumerate(found)
        )  # fmt: skip
        run.refresh_from_db()
        _tell(run, verdict, failure)
    log.info("checks measured", run=run.pk, verdict=verdict)
    return run.state


def _end_unmeasured(run: CheckRun) -> None:
    """The sweeper ended it: after the last attempt, or because that was asked for."""
    if run.state == WorkState.FAILED:
        CheckRun.objects.filter(pk=run.pk).update(verdict="error")
        _tell(run, "error", run.failure)


def _tell(run: CheckRun, verdict: str, failure: str) -> None:
    version = run.version
    if not version.check_runs.filter(pk__gt=run.pk).exclude(verdict="").exists():
        DatasetVersion.objects.filter(pk=version.pk).update(check_state=verdict)
    failed = list(run.results.exclude(outcome="passed").order_by("place").values_list("sentence", flat=True)[:20])
    by = Actor.system("checks", project=version.dataset.project, on_behalf_of=run.requested_by)
    page = f"/p/{version.dataset.project.slug}/datasets/{version.dataset.name}/v/{version.number}/checks/"
    data = {
        "dataset": version.dataset.name, "version": version.number, "passed": run.passed_count,
        "failed": run.failed_count, "errors": run.error_count, "checks": failed, "failure": failure[:300], "page": page,
    }  # fmt: skip
    verb = "checks.passed" if verdict == "passed" else "checks.failed"
    events.record(by, verb, project=version.dataset.project, target=version, data=data)
