"""The way in of tracking clients: who calls, in which project, and how soon a change counts."""

import base64
from datetime import timedelta

import pytest
from django.utils import timezone

from mlportal.lib.errors import Forbidden, Missing, Unauthenticated
from projects.models import ApiToken, Event, Membership, User
from projects.permissions import Permission, allowed
from projects.services import entry
from tests.factories.projects import PASSWORD, make_project, make_token, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def ana(project):
    return make_user("ana", role="scientist", project=project)


def bearer(secret):
    return f"Bearer {secret}"


def basic(name, secret):
    return "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()


def enter(header, named=""):
    return entry.enter(header, named=named, address="192.0.2.7", request_id="r")


@pytest.mark.parametrize("form", [bearer, lambda secret: basic("ana", secret), lambda secret: basic(secret, "")])
def test_a_token_enters_its_project_with_its_owners_roles_and_scopes(project, ana, form):
    found = enter(form(make_token(ana, project, ["read"])))
    assert (found.project, found.actor.user, found.actor.kind) == (project, ana, "token")
    assert allowed(found.actor, Permission.RUN_VIEW, found.project)
    assert not allowed(found.actor, Permission.RUN_LOG, found.project)


def test_what_was_read_together_is_what_is_read_alone(project, ana):
    Membership.objects.create(user=ana, project=project, role="ops")
    found = enter(bearer(make_token(ana, project, ["read", "write", "deploy"])))
    together = found.actor.permissions_in(found.project)
    found.actor.forget()
    assert together == found.actor.permissions_in(project)
    assert Permission.ENDPOINT_DEPLOY in together


def test_the_use_of_a_token_is_noted_once_a_minute(project, ana):
    secret = make_token(ana, project, ["read"])
    enter(bearer(secret))
    first = ApiToken.objects.get().last_used_at
    assert first is not None
    enter(bearer(secret))
    assert ApiToken.objects.get().last_used_at == first
    ApiToken.objects.update(last_used_at=first - timedelta(minutes=2))
    enter(bearer(secret))
    assert ApiToken.objects.get().last_used_at > first


@pytest.mark.parametrize(
    "change",
    [
        lambda: ApiToken.objects.update(revoked_at=timezone.now()),
        lambda: ApiToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1)),
        lambda: User.objects.filter(username="ana").update(is_active=False),
    ],
)
def test_a_token_that_ended_is_refused_at_once(project, ana, change):
    secret = make_token(ana, project, ["read"])
    enter(bearer(secret))
    change()
    with pytest.raises(Unauthenticated, match="MLFLOW_TRACKING_TOKEN"):
        enter(bearer(secret))


def test_a_role_that_ended_counts_at_once(project, ana):
    secret = make_token(ana, project, ["read", "write"])
    Membership.objects.update(valid_to=timezone.now())
    with pytest.raises(Missing):
        enter(bearer(secret))


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer nonsense", "Bearer mlp_nonsense", "Basic !", "Digest x"])
def test_no_credential_is_refused_with_a_way_to_send_one(project, header):
    with pytest.raises(Unauthenticated) as refusal:
        enter(header)
    assert "MLFLOW_TRACKING" in refusal.value.message or "base64" in refusal.value.message


def test_a_bound_token_may_name_its_own_project_and_no_other(project, ana):
    other = make_project("other")
    Membership.objects.create(user=ana, project=other, role="scientist")
    secret = make_token(ana, project, ["read"])
    assert enter(bearer(secret), "churn").project == project
    for name in ("other", "absent", "../x", "nul\0"):
        with pytest.raises(Missing):
            enter(bearer(secret), name)


def test_a_free_caller_gets_the_default_then_the_oldest_membership(project, ana):
    other = make_project("other")
    Membership.objects.create(user=ana, project=other, role="scientist")
    header = bearer(make_token(ana, None, ["read"]))
    assert enter(header).project == project
    assert enter(header, "default").project == project  # what MLflow calls no workspace
    User.objects.filter(pk=ana.pk).update(default_project=other)
    assert enter(header).project == other
    assert enter(header, "churn").project == project
    Membership.objects.filter(project=other).update(valid_to=timezone.now())
    assert enter(header).project == project
    with pytest.raises(Missing):
        enter(header, "other")


def test_an_archived_project_is_absent(project, ana):
    secret = make_token(ana, project, ["read"])
    type(project).objects.update(archived_at=timezone.now())
    with pytest.raises(Missing):
        enter(bearer(secret))


def test_a_site_administrator_sees_every_project_but_does_not_log_there(project):
    root = User.objects.get(username="root")
    found = enter(bearer(make_token(root, None, ["read", "write"])), "churn")
    assert found.project == project
    assert not allowed(found.actor, Permission.RUN_LOG, found.project)


def test_a_name_and_password_enter_as_the_person(project, ana):
    for _ in range(2):
        found = enter(basic("ana", PASSWORD))
        assert (found.actor.kind, found.actor.user, found.project) == ("user", ana, project)
        assert allowed(found.actor, Permission.RUN_LOG, project)


def test_a_password_is_checked_in_full_once(project, ana, monkeypatch):
    enter(basic("ana", PASSWORD))
    monkeypatch.setattr(User, "check_password", lambda *_: pytest.fail("checked again"))
    assert enter(basic("ana", PASSWORD)).actor.user == ana


@pytest.mark.parametrize("change", [{"is_active": False}, {"password": "!"}, {"password": ""}])
def test_a_password_that_changed_or_an_account_that_closed_is_refused_at_once(project, ana, change):
    enter(basic("ana", PASSWORD))
    User.objects.filter(pk=ana.pk).update(**change)
    with pytest.raises(Unauthenticated):
        enter(basic("ana", PASSWORD))


def test_wrong_passwords_lock_the_account_as_at_sign_in(project, ana):
    for _ in range(10):
        with pytest.raises(Unauthenticated, match="wrong"):
            enter(basic("ana", "guess"))
    assert Event.objects.filter(verb="user.sign_in_failed").count() == 10
    with pytest.raises(Unauthenticated, match="Too many tries"):
        enter(basic("ana", PASSWORD))


def test_a_password_that_was_given_must_be_changed_first(project, ana):
    User.objects.filter(pk=ana.pk).update(must_change_password=True)
    with pytest.raises(Forbidden, match="must be changed first"):
        enter(basic("ana", PASSWORD))
