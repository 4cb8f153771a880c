from datetime import timedelta

import pytest
from django.utils import timezone

from mlportal.lib.errors import Conflict, Forbidden, Missing
from projects.models import Event, GroupMember, Membership
from projects.permissions import Permission, allowed
from projects.services import group_roles, groups, members
from tests.factories.projects import actor, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def root(churn):
    return actor(churn.created_by)


@pytest.fixture
def team(root):
    return groups.create(root, name="Risk team")


def held(project, user) -> list[tuple[str, str]]:
    rows = Membership.objects.open().filter(project=project, user=user).select_related("group")
    return sorted((row.role, row.group.name if row.group else "") for row in rows)


def verbs(since: int) -> list[str]:
    return list(Event.objects.filter(seq__gt=since).order_by("seq").values_list("verb", flat=True))


def test_a_role_of_a_group_is_a_role_of_everybody_in_it(churn, root, ana, team):
    mei, bo = make_user("mei"), make_user("bo")
    groups.add(root, group=team, user=mei)
    before = Event.objects.count()
    group_roles.grant(actor(ana), project=churn, group=team, role="scientist")
    assert verbs(before) == ["member.added", "group.role_given"]
    groups.add(root, group=team, user=bo)
    assert [held(churn, user) for user in (mei, bo)] == [[("scientist", "Risk team")]] * 2
    assert allowed(actor(bo), Permission.RUN_LOG, churn)


def test_leaving_a_group_takes_its_roles_and_leaves_ones_own(churn, root, ana, team):
    mei = make_user("mei", role="viewer", project=churn)
    member = groups.add(root, group=team, user=mei)
    group_roles.grant(actor(ana), project=churn, group=team, role="scientist")
    groups.remove(root, member=member)
    assert held(churn, mei) == [("viewer", "")]
    ended = Membership.objects.get(user=mei, role="scientist")
    assert ended.valid_to is not None
    with pytest.raises(Conflict):
        groups.remove(root, member=member)


def test_the_same_role_by_hand_and_through_two_groups(churn, root, ana, team):
    mei, other = make_user("mei", role="viewer", project=churn), groups.create(root, name="Other")
    for group in (team, other):
        groups.add(root, group=group, user=mei)
        grant = group_roles.grant(actor(ana), project=churn, group=group, role="viewer")
    assert held(churn, mei) == [("viewer", ""), ("viewer", "Other"), ("viewer", "Risk team")]
    group_roles.end(actor(ana), grant=grant)
    assert held(churn, mei) == [("viewer", ""), ("viewer", "Risk team")]


def test_changing_a_role_of_a_group(churn, root, ana, team):
    mei = make_user("mei")
    groups.add(root, group=team, user=mei)
    grant = group_roles.grant(actor(ana), project=churn, group=team, role="viewer")
    until = timezone.now() + timedelta(days=3)
    group_roles.change(actor(ana), grant=grant, role="ops", until=until)
    assert held(churn, mei) == [("ops", "Risk team")]
    assert Membership.objects.open().get(user=mei).valid_until == until


def test_a_row_through_a_group_is_not_changed_by_hand(churn, root, ana, team):
    mei = make_user("mei")
    groups.add(root, group=team, user=mei)
    group_roles.grant(actor(ana), project=churn, group=team, role="viewer")
    row = Membership.objects.get(user=mei, project=churn)
    for attempt in (
        lambda: members.remove(actor(ana), member=row),
        lambda: members.change_role(actor(ana), member=row, role="ops"),
        lambda: members.change_end(actor(ana), member=row, until=None),
    ):
        with pytest.raises(Conflict, match="through the group"):
            attempt()


def test_the_last_admin_stays_whichever_way_the_group_changes(churn, root, ana, team):
    mei = make_user("mei")
    member = groups.add(root, group=team, user=mei)
    grant = group_roles.grant(actor(ana), project=churn, group=team, role="admin")
    members.remove(actor(ana), member=ana.memberships.get())
    for attempt in (
        lambda: groups.remove(root, member=member),
        lambda: groups.archive(root, group=team),
        lambda: group_roles.end(actor(mei), grant=grant),
        lambda: group_roles.change(actor(mei), grant=grant, role="viewer"),
        lambda: group_roles.change(actor(mei), grant=grant, role="admin", until=timezone.now() + timedelta(days=1)),
    ):
        with pytest.raises(Conflict, match="last admin"):
            attempt()
    assert held(churn, mei) == [("admin", "Risk team")]


def test_archiving_ends_everything(churn, root, ana, team):
    mei = make_user("mei")
    groups.add(root, group=team, user=mei)
    group_roles.grant(actor(ana), project=churn, group=team, role="ops")
    groups.archive(root, group=team)
    assert held(churn, mei) == []
    assert not GroupMember.objects.filter(group=team, valid_to=None).exists()
    with pytest.raises(Conflict):
        groups.add(root, group=team, user=mei)
    groups.create(root, name="risk TEAM")  # the name is free again


