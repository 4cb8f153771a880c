"""Replay a version of the rules over past requests and over what is live, before it comes into force.

The replay calls the evaluator of requests and decisions; it writes nothing but its own result.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from deployments import gates
from deployments.models import Backtest, Endpoint, ModelVersion, Policy, PromotionRequest
from deployments.proof import rules
from deployments.proof import told as saying
from deployments.services import policies
from mlportal.lib import lease, queue
from mlportal.lib.errors import DomainError, Invalid
from mlportal.lib.lease import Claim, WorkState
from projects.actor import Actor
from projects.permissions import Permission, require
from projects.services import events, marks

DEFAULT_LAST = 50
MAX_LAST = 500
PARTS = ("requests", "production")
MARKED_RULE = "A rule about a marked column"
NO_EVIDENCE = "no evaluation of this version is on record"
JOINED = (
    "version__model", "version__run__job", "version__dataset_version__dataset", "version__logged_model", "evaluation",
    "requested_by", "baseline",
)  # fmt: skip


class LeaseLost(Exception):
    """The work was given to another worker; nothing more may be written."""


@dataclass(frozen=True)
class Subject:
    """One thing that is judged: a past request, or a live version with the newest request that measured it."""

    row: dict[str, Any]
    version: ModelVersion
    request: PromotionRequest | None
    at: datetime


def start(by: Actor, *, policy: Policy, last: int = DEFAULT_LAST) -> Backtest:
    """Ask a worker to replay a policy; one that is under way is returned as it is.

    Parameters
    ----------
    last
        How many requests of the environment to replay, the newest first.

    Raises
    ------
    Invalid
        When ``last`` is not from 1 to 500.
    """
    require(by, Permission.POLICY_EDIT, policy.environment.project)
    if not isinstance(last, int) or isinstance(last, bool) or not 1 <= last <= MAX_LAST:
        raise Invalid(
            f"last must be a whole number from 1 to {MAX_LAST}.", field="last", limit=[1, MAX_LAST], got=str(last)[:50]
        )
    with transaction.atomic():
        Policy.objects.select_for_update(of=("self",), no_key=True).get(pk=policy.pk)
        known = Backtest.objects.filter(policy=policy, state__in=[WorkState.QUEUED, *lease.ACTIVE]).first()
        if known is not None:
            return known
        made = Backtest.objects.create(policy=policy, last=last, asked_by=by.user)
        events.record(
            by, "policy.backtest_asked", project=policy.environment.project, target=policy, data={"last": last}
        )
        queue.enqueue("deployments.run_backtest", made.pk)
    return made


def told(by: Actor, *, backtest: Backtest) -> dict[str, Any] | None:
    """Return the result of a back-test as the actor may read it, to be read and not to be saved.

    It was kept in words that name groups of a column which somebody marked since. Whoever may not see those values is
    told the verdict anew, from the evidence of the request.
    """
    require(by, Permission.MODEL_VIEW, backtest.policy.environment.project)
    project = backtest.policy.environment.project
    hidden = marks.hidden_anywhere(by, project=project)
    if not backtest.result or not hidden:
        return backtest.result
    numbers = {row["request"] for part in PARTS for row in backtest.result[part] if row["gate"] and row["request"]}
    asked = PromotionRequest.objects.filter(pk__in=numbers, project=project).select_related(*JOINED).in_bulk()
    parts = {
        part: [_told(row, backtest.policy, asked.get(row["request"]), hidden) for row in backtest.result[part]]
        for part in PARTS
    }
    return {**backtest.result, **parts}


def _told(
    row: dict[str, Any], policy: Policy, request: PromotionRequest | None, hidden: dict[str, marks.Hidden]
) -> dict[str, Any]:
    """Return a line without values of hidden columns; a column counts that any dataset of the project marks."""
    if not row["gate"]:
        return row
    seen = gates.seen_of(request) if request else saying.Evidence({}, NO_EVIDENCE, "")
    data = request.version.dataset_version if request else None
    columns = marks.Hidden(hidden, dataset=data.dataset_id if data else next(iter(hidden.values())).dataset)
    anew = saying.by_title(policy.gates, seen, columns).get(row["gate"])
    if anew is None:
        words = " ".join((row["gate"], row["rule"], row["found"]))
        about = any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", words) for name in columns)
        return {**row, "gate": MARKED_RULE, "rule": "", "found": saying.UNTOLD} if about else row
    found = saying.UNTOLD if anew.passed else anew.found
    return {**row, "gate": anew.title, "rule": anew.rule, "found": found}


def work(backtest_id: int, *, worker: str) -> bool:
    """Do one back-test. Returns whether this call did the work."""
    held = lease.claim(Backtest.objects.all(), backtest_id, worker=worker)
    if held is None:
        return False
    try:
        result = _replay(held)
    except LeaseLost:
        return False
    except DomainError as error:
        return lease.finish(Backtest.objects.all(), held, state=WorkState.FAILED, failure=error.message)
    return _end(held, result)


def sweep() -> int:
    """Give lost back-tests to another worker."""
    moved = lease.sweep(Backtest.objects.all(), on_end=lambda row: None, on_requeue=lambda row: None)
    return moved + lease.republish(Backtest.objects.all(), task="deployments.run_backtest")


def _end(held: Claim, result: dict[str, Any]) -> bool:
    rows = Backtest.objects.select_related("policy__environment__project")
    with transaction.atomic():
        if not lease.finish(Backtest.objects.all(), held, state=WorkState.SUCCEEDED, result=result):
            return False
        done = rows.get(pk=held.pk)
        project = done.policy.environment.project
        events.record(
            Actor.system("back-test", project=project), "policy.backtested", project=project, target=done.policy,
            data={"requests": done.counts("requests"), "production": done.counts("production")},
        )  # fmt: skip
    return True


def _replay(held: Claim) -> dict[str, Any]:
    asked = Backtest.objects.select_related("policy__environment__project").get(pk=held.pk)
    policy, before = asked.policy, policies.current(asked.policy.environment)
    past, live = _past(asked), _live(policy)
    found: dict[str, list[dict[str, Any]]] = {"requests": [], "production": []}
    damage: dict[int, tuple[str, ...]] = {}
    whole = max(len(past) + len(live), 1)
    for turn, (part, subject) in enumerate(_both(past, live)):
        if not lease.heartbeat(Backtest.objects.all(), held, phase=f"Judge {subject.version}", progress=turn / whole):
            raise LeaseLost
        if subject.version.pk not in damage:
            damage[subject.version.pk] = gates.damage(subject.version)
        found[part].append(_judged(subject, policy, before, damage[subject.version.pk]))
    everything = PromotionRequest.objects.filter(environment=policy.environment).count()
    return {
        "at": timezone.now().isoformat(), "in_force": before.number, **found, "left_out": everything - len(past),
    }  # fmt: skip


def _both(past: list[Subject], live: list[Subject]) -> Iterator[tuple[str, Subject]]:
    yield from (("requests", subject) for subject in past)
    yield from (("production", subject) for subject in live)


def _past(asked: Backtest) -> list[Subject]:
    rows = PromotionRequest.objects.filter(environment=asked.policy.environment).select_related(*JOINED)
    return [
        Subject(
            {
                "request": row.pk, "version": str(row.version), "model": row.version.model.name,
                "number": row.version.number, "state": row.state, "asked_at": row.requested_at.isoformat(),
            },
            # Days count from when it was asked, else every old request would fail for its age.
            row.version, row, row.sealed_at or row.requested_at,
        )
        for row in rows.order_by("-pk")[: asked.last]
    ]  # fmt: skip


def _live(policy: Policy) -> list[Subject]:
    rows = Endpoint.objects.filter(environment=policy.environment, current_revision__isnull=False)
    joined = rows.select_related(
        "model", "current_revision__version__model", "current_revision__version__run__job",
        "current_revision__version__dataset_version__dataset",
    )  # fmt: skip
    found = list(joined.order_by("name"))
    measured = _measured(policy, [row.current_revision.version_id for row in found if row.current_revision])
    return [_of_endpoint(row, measured) for row in found]


def _of_endpoint(row: Endpoint, measured: dict[int, PromotionRequest]) -> Subject:
    assert row.current_revision is not None
    version = row.current_revision.version
    request = measured.get(version.pk)
    words = {
        "endpoint": row.name, "version": str(version), "model": version.model.name, "number": version.number,
        "request": request.pk if request else None,
    }  # fmt: skip
    return Subject(words, version, request, timezone.now())


def _measured(policy: Policy, version_ids: list[int]) -> dict[int, PromotionRequest]:
    """Return the newest request of each version in the environment whose evaluation ended well."""
    rows = PromotionRequest.objects.filter(
        environment=policy.environment, version__in=version_ids, evaluation__state=WorkState.SUCCEEDED
    )
    return {row.version_id: row for row in rows.select_related("evaluation").order_by("pk")}


def _judged(subject: Subject, policy: Policy, before: Policy, damaged: tuple[str, ...]) -> dict[str, Any]:
    outcomes = _outcomes(subject, policy, damaged)
    decides = rules.deciding(outcomes)
    return {
        **subject.row,
        "standing": rules.standing(outcomes),
        "before": rules.standing(_outcomes(subject, before, damaged)),
        "gate": decides.title if decides else "",
        "found": decides.found if decides else "",
        "rule": decides.rule if decides else "",
        "advisory": sum(not item.passed and not item.blocks for item in outcomes),
    }


def _outcomes(subject: Subject, policy: Policy, damaged: tuple[str, ...]) -> list[rules.Outcome]:
    result: dict[str, Any] = {}
    trouble = NO_EVIDENCE
    if subject.request is not None:
        result, trouble = gates.evaluation(subject.request)
        # kept for everybody: also what was marked since names no group
        result = {**result, "marked": sorted({*(result.get("marked") or ()), *gates.marked(subject.version)})}
    facts = gates.facts_of(subject.version, result, trouble, policy=policy, damaged=damaged, at=subject.at)
    return gates.ranked(policy, facts)
