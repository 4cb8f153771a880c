"""Entries for what was refused: who tried what without the right, so that probing can be seen afterwards.

The number of entries is bounded: of the tries of one caller in a quarter of an hour the first five are entries, then
every tenth power, with the count.
"""

import structlog
from django.db import DatabaseError, transaction

from mlportal.lib import throttle
from mlportal.lib.errors import DomainError
from mlportal.lib.lease import scrub
from projects.actor import Actor
from projects.models import Event, Project
from projects.services import events

log = structlog.get_logger(__name__)
WINDOW_SECONDS = 15 * 60
FIRST, POWERS = 5, (10, 100, 1_000, 10_000, 100_000)
MOST = 2_000  # of all callers together
# Refusals that tell nothing about rights.
HARMLESS = frozenset({"csrf", "step_up_required"})


def note(actor: Actor, *, method: str, path: str, error: DomainError, project: Project | None) -> bool:
    """Record that somebody was refused; tells whether this one became an entry. Never raises for a lost database."""
    if error.code in HARMLESS:
        return False
    tries = throttle.count(f"refused:{actor.user.pk if actor.user else actor.address}", seconds=WINDOW_SECONDS)
    if (tries > FIRST and tries not in POWERS) or throttle.count("refused", seconds=WINDOW_SECONDS) > MOST:
        return False
    data = {
        "method": method, "path": scrub(path[:300]), "status": error.status, "code": error.code,
        "message": scrub(error.message[:300]), "tries": tries,
    }  # fmt: skip
    try:
        with transaction.atomic():
            events.record(actor, "access.refused", project=project, data=data, result=Event.Result.REFUSED)
    except DatabaseError as fault:
        log.warning("refusal not recorded", error=str(fault)[:200])
        return False
    return True
