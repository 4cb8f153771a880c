"""What a message says in the words of each receiver: Slack, Alertmanager (v4), PagerDuty (Events v2), plain text.

All are made from plain data of alerts, one or many, so they are the same for an event and for a group of a route.
Sources: Alertmanager's webhook receiver, PagerDuty's Events API v2, Slack's incoming webhooks.
"""

from collections.abc import Mapping, Sequence
from typing import Any

NEVER = "0001-01-01T00:00:00Z"
COLOURS = {"critical": "#b42318", "high": "#d4572a", "medium": "#b27300", "low": "#5b6270"}
PAGER_SEVERITY = {"critical": "critical", "high": "error", "medium": "warning", "low": "info"}
PAGER_SUMMARY = 1024
MOST_SHOWN = 10
ACTIONS = {"alert.resolved": "resolve", "alert.acknowledged": "acknowledge"}

Alert = Mapping[str, Any]


def alerts_of(data: Mapping[str, Any]) -> list[Alert]:
    """Alerts that a message is about: those of its group, the one of its event, or none."""
    if isinstance(data.get("alerts"), list):
        return list(data["alerts"])
    return [data] if "fingerprint" in data else []


def alertmanager(verb: str, data: Mapping[str, Any], *, base: str, at: str) -> dict[str, Any]:
    """Write Alertmanager's webhook body, version 4."""
    told = [_am_alert(one, verb, at) for one in alerts_of(data)]
    firing = any(one["status"] == "firing" for one in told)
    return {
        "version": "4",
        "groupKey": str(data.get("group_key") or data.get("fingerprint", "")),
        "truncatedAlerts": 0,
        "status": "firing" if firing else "resolved",
        "receiver": str(data.get("receiver", "mlportal")),
        "groupLabels": dict(data.get("group_labels") or {}),
        "commonLabels": _common([one["labels"] for one in told]),
        "commonAnnotations": _common([one["annotations"] for one in told]),
        "externalURL": base,
        "alerts": told,
    }


def _am_alert(one: Alert, verb: str, at: str) -> dict[str, Any]:
    over = _status(one, verb) == "resolved"
    labels = {"alertname": one.get("rule", ""), "severity": one.get("severity", ""), **(one.get("labels") or {})}
    return {
        "status": "resolved" if over else "firing",
        "labels": {name: str(value) for name, value in labels.items() if value != ""},
        "annotations": {"summary": str(one.get("title", "")), "description": str(one.get("detail", ""))},
        "startsAt": one.get("starts_at") or at,
        "endsAt": (one.get("ends_at") or at) if over else NEVER,
        "generatorURL": str(one.get("link", "")),
        "fingerprint": str(one.get("fingerprint", ""))[:16],
    }


def _status(one: Alert, verb: str) -> str:
    return str(one.get("status") or ("resolved" if verb == "alert.resolved" else "firing"))


def _common(parts: Sequence[Mapping[str, str]]) -> dict[str, str]:
    first, *rest = parts or [{}]
    return {name: value for name, value in first.items() if all(other.get(name) == value for other in rest)}


def pagerduty(verb: str, one: Alert, *, at: str) -> dict[str, Any]:
    """Write an event of PagerDuty's API v2 for one alert; the routing key is added when it is sent."""
    action = ACTIONS.get(verb, "resolve" if _status(one, verb) == "resolved" else "trigger")
    event: dict[str, Any] = {
        "event_action": action, "dedup_key": str(one.get("fingerprint") or one.get("channel", "test"))[:255],
        "client": "mlportal", "client_url": str(one.get("link", "")),
    }  # fmt: skip
    if action == "trigger":
        event["payload"] = {
            "summary": str(one.get("title") or one.get("text", ""))[:PAGER_SUMMARY],
            "source": str(one.get("endpoint") or "mlportal"),
            "severity": PAGER_SEVERITY.get(str(one.get("severity")), "info"),
            "timestamp": one.get("starts_at") or at,
            "component": str(one.get("version", "")),
            "class": str(one.get("kind", "")),
            "custom_details": {"detail": one.get("detail", ""), "value": one.get("value"), "limit": one.get("limit")},
        }
    return event


def slack(subject: str, verb: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """Write the body of a Slack-type incoming webhook; Mattermost, Rocket.Chat and Discord's /slack read it too."""
    told = alerts_of(data)
    shown = [_attachment(one, verb) for one in told[:MOST_SHOWN]]
    if not told:
        lines = [str(data[key]) for key in ("detail", "text", "reason") if data.get(key)]
        return {"text": _escaped("\n".join([subject, *lines, str(data.get("link", ""))]).strip())}
    more = f" (and {len(told) - MOST_SHOWN} more)" if len(told) > MOST_SHOWN else ""
    return {"text": _escaped(subject + more), "attachments": shown}


def _attachment(one: Alert, verb: str) -> dict[str, Any]:
    over = _status(one, verb) == "resolved"
    fields = [("Endpoint", one.get("endpoint")), ("Version", one.get("version")), ("Rule", one.get("rule"))]
    return {
        "color": "#1a7f4b" if over else COLOURS.get(str(one.get("severity")), "#5b6270"),
        "title": _escaped(("Resolved: " if over else "") + str(one.get("title", ""))),
        "title_link": one.get("link", ""),
        "fallback": _escaped(str(one.get("title", ""))),
        "text": _escaped(str(one.get("detail", ""))),
        "fields": [{"title": name, "value": _escaped(str(value)), "short": True} for name, value in fields if value],
    }


def _escaped(text: str) -> str:
    """Escape the three characters that Slack reads as markup, so that no value can call people or hide a link."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def plain(verb: str, data: Mapping[str, Any]) -> str:
    """Write the text of a message for services that take text only."""
    lines = []
    for one in alerts_of(data)[:MOST_SHOWN]:
        state = "Resolved: " if _status(one, verb) == "resolved" else f"{str(one.get('severity', '')).capitalize()}: "
        where = " ".join(str(one[key]) for key in ("endpoint", "version") if one.get(key))
        lines += [f"{state}{one.get('title', '')} ({where})".replace(" ()", ""), str(one.get("detail", ""))]
    lines += [str(data.get("text", "")), str(data.get("link", ""))]
    return "\n".join(line for line in lines if line)
