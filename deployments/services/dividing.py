"""Divide the requests of an endpoint among versions, and end what divided them when something else goes live.

The rows are written by :func:`deployments.services.endpoints.revise`; rollouts and trials say how.
"""

import secrets
from collections.abc import Sequence
from typing import Any

from django.utils import timezone

from deployments.models import Endpoint, EndpointRevision, ModelVersion, PromotionRequest, Rollout, Trial
from deployments.proof import manifest
from deployments.services import holds
from mlportal.lib.errors import Conflict
from monitoring.drift.shape import SCORE
from monitoring.services import units
from projects.actor import Actor
from projects.services import events

LIVE, SHADOW = "live", "shadow"
SHARES = [place / 10 for place in range(1, 10)]
Kind = EndpointRevision.Kind
State = PromotionRequest.State


def salt() -> str:
    """Return a new key of an assignment."""
    return secrets.token_hex(16)


def key(row: Rollout | Trial) -> str:
    """Return what the sums over its units are kept under."""
    return f"{row._meta.model_name} {row.pk}"


def metric_of(version: ModelVersion) -> str:
    """Return what ground truth says of a version in a rollout."""
    return str(Trial.Metric.ERROR if version.task == "regression" else Trial.Metric.CORRECT)


def counted(trial: Trial) -> str:
    """Return what is summed over the units of a trial; of one that is judged once only how many they are is read."""
    return str(Trial.Metric.CORRECT if trial.is_judged_once else trial.metric)


def route(variant: str, version: ModelVersion, weight: float, mode: str = LIVE) -> dict[str, Any]:
    """Write one route."""
    return {
        "variant": variant, "version_id": version.pk, "version": version.number, "weight": round(weight, 6),
        "mode": mode,
    }  # fmt: skip


def score_edges(version: ModelVersion) -> list[float]:
    """Return where the bins of scores lie: deciles of the reference, for shares without one tenths."""
    grid = (version.reference_grids or {}).get(SCORE)
    if grid and grid.get("kind") == "numeric" and grid.get("cuts"):
        edges = [grid["edges"][cut] for cut in grid["cuts"] if cut < len(grid["edges"])]
        return sorted(set(edges))
    return SHARES if version.task != "regression" else []


def check_divisible(endpoint: Endpoint, version: ModelVersion) -> EndpointRevision:
    """Return what is live, when another version may share its requests.

    Raises
    ------
    Conflict
        When nothing answers, the endpoint is off, nothing is logged, or something divides it already.
    """
    live = endpoint.current_revision
    if live is None or not endpoint.enabled:
        raise Conflict(f"Nothing answers on {endpoint.name}, so there is nothing to compare with.", code="nothing_live")
    if endpoint.logging == Endpoint.Logging.OFF:
        raise Conflict(
            f"The prediction log of {endpoint.name} is off, so nothing could be judged. Switch it on first.",
            code="log_off", field="logging",
        )  # fmt: skip
    if live.version_id == version.pk:
        raise Conflict(f"{version} is live on {endpoint.name} already.", code="already_live")
    if (busy := divided_by(endpoint)) is not None:
        raise Conflict(
            f"{endpoint.name} is divided by {busy._meta.verbose_name} {busy.pk}.", code="divided", got=busy.pk
        )
    if trouble := unlike(live.version, version):
        raise Conflict(trouble, code="schema_differs", field="version")
    return live


def divided_by(endpoint: Endpoint) -> Rollout | Trial | None:
    """Return what divides the requests of an endpoint now."""
    found: Rollout | Trial | None = Rollout.objects.open().filter(endpoint=endpoint).first()
    return found or Trial.objects.filter(endpoint=endpoint, state=Trial.State.RUNNING).first()


def unlike(stable: ModelVersion, version: ModelVersion) -> str:
    """Say how the schemas of two versions differ, empty when a caller would not notice."""
    before, after = (_schema(item) for item in (stable, version))
    names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    if names:
        return f"{version.label} takes other columns than {stable.label}: {', '.join(names[:5])}."
    classes = [_classes(item) for item in (stable, version)]
    return "" if classes[0] == classes[1] else f"{version.label} answers other classes than {stable.label}."


