import pytest

from mlportal.lib.errors import Conflict, Forbidden, Invalid
from projects.models import Event, Membership
from projects.services import members
from tests.factories.projects import actor, make_user

pytestmark = pytest.mark.django_db


def open_roles(project, user) -> list[str]:
    return sorted(Membership.objects.filter(project=project, user=user, valid_to=None).values_list("role", flat=True))


def last_event() -> tuple[str, dict]:
    event = Event.objects.latest("seq")
    return event.verb, event.data


def test_add(churn, ana):
    mei = make_user("mei")
    members.add(actor(ana), project=churn, user=mei, role="scientist")
    members.add(actor(ana), project=churn, user=mei, role="ops")
    assert open_roles(churn, mei) == ["ops", "scientist"]
    assert last_event() == ("member.added", {"role": "ops"})


def test_add_refuses_a_role_held_already(churn, ana):
    with pytest.raises(Conflict):
        members.add(actor(ana), project=churn, user=ana, role="admin")


def test_add_refuses_an_inactive_account(churn, ana):
    with pytest.raises(Conflict):
        members.add(actor(ana), project=churn, user=make_user("gone", is_active=False), role="viewer")


def test_add_refuses_an_unknown_role(churn, ana):
    with pytest.raises(Invalid):
        members.add(actor(ana), project=churn, user=make_user("mei"), role="god")


@pytest.mark.parametrize("role", ["viewer", "scientist", "manager", "ops"])
def test_add_needs_an_admin(churn, ana, role):
    with pytest.raises(Forbidden):
        members.add(actor(make_user("mei", role=role, project=churn)), project=churn, user=ana, role="viewer")


def test_change_role_keeps_the_history(churn, ana):
    mei = make_user("mei", role="viewer", project=churn)
    members.change_role(actor(ana), member=mei.memberships.get(), role="scientist")
    assert open_roles(churn, mei) == ["scientist"]
    assert mei.memberships.exclude(valid_to=None).get().role == "viewer"
    assert last_event() == ("member.changed", {"role": "scientist", "before": "viewer"})


def test_change_role_refuses_the_same_and_a_second_one_held(churn, ana):
    mei = make_user("mei", role="viewer", project=churn)
    Membership.objects.create(project=churn, user=mei, role="ops")
    viewer = mei.memberships.get(role="viewer")
    for role in ("viewer", "ops"):
        with pytest.raises(Conflict):
            members.change_role(actor(ana), member=viewer, role=role)


def test_remove(churn, ana):
    mei = make_user("mei", role="viewer", project=churn)
    member = members.remove(actor(ana), member=mei.memberships.get())
    assert open_roles(churn, mei) == []
    assert last_event() == ("member.removed", {"role": "viewer"})
    with pytest.raises(Conflict):
        members.remove(actor(ana), member=member)


def test_the_last_admin_stays(churn, ana):
    own = ana.memberships.get()
    for attempt in (
        lambda: members.remove(actor(ana), member=own),
        lambda: members.change_role(actor(ana), member=own, role="viewer"),
    ):
        with pytest.raises(Conflict):
            attempt()
    assert open_roles(churn, ana) == ["admin"]


def test_an_inactive_admin_does_not_count(churn, ana):
    make_user("gone", role="admin", project=churn, is_active=False)
    with pytest.raises(Conflict):
        members.remove(actor(ana), member=ana.memberships.get())
