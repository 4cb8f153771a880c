from datetime import timedelta

import pytest
from django.utils import timezone

from mlportal.lib.errors import Conflict, Forbidden, Invalid, Unauthenticated
from projects.models import ApiToken, Event
from projects.permissions import Permission, allowed
from projects.services import credentials, entry, tokens
from tests.factories.projects import actor, make_project, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def mei(churn):
    return make_user("mei", role="scientist", project=churn)


def test_create_keeps_only_the_hash(churn, mei):
    new = tokens.create(actor(mei), project=churn, name="ci", scopes=["write", "read"], days=30)
    row = ApiToken.objects.get()
    assert new.secret.startswith("mlp_")
    assert len(new.secret) == 47
    assert row.sha256 == credentials.fingerprint(new.secret)
    assert (row.scopes, row.hint, row.user) == (["read", "write"], new.secret[:8], mei)
    assert abs(row.expires_at - timezone.now() - timedelta(days=30)) < timedelta(minutes=1)
    event = Event.objects.get()
    assert (event.verb, event.data) == ("token.created", {"scopes": ["read", "write"], "days": 30, "owner": mei.pk})
    assert new.secret not in f"{event.data}{event.target_label}"


def test_a_token_has_its_owners_rights_cut_to_its_scopes(churn, mei):
    new = tokens.create(actor(mei), project=churn, name="ci", scopes=["read", "approve"])
    by = entry.of_token(new.secret).actor
    assert allowed(by, Permission.RUN_VIEW, churn)
    assert not allowed(by, Permission.RUN_LOG, churn)  # the scope is missing
    assert not allowed(by, Permission.PROMOTION_DECIDE, churn)  # the role is missing
    assert not allowed(by, Permission.RUN_VIEW, make_project("other"))
    assert not allowed(by, Permission.ACCOUNT_EDIT, None)


@pytest.mark.parametrize("days", [0, -1, 366, 1.5, True, "7"])
def test_create_refuses_a_life_over_a_year(churn, mei, days):
    with pytest.raises(Invalid):
        tokens.create(actor(mei), project=churn, name="ci", scopes=["read"], days=days)


@pytest.mark.parametrize("scopes", [[], ["root"], "read", [1], None])
def test_create_refuses_wrong_scopes(churn, mei, scopes):
    with pytest.raises(Invalid):
        tokens.create(actor(mei), project=churn, name="ci", scopes=scopes)


def test_create_outside_projects_needs_a_site_administrator(mei):
    with pytest.raises(Forbidden):
        tokens.create(actor(mei), project=None, name="ci", scopes=["read"])


def test_create_for_somebody_else_needs_the_right_to_manage_members(churn, mei):
    ana = make_user("ana", role="admin", project=churn)
    with pytest.raises(Forbidden):
        tokens.create(actor(mei), project=churn, name="ci", scopes=["read"], owner=ana)
    assert tokens.create(actor(ana), project=churn, name="ci", scopes=["read"], owner=mei).token.user == mei


def test_a_token_cannot_make_a_stronger_one(churn):
    ana = make_user("ana", role="admin", project=churn)
    first = tokens.create(actor(ana), project=churn, name="a", scopes=["admin"])
    by = entry.of_token(first.secret).actor
    with pytest.raises(Forbidden):
        tokens.create(by, project=churn, name="b", scopes=["admin", "train"])


def test_revoke(churn, mei):
    new = tokens.create(actor(mei), project=churn, name="ci", scopes=["read"])
    tokens.revoke(actor(mei), token=new.token)
    with pytest.raises(Unauthenticated):
        entry.of_token(new.secret)
    with pytest.raises(Conflict):
        tokens.revoke(actor(mei), token=new.token)
    assert Event.objects.latest("seq").verb == "token.revoked"


def test_revoke_of_others_needs_the_right_to_manage_members(churn, mei):
    new = tokens.create(actor(mei), project=churn, name="ci", scopes=["read"])
    with pytest.raises(Forbidden):
        tokens.revoke(actor(make_user("tom", role="scientist", project=churn)), token=new.token)
    tokens.revoke(actor(make_user("ana", role="admin", project=churn)), token=new.token)


def test_an_expired_token_is_refused(churn, mei):
    new = tokens.create(actor(mei), project=churn, name="ci", scopes=["read"])
    ApiToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    with pytest.raises(Unauthenticated):
        entry.of_token(new.secret)


def test_last_use_is_kept(churn, mei):
    new = tokens.create(actor(mei), project=churn, name="ci", scopes=["read"])
    entry.of_token(new.secret)
    assert ApiToken.objects.get().last_used_at is not None
