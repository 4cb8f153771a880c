"""Service accounts: bound to one project, no way to sign in, tokens minted by people, an owner who answers for them."""

import pytest

from mlportal.lib.errors import Conflict, Forbidden, Invalid
from projects.models import ApiToken, Event, Membership, ServiceOwner, User
from projects.permissions import Permission, allowed
from projects.services import accounts, groups, members, service_accounts, signing_in, tokens
from projects.services import entry as entries
from tests.factories.projects import PASSWORD, actor, make_project, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin(churn):
    return make_user("ada", role="admin", project=churn)


@pytest.fixture
def mei(churn):
    return make_user("mei", role="scientist", project=churn)


def made(admin, churn, mei, *, name="ci", role="scientist") -> User:
    return service_accounts.create(actor(admin), project=churn, name=name, owner=mei, role=role)


def test_an_account_is_bound_to_its_project_and_cannot_sign_in(churn, admin, mei):
    account = made(admin, churn, mei)
    assert (account.username, account.is_service, account.has_usable_password()) == ("churn.ci", True, False)
    assert churn.roles_of(account) == ["scientist"]
    assert [event.verb for event in Event.objects.order_by("seq")] == ["member.added", "service.created"]
    with pytest.raises(Forbidden, match="wrong"):
        signing_in.verify("churn.ci", PASSWORD, address="10.0.0.1")
    root = actor(make_project("other").created_by)
    for refused in (accounts.reset_password, accounts.confirm_email):
        with pytest.raises(Conflict) as error:
            refused(root, user=account)
        assert error.value.code == "service"
    with pytest.raises(Conflict, match="another project"):
        members.add(root, project=make_project("third"), user=account, role="viewer")
    with pytest.raises(Conflict, match="no group"):
        groups.add(root, group=groups.create(root, name="Team"), user=account)


def test_nobody_makes_an_admin_of_one(churn, admin, mei):
    with pytest.raises(Invalid, match="never project admin"):
        made(admin, churn, mei, role="admin")
    account = made(admin, churn, mei)
    with pytest.raises(Conflict, match="never project admin"):
        members.add(actor(admin), project=churn, user=account, role="admin")
    with pytest.raises(Conflict, match="never project admin"):
        members.change_role(actor(admin), member=Membership.objects.get(user=account), role="admin")


@pytest.mark.parametrize("role", ["viewer", "scientist", "manager", "ops"])
def test_only_who_manages_members_makes_one(churn, mei, role):
    with pytest.raises(Forbidden):
        made(make_user("bo", role=role, project=churn), churn, mei)
    assert not User.objects.filter(service_project=churn).exists()


def test_the_owner_is_a_member_and_a_person(churn, admin, mei):
    account = made(admin, churn, mei)
    for owner in (make_user("outsider"), account, make_user("gone", role="viewer", project=churn, is_active=False)):
        with pytest.raises(Conflict) as error:
            service_accounts.create(actor(admin), project=churn, name="other", owner=owner, role="viewer")
        assert error.value.field == "owner"
    with pytest.raises(Conflict, match=r"churn\.CI already"):
        made(admin, churn, mei, name="CI")


def test_another_owner_is_an_interval(churn, admin, mei):
    account = made(admin, churn, mei)
    service_accounts.change_owner(actor(admin), account=account, owner=admin)
    before, now = ServiceOwner.objects.order_by("pk")
    assert (before.person, now.person, now.valid_to, now.named_by) == (mei, admin, None, admin)
    assert before.valid_to is not None
    with pytest.raises(Conflict, match="already"):
        service_accounts.change_owner(actor(admin), account=account, owner=admin)
    with pytest.raises(Invalid, match="a person"):
        service_accounts.change_owner(actor(churn.created_by), account=mei, owner=admin)


def test_tokens_are_minted_by_people_and_work_here_only(churn, admin, mei):
    account = made(admin, churn, mei)
    new = tokens.create(actor(admin), project=churn, name="build", scopes=["read", "write"], owner=account)
    assert (new.token.created_by, new.token.user) == (admin, account)
    by = entries.of_token(new.secret).actor
    assert allowed(by, Permission.RUN_LOG, churn)
    assert not allowed(by, Permission.RUN_VIEW, make_project("other"))
    with pytest.raises(Forbidden):  # its owner manages no members
        tokens.create(actor(mei), project=churn, name="own", scopes=["read"], owner=account)
    with pytest.raises(Conflict, match="in its project only"):
        tokens.create(actor(churn.created_by), project=None, name="all", scopes=["read"], owner=account)


def test_an_account_mints_no_token_for_itself(churn, admin, mei):
    account = made(admin, churn, mei)
    new = tokens.create(actor(admin), project=churn, name="build", scopes=["admin", "read"], owner=account)
    with pytest.raises(Forbidden, match="People mint"):
        tokens.create(entries.of_token(new.secret).actor, project=churn, name="more", scopes=["read"])


def test_the_audit_log_names_account_and_owner(churn, admin, mei):
    account = made(admin, churn, mei)
    new = tokens.create(actor(admin), project=churn, name="build", scopes=["admin", "read"], owner=account)
    members.add(actor(admin), project=churn, user=account, role="ops")
    by = entries.enter(f"Bearer {new.secret}", named="churn").actor
    with pytest.raises(Forbidden):
        members.add(by, project=churn, user=make_user("bo"), role="viewer")
    tokens.revoke(by, token=new.token)
    event = Event.objects.latest("seq")
    assert (event.verb, event.actor_id, event.on_behalf_of) == ("token.revoked", account.pk, mei.pk)


def test_disabling_ends_the_tokens_for_good(churn, admin, mei):
    account = made(admin, churn, mei)
    new = tokens.create(actor(admin), project=churn, name="build", scopes=["read"], owner=account)
    service_accounts.disable(actor(admin), account=account)
    with pytest.raises(Conflict, match="disabled already"):
        service_accounts.disable(actor(admin), account=account)
    with pytest.raises(Conflict, match="not active"):
        tokens.create(actor(admin), project=churn, name="more", scopes=["read"], owner=account)
    service_accounts.enable(actor(admin), account=account)
    assert User.objects.get(pk=account.pk).is_active
    assert ApiToken.objects.get(pk=new.token.pk).revoked_at is not None


def test_an_account_is_not_opened_again_without_an_owner(churn, admin, mei):
    account = made(admin, churn, mei)
    service_accounts.disable(actor(admin), account=account)
    members.remove(actor(admin), member=Membership.objects.get(user=mei))
    with pytest.raises(Conflict, match="does not belong"):
        service_accounts.enable(actor(admin), account=account)


@pytest.mark.parametrize("way", ["deactivated", "removed"])
def test_an_owner_who_leaves_is_seen(churn, admin, mei, way):
    account = made(admin, churn, mei)
    assert not service_accounts.listed(churn).get().owner_left
    assert not service_accounts.without_owner().exists()
    if way == "deactivated":
        accounts.deactivate(actor(churn.created_by), user=mei)
    else:
        members.remove(actor(admin), member=Membership.objects.get(user=mei))
    assert service_accounts.listed(churn).get().owner_left
    assert service_accounts.without_owner().get() == account


def test_whoever_answers_or_mints_stands_behind_it(churn, admin, mei):
    account = made(admin, churn, mei)
    assert service_accounts.behind(mei) == [mei]
    assert service_accounts.behind(account) == [account, mei]
    tokens.create(actor(churn.created_by), project=churn, name="build", scopes=["read"], owner=account)
    service_accounts.change_owner(actor(admin), account=account, owner=admin)
    assert set(service_accounts.behind(account)) == {account, mei, admin, churn.created_by}
