"""What an event says about an alert: plain data for mails, webhooks and automations."""

from datetime import datetime
from typing import Any

from django.utils import timezone

from monitoring.models import Alert


def facts_at(alert: Alert, at: datetime | None = None) -> dict[str, Any]:
    """Return the facts at a moment, by default now."""
    return facts(alert, silenced=is_silenced(alert, at or timezone.now()))


def facts(alert: Alert, *, silenced: bool) -> dict[str, Any]:
    """Return the facts where it is known already whether a silence covers the alert."""
    return {
        "alert": alert.pk,
        "rule": alert.rule.name,
        "rule_id": alert.rule_id,
        "metric": alert.rule.metric,
        "kind": alert.kind,
        "severity": alert.severity,
        "level": alert.level,
        "title": alert.title,
        "detail": alert.detail,
        "value": alert.value,
        "limit": alert.limit,
        "endpoint": alert.endpoint,
        "version": alert.version,
        "column": alert.column,
        "fingerprint": alert.fingerprint,
        "labels": alert.all_labels,
        "flapping": alert.flapping,
        "silenced": silenced,
    }


def is_silenced(alert: Alert, at: datetime) -> bool:
    """Whether a silence covers the alert at this moment."""
    return Alert.objects.with_silence(at).filter(pk=alert.pk, silenced=True).exists()
