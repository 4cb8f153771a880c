"""Mail about requests for access: to those who can answer, and back to who asked."""

from django.conf import settings
from django.core.mail import EmailMessage

from projects.models import AccessRequest, Event, Project, User
from projects.permissions import ROLE_LABELS, Permission, Role, roles_with

MOST = 20


def tell(event: Event) -> None:
    """Send what an event about a request asks for; a request for no project reaches nobody."""
    asked = AccessRequest.objects.filter(pk=event.target_id).select_related("project", "user").first()
    if asked is None or asked.project is None:
        return
    if event.verb == "access.requested":
        if asked.state == AccessRequest.State.WAITING:
            _send(answering(asked.project), *_question(asked))
    else:
        _send([asked.user], *_answer(asked))


def answering(project: Project) -> list[User]:
    """People who manage the members of a project; site administrators where it has none of its own."""
    open_rows = project.memberships.open().filter(role__in=roles_with(Permission.MEMBER_MANAGE))
    people = User.objects.filter(is_active=True, service_project=None)
    own = people.filter(pk__in=open_rows.values("user")).order_by("pk")[:MOST]
    return list(own) or list(people.filter(is_site_admin=True).order_by("pk")[:MOST])


def _question(asked: AccessRequest) -> tuple[str, str]:
    role = ROLE_LABELS[Role(asked.role)]
    return f"{asked.user} asks for access to {asked.project}", (
        f"{asked.user} ({asked.user.username}) asks to be {role} in {asked.project}:\n\n{asked.reason}\n\n"
        f"Answer it until {asked.expires_at:%Y-%m-%d}: {settings.BASE_URL}/p/{asked.asked_for}/settings/access/"
    )


def _answer(asked: AccessRequest) -> tuple[str, str]:
    words = {
        AccessRequest.State.GRANTED: f"You are {ROLE_LABELS[Role(asked.granted_role or asked.role)]} now",
        AccessRequest.State.DECLINED: f"It was declined: {asked.answer}",
        AccessRequest.State.EXPIRED: "Nobody answered it in time; you may ask again",
    }[AccessRequest.State(asked.state)]
    end = f" until {asked.granted_until:%Y-%m-%d %H:%M} UTC" if asked.granted_until else ""
    return f"Your request for access to {asked.asked_for}", (
        f"You asked for access to {asked.asked_for}. {words}{end}.\n\n{settings.BASE_URL}/access/"
    )


def _send(people: list[User], subject: str, body: str) -> None:
    """Send one mail with everybody hidden from each other."""
    if people:
        one_line = " ".join(subject.split())
        EmailMessage(one_line, body, settings.DEFAULT_FROM_EMAIL, bcc=[each.email for each in people]).send()
