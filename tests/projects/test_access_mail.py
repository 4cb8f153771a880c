"""Mail about requests for access: to who can answer, and back; nobody learns of projects from it."""

import pytest
from django.core import mail

from projects.models import AccessRequest, EventDelivery
from projects.services import access_requests
from projects.tasks import tell_of_access
from tests.factories.projects import actor, make_project, make_user

pytestmark = pytest.mark.django_db


def ask(person, slug="churn") -> AccessRequest:
    return access_requests.ask(actor(person), slug=slug, role="scientist", reason="I train the next one.")


def told(verb: str) -> list[str]:
    """Deliver the newest event of a verb, and again: who got mail."""
    mail.outbox.clear()
    delivery = EventDelivery.objects.filter(event__verb=verb, task="projects.tell_of_access").latest("pk")
    tell_of_access(delivery.pk)
    tell_of_access(delivery.pk)
    return [address for each in mail.outbox for address in each.bcc]


def test_who_manages_members_is_told_and_who_asked_hears_the_answer(db):
    churn = make_project()
    ada, mei = make_user("ada", role="admin", project=churn), make_user("mei")
    make_user("bo", role="manager", project=churn)
    make_user("gone", role="admin", project=churn, is_active=False)
    request = ask(mei)
    assert told("access.requested") == ["ada@example.org"]
    assert "mei asks for access to Churn" in mail.outbox[0].subject
    assert "I train the next one." in mail.outbox[0].body
    access_requests.grant(actor(ada), request=request, role="viewer")
    assert told("access.granted") == ["mei@example.org"]
    assert "You are Viewer now" in mail.outbox[0].body
    access_requests.decline(actor(ada), request=ask(mei), answer="Ask again in May.")
    assert told("access.declined") == ["mei@example.org"]
    assert "Ask again in May." in mail.outbox[0].body


def test_a_project_without_an_admin_asks_the_site(db):
    make_project()
    ask(make_user("mei"))
    assert told("access.requested") == ["root@example.org"]


def test_an_address_of_no_project_reaches_nobody(db):
    make_project()
    ask(make_user("mei"), "nothing-here")
    assert told("access.requested") == []