def check_approval(request: PromotionRequest) -> str:
    """Say why the approval of a version that gets requests no longer holds, empty while it does."""
    if request.state != State.APPROVED:
        return f"Promotion {request.pk} is {request.get_state_display()}."
    if request.version.manifest_sha256 != manifest.digest(request.version.manifest, request.version.provenance):
        return f"The files of {request.version.label} are not those it was registered with."
    return ""


def overtake(endpoint: Endpoint, made: EndpointRevision, *, actor: Actor) -> None:
    """End what divided the requests before a revision that it did not make; the endpoint is held by a lock."""
    for rollout in Rollout.objects.open().filter(endpoint=endpoint).exclude(pk=made.rollout_id).with_subject():
        promoted = made.kind == Kind.PROMOTION and made.promotion_id == rollout.promotion_id
        note = f"Revision {made.number} put {made.version.label} live."
        close_rollout(rollout, Rollout.State.PROMOTED if promoted else Rollout.State.ABORTED, note, actor=actor)
    running = Trial.objects.filter(endpoint=endpoint, state=Trial.State.RUNNING).exclude(pk=made.trial_id)
    for trial in running.with_subject():
        note = f"Revision {made.number} put {made.version.label} live before the trial was decided."
        close_trial(trial, "", note, actor=actor)


def close_rollout(rollout: Rollout, state: str, note: str, *, actor: Actor) -> None:
    """End a rollout; of an aborted one the approval is used up."""
    now = timezone.now()
    rollout.state, rollout.ended_at, rollout.note, rollout.paused_in = state, now, note, ""
    rollout.save(update_fields=["state", "ended_at", "note", "paused_in"])
    units.end(key=key(rollout), at=now)
    facts = {"version": rollout.version.label, "endpoint": rollout.endpoint.name, "note": note}
    events.record(actor, f"rollout.{state}", project=rollout.endpoint.project, target=rollout, data=facts)
    if state == Rollout.State.ABORTED and rollout.started_at:
        _use_up(rollout.promotion, f"Rollout {rollout.pk} was aborted: {note}", actor=actor)


def close_trial(trial: Trial, decision: str, reason: str, *, actor: Actor) -> None:
    """End a trial; unless its treatment goes live the approval is used up."""
    trial.state, trial.ended_at, trial.ended_by = Trial.State.STOPPED, timezone.now(), actor.user
    trial.decision, trial.reason = decision, reason
    trial.save(update_fields=["state", "ended_at", "ended_by", "decision", "reason"])
    units.end(key=key(trial), at=trial.ended_at)
    facts = {"trial": trial.name, "endpoint": trial.endpoint.name, "decision": decision, "reason": reason}
    events.record(actor, "trial.stopped", project=trial.endpoint.project, target=trial, data=facts)
    if decision != Trial.Decision.PROMOTE:
        _use_up(trial.promotion, f"Trial {trial.pk} ended: {reason}", actor=actor)


def _use_up(request: PromotionRequest, note: str, *, actor: Actor) -> None:
    held = PromotionRequest.objects.select_for_update(of=("self",), no_key=True).with_subject().get(pk=request.pk)
    if held.state == State.APPROVED and not held.revisions.filter(kind=Kind.PROMOTION).exists():
        holds.close(held, State.STALE, actor=actor, note=note[:500], cause=actor.user)


def _schema(version: ModelVersion) -> dict[str, str]:
    rows: Sequence[dict[str, Any]] = version.signature.get("inputs", [])
    return {str(row.get("name")): str(row.get("kind")) for row in rows}


def _classes(version: ModelVersion) -> list[str]:
    rows = version.signature.get("outputs", [])
    return [str(name) for row in rows if isinstance(row, dict) for name in row.get("classes", [])]
