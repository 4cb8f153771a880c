"""Answer a person who asks what is held about them, and make the prediction log forget them. A worker looks."""

import json
from typing import Any

from django.db import transaction

from deployments.models import PersonSearch
from mlportal.lib import lease, names, queue, sealed
from mlportal.lib.errors import Conflict, Invalid
from mlportal.lib.lease import Claim, WorkState
from projects.actor import Actor
from projects.models import Project
from projects.permissions import Permission, require
from projects.services import events, legal_holds, stepup

TASK = "deployments.search_person"
LONGEST = 200


def ask(by: Actor, *, project: Project, person: str, ticket: str, erase: bool = False) -> PersonSearch:
    """Have a worker look for a person in marked columns and in the prediction log.

    Parameters
    ----------
    person
        The value that tells who it is, such as a customer's number or an address of mail.
    ticket
        Number of the letter or case; what stays of the question.
    erase
        Also delete what the prediction log holds of them.

    Raises
    ------
    Invalid
        Naming the field that is empty or too long.
    Conflict
        To erase while a legal hold keeps the project.
    """
    require(by, Permission.PROJECT_EDIT, project)
    who = names.clean_text(person, field="person", limit=LONGEST, required=True)
    case = names.clean_text(ticket, field="ticket", limit=100, required=True)
    if by.user is None:
        raise Invalid("A search needs a person who asks.", field="by")
    if erase:
        stepup.require_recent(by)
    with transaction.atomic():
        if erase:
            legal_holds.refuse(project, what="What the prediction log holds")
        made = PersonSearch.objects.create(
            project=project, ticket=case, sealed=sealed.seal(who), erase=erase, asked_by=by.user
        )
        data = {"ticket": case, "erase": erase}
        events.record(by, "person.search_asked", project=project, target=made, data=data)
        queue.enqueue(TASK, made.pk)
    return made


def report(by: Actor, *, search: PersonSearch) -> bytes:
    """Return what was found as a file; who took it is in the audit log.

    Raises
    ------
    Conflict
        While the search has not ended well.
    """
    require(by, Permission.PROJECT_EDIT, search.project)
    if search.state != WorkState.SUCCEEDED:
        raise Conflict(f"The search is {search.get_state_display()}; there is no report.", code="not_ready")
    told = {
        "project": search.project.slug, "ticket": search.ticket, "erase": search.erase,
        "asked_at": search.asked_at.isoformat(), "found": search.result,
    }  # fmt: skip
    with transaction.atomic():
        data = {"ticket": search.ticket}
        events.record(by, "person.report_exported", project=search.project, target=search, data=data)
    return json.dumps(told, indent=2, ensure_ascii=False).encode()


def end(held: Claim, *, result: dict[str, Any] | None, failure: str = "") -> bool:
    """Keep what a worker found, and forget who it was about."""
    state = WorkState.SUCCEEDED if result is not None else WorkState.FAILED
    with transaction.atomic():
        rows = PersonSearch.objects.all()
        if not lease.finish(rows, held, state=state, failure=failure, result=result, sealed=""):
            return False
        done = rows.select_related("project").get(pk=held.pk)
        data = {"ticket": done.ticket, "state": state, **counts(result or {})}
        by = Actor.system("person search", project=done.project)
        events.record(by, "person.searched", project=done.project, target=done, data=data)
    return True


def counts(result: dict[str, Any]) -> dict[str, int]:
    """Count what a search found and erased."""
    erased = result.get("erased") or {}
    return {
        "dataset_versions": len(result.get("datasets", [])), "predictions": int(result.get("prediction_count", 0)),
        "models": len(result.get("models", [])), "erased_predictions": int(erased.get("predictions", 0)),
        "erased_labels": int(erased.get("labels", 0)), "rewritten_files": int(erased.get("files", 0)),
    }  # fmt: skip


def sweep() -> int:
    """Give lost searches to another worker; one that is given up forgets who it was about."""
    rows = PersonSearch.objects.all()
    moved = lease.sweep(rows, on_end=lambda row: _forget(row.pk), on_requeue=lambda row: None)
    return moved + lease.republish(rows, task=TASK)


def _forget(number: int) -> None:
    PersonSearch.objects.filter(pk=number).update(sealed="")
