"""Projects: made by a site administrator, kept by their admins."""

import re
import unicodedata

from django.db import transaction
from django.utils import timezone

from mlportal.lib import names
from mlportal.lib.errors import Conflict, Invalid
from projects.actor import Actor
from projects.models import Membership, Project, User
from projects.permissions import Permission, Role, require
from projects.services import events

MAX_TRASH_DAYS = 3650


def create(by: Actor, *, name: str, slug: str = "", description: str = "", owner: User | None = None,
           is_example: bool = False) -> Project:  # fmt: skip
    """Make a project whose first admin is ``owner`` (by default the caller).

    Without a slug the address is made from the name.

    Raises
    ------
    Conflict
        When the address is taken; addresses of archived projects stay taken, so that links never lie.
    """
    require(by, Permission.SITE_ADMIN, None)
    admin = owner or by.user
    if admin is None:
        raise Invalid("Say who is the project's first admin.", field="owner")
    title = _title(name)
    address = names.slug(slug) if slug else _slug_of(title)
    with transaction.atomic():
        if Project.objects.filter(slug=address).exists():
            raise Conflict(f"The address {address!r} is taken.", field="slug")
        project = Project.objects.create(
            name=title, slug=address, description=names.clean_text(description, field="description"),
            created_by=admin, is_example=is_example,
        )  # fmt: skip
        Membership.objects.create(project=project, user=admin, role=Role.ADMIN, granted_by=by.user)
        data = {"slug": address, "admin": admin.pk}
        events.record(by, "project.created", project=project, target=project, data=data)
    by.forget()
    return project


def edit(by: Actor, *, project: Project, name: str, description: str) -> Project:
    """Change a project's name and description; its address stays."""
    require(by, Permission.PROJECT_EDIT, project)
    before = {"name": project.name}
    project.name = _title(name)
    project.description = names.clean_text(description, field="description")
    with transaction.atomic():
        project.save(update_fields=["name", "description"])
        data = {"name": project.name, "before": before}
        events.record(by, "project.edited", project=project, target=project, data=data)
    return project


def keep_trash(by: Actor, *, project: Project, days: int | str) -> Project:
    """Change after how many days what lies in the project's trash is removed for good.

    Raises
    ------
    Invalid
        If it is no whole number from 1 to 3,650.
    """
    require(by, Permission.PROJECT_EDIT, project)
    text = str(days).strip()
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0
    if not 1 <= number <= MAX_TRASH_DAYS:
        raise Invalid(
            f"The trash keeps 1 to {MAX_TRASH_DAYS:,} days.", field="trash_days", limit=MAX_TRASH_DAYS, got=text[:20]
        )
    with transaction.atomic():
        before, project.trash_days = project.trash_days, number
        project.save(update_fields=["trash_days"])
        data = {"trash_days": number, "before": before}
        events.record(by, "project.edited", project=project, target=project, data=data)
    return project


def archive(by: Actor, *, project: Project) -> Project:
    """Hide a project from everybody. Nothing is deleted.

    Raises
    ------
    Conflict
        When it is archived already, or under a legal hold, which nobody could lift then.
    """
    require(by, Permission.PROJECT_EDIT, project)
    now = timezone.now()
    with transaction.atomic():
        Project.objects.select_for_update(no_key=True).get(pk=project.pk)
        if project.legal_holds.standing().exists():
            raise Conflict("Lift the legal holds of this project first.", code="legal_hold")
        if not Project.objects.filter(pk=project.pk, archived_at=None).update(archived_at=now):
            raise Conflict("This project is archived already.")
        events.record(by, "project.archived", project=project, target=project)
    project.archived_at = now
    return project


def _title(name: str) -> str:
    title = names.clean_text(name, field="name", limit=100, required=True)
    if "\n" in title:
        raise Invalid("name must be one line.", field="name")
    return title


def _slug_of(title: str) -> str:
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return names.slug(re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:50].strip("-"), field="slug")
