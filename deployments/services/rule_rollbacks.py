"""Roll an endpoint back because a rule says so: once its alert is critical, and only where nobody would be surprised.

A rule acts in the name of whoever set it last, so far as that person may still do it by hand. It undoes a promotion,
never a rollback: else two versions that both pass the limit would take turns.
"""

from typing import Any

from django.db import transaction

from deployments.models import Endpoint, EndpointRevision, ModelVersion
from deployments.services import endpoints
from mlportal.lib.errors import DomainError
from monitoring.models import AlertRule
from projects.actor import Actor
from projects.models import Event
from projects.permissions import Permission, allowed
from projects.services import events


def react(event: Event) -> None:
    """Roll back if the rule of the alert says so; called by a worker in the event's transaction."""
    data = event.data
    if data.get("action") != AlertRule.Action.ROLLBACK or data.get("level") != "critical" or event.project is None:
        return
    rule = AlertRule.objects.filter(project=event.project, pk=data.get("rule_id")).select_related("on_behalf_of")
    acting = rule.filter(action=AlertRule.Action.ROLLBACK, enabled=True).first()
    endpoint = Endpoint.objects.with_live().in_project(event.project).filter(name=data.get("endpoint", "")).first()
    live = endpoint.current_revision if endpoint else None
    if acting is None or endpoint is None or live is None or data.get("version") not in endpoints.answering(live):
        return  # the rule was changed, or what the alert is about answers no more
    refused = _refusal(acting, live, endpoints.goal_of(endpoint), data)
    if not refused:
        refused = _roll_back(acting, endpoint, data)
    if refused:
        _tell(acting, endpoint, data, refused)


def _refusal(rule: AlertRule, live: EndpointRevision, goal: ModelVersion | None, data: dict[str, Any]) -> str:
    person = rule.on_behalf_of
    if person is None or not allowed(Actor.for_user(person), Permission.ENDPOINT_DEPLOY, rule.project):
        return f"{person or 'Nobody'} answers for the rule and may not roll back. Save the rule anew."
    if data.get("silenced"):
        return "The alert is silenced."
    if data.get("inhibited_by"):
        return "Another alert explains this one."
    if live.kind == EndpointRevision.Kind.ROLLBACK:
        return f"{live.version.label} is live by a rollback itself, so a person decides."
    if goal is not None and goal.label == data["version"]:
        return f"A rollback would lead to {goal.label}, which the alert is about, so a person decides."
    return ""


def _roll_back(rule: AlertRule, endpoint: Endpoint, data: dict[str, Any]) -> str:
    """Call the service that the button calls. Returns why it refused."""
    title = str(data.get("title") or rule.name)
    try:
        with transaction.atomic():
            endpoints.rollback(
                _actor(rule), endpoint=endpoint, reason=f"Rule {rule.name}, alert {data['alert']}: {title}"[:4000],
                alert=int(data["alert"]),
            )  # fmt: skip
    except DomainError as error:
        return error.message
    return ""


def _actor(rule: AlertRule) -> Actor:
    grants = frozenset({Permission.ENDPOINT_DEPLOY, Permission.MONITOR_EDIT})
    return Actor.system(
        f"alert rule {rule.name}"[:150], project=rule.project, grants=grants, on_behalf_of=rule.on_behalf_of
    )


def _tell(rule: AlertRule, endpoint: Endpoint, data: dict[str, Any], why: str) -> None:
    """Say that nothing moved: whoever relied on the rule has to act."""
    events.record(
        _actor(rule), "endpoint.rollback_held", project=endpoint.project, target=endpoint,
        data={"alert": data["alert"], "rule": rule.name, "reason": why},
    )  # fmt: skip