def test_owners_change_members_and_nobody_else(churn, root, team):
    olga, mei, bo = make_user("olga"), make_user("mei"), make_user("bo")
    groups.add(root, group=team, user=olga, as_owner=True)
    groups.add(actor(olga), group=team, user=mei)
    assert held(churn, olga) == []
    with pytest.raises(Forbidden):
        groups.add(actor(mei), group=team, user=bo)
    with pytest.raises(Missing):
        groups.add(actor(bo), group=team, user=bo)
    with pytest.raises(Forbidden):
        groups.edit(actor(olga), group=team, name="x", description="")


@pytest.mark.parametrize("role", ["viewer", "scientist", "manager", "ops"])
def test_giving_a_role_needs_the_right_to_manage_members(churn, team, role):
    with pytest.raises(Forbidden):
        group_roles.grant(actor(make_user("mei", role=role, project=churn)), project=churn, group=team, role="viewer")


def test_names_of_groups_are_unique_and_one_line(root, team):
    with pytest.raises(Conflict):
        groups.create(root, name="RISK team")
    with pytest.raises(Exception, match="one line"):
        groups.create(root, name="a\nb")


def test_sign_in_puts_a_person_into_exactly_the_mapped_groups(churn, root, ana, team):
    mei, other = make_user("mei"), groups.create(root, name="Other")
    groups.map_name(root, provider="corp", external_name="/ml/risk", group=team)
    groups.map_name(root, provider="corp", external_name="/ml/other", group=other)
    group_roles.grant(actor(ana), project=churn, group=team, role="scientist")
    groups.add(root, group=other, user=mei)
    assert groups.sync_external(user=mei, provider="corp", names=["/ml/risk", "unknown"]) == [team]
    assert held(churn, mei) == [("scientist", "Risk team")]
    before = Event.objects.count()
    groups.sync_external(user=mei, provider="corp", names=["/ml/risk"])
    assert verbs(before) == []
    groups.sync_external(user=mei, provider="elsewhere", names=["/ml/other"])
    assert groups.sync_external(user=mei, provider="corp", names=[]) == []
    assert held(churn, mei) == []
    assert [row.group for row in GroupMember.objects.filter(user=mei, valid_to=None)] == [other]
    assert verbs(before) == ["member.removed", "group.member_removed"]


def test_a_sign_in_does_not_take_the_last_admin(churn, root, ana, team):
    mei = make_user("mei")
    groups.map_name(root, provider="corp", external_name="boss", group=team)
    group_roles.grant(actor(ana), project=churn, group=team, role="admin")
    groups.sync_external(user=mei, provider="corp", names=["boss"])
    members.remove(actor(ana), member=ana.memberships.get())
    groups.sync_external(user=mei, provider="corp", names=[])
    assert held(churn, mei) == [("admin", "Risk team")]
    event = Event.objects.latest("seq")
    assert (event.verb, event.result) == ("group.member_kept", "refused")


def test_who_comes_from_a_provider_is_not_taken_out_by_hand(root, team):
    mei = make_user("mei")
    mapping = groups.map_name(root, provider="corp", external_name="risk", group=team)
    groups.sync_external(user=mei, provider="corp", names=["risk"])
    row = GroupMember.objects.get(user=mei, valid_to=None)
    with pytest.raises(Conflict, match="corp put mei here"):
        groups.remove(root, member=row)
    groups.unmap(root, mapping=mapping)
    assert not GroupMember.objects.filter(user=mei, valid_to=None).exists()


def test_a_role_with_an_end_does_not_hold_after_it_even_before_the_beat(churn, ana):
    mei = make_user("mei")
    member = members.add(actor(ana), project=churn, user=mei, role="ops", until=timezone.now() + timedelta(days=1))
    assert allowed(actor(mei), Permission.ENDPOINT_DEPLOY, churn)
    past = timezone.now() - timedelta(minutes=1)
    Membership.objects.filter(pk=member.pk).update(valid_until=past)
    assert not allowed(actor(mei), Permission.PROJECT_VIEW, churn)
    before = Event.objects.count()
    assert (members.end_due(), members.end_due()) == (1, 0)
    assert verbs(before) == ["member.removed"]
    assert Membership.objects.get(pk=member.pk).valid_to == past


def test_the_end_of_a_role_of_a_group(churn, root, ana, team):
    mei = make_user("mei")
    groups.add(root, group=team, user=mei)
    until = timezone.now() + timedelta(days=1)
    grant = group_roles.grant(actor(ana), project=churn, group=team, role="ops", until=until)
    past = timezone.now() - timedelta(minutes=1)
    type(grant).objects.filter(pk=grant.pk).update(valid_until=past)
    assert (group_roles.end_due(), group_roles.end_due()) == (1, 0)
    assert held(churn, mei) == []


def test_an_admin_with_an_end_is_not_the_admin_a_project_needs(churn, ana):
    mei = make_user("mei")
    members.add(actor(ana), project=churn, user=mei, role="admin", until=timezone.now() + timedelta(days=1))
    with pytest.raises(Conflict, match="last admin"):
        members.remove(actor(ana), member=ana.memberships.get())
    own = ana.memberships.get()
    with pytest.raises(Conflict, match="last admin"):
        members.change_end(actor(ana), member=own, until=timezone.now() + timedelta(days=1))
