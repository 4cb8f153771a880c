"""The page that says why answers what ``require`` does: over roles, permissions, tokens, folders, ends and states."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from experiments.models import Folder, FolderRole
from mlportal.lib import moments
from mlportal.lib.errors import Forbidden, Invalid, Missing, Unauthenticated
from projects.actor import Actor
from projects.models import ApiToken, Group, GroupMember, Membership
from projects.permissions import EVERYTHING, SCOPES, WORDS, Permission, Role, allowed, require
from projects.services import credentials, entry, members, things, who, why
from projects.services.why import Question
from tests.factories.experiments import make_experiment
from tests.factories.projects import actor, make_project, make_token, make_user

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


def tried(user, token, permission, project, thing) -> bool:
    """Try it as a request would: through the door of credentials, then ``require``."""
    by = Actor.for_user(user)
    try:
        if token is not None:
            by = entry.of_token(token).actor
        require(by, permission, project, within=thing.place)
    except (Forbidden, Unauthenticated):
        return False
    return True


def place_of(churn):
    """A thing two folders down, and the folders."""
    outer = Folder.objects.create(project=churn, name="a", name_key="a", created_at=timezone.now())
    inner = Folder.objects.create(project=churn, name="b", name_key="b", parent=outer, created_at=timezone.now())
    experiment = make_experiment(churn)
    experiment.folder = inner
    experiment.save(update_fields=["folder"])
    return outer, things.find(churn, f"experiment:{experiment.pk}")


def people_of(churn, outer):
    """Everybody who differs in what they hold: each role, ended, to come to its end, by group, on a folder, none."""
    now, found = timezone.now(), [churn.created_by]
    for role in Role:
        found.append(make_user(f"{role}", role=role, project=churn))
        over = make_user(f"over-{role}")
        Membership.objects.create(project=churn, user=over, role=role, valid_until=now - HOUR)
        ended = make_user(f"ended-{role}")
        Membership.objects.create(project=churn, user=ended, role=role, valid_to=now - HOUR)
        lasting = make_user(f"lasting-{role}")
        Membership.objects.create(project=churn, user=lasting, role=role, valid_until=now + HOUR)
        folder = make_user(f"folder-{role}", role="viewer", project=churn)
        FolderRole.objects.create(project=churn, folder=outer, folder_name="a", user=folder, role=role)
        late = make_user(f"late-{role}", role="viewer", project=churn)
        FolderRole.objects.create(
            project=churn, folder=outer, folder_name="a", user=late, role=role, valid_until=now - HOUR
        )
        found += [over, ended, lasting, folder, late]
    group = Group.objects.create(name="G", name_key="g", created_by=churn.created_by)
    FolderRole.objects.create(project=churn, folder=outer, folder_name="a", group=group, role="scientist")
    inside, stranger = make_user("inside", role="viewer", project=churn), make_user("stranger")
    for each in (inside, stranger):
        GroupMember.objects.create(group=group, user=each)
    closed = make_user("closed", role="admin", project=churn, is_active=False)
    return [*found, inside, stranger, closed, make_user("both", role="ops", project=churn, is_site_admin=True)]


def test_the_answer_for_a_person_is_that_of_require(churn):
    outer, inner = place_of(churn)
    wide = things.find(churn, "")
    checked = 0
    for user in people_of(churn, outer):
        for permission in EVERYTHING:
            for thing in (wide, inner):
                answer = why.refusal_of(Question(user, None, permission, churn, thing))
                assert (answer is None) == tried(user, None, permission, churn, thing), (user, permission, thing.key)
                checked += 1
    assert checked > 2000


def test_the_answer_for_a_token_is_that_of_the_door_and_require(churn):
    outer, inner = place_of(churn)
    other = make_project("other")
    holders = [make_user(f"{role}", role=role, project=churn) for role in Role]
    folder = make_user("folder", role="viewer", project=churn)
    FolderRole.objects.create(project=churn, folder=outer, folder_name="a", user=folder, role="scientist")
    closed = make_user("closed", role="admin", project=churn, is_active=False)
    robot = make_user("churn.ci", role="scientist", project=churn, service_project=churn)
    for user in [*holders, folder, closed, robot, churn.created_by]:
        kinds = [([scope], churn, 30) for scope in SCOPES]
        kinds += [(list(SCOPES), churn, 30), (list(SCOPES), None, 30), (list(SCOPES), other, 30)]
        for scopes, bound, days in [*kinds, (list(SCOPES), churn, -1)]:
            secret = make_token(user, bound, scopes, days=days)
            token = ApiToken.objects.select_related("user", "project").get(sha256=credentials.fingerprint(secret))
            for permission in (Permission.RUN_LOG, Permission.PROMOTION_DECIDE, Permission.MEMBER_MANAGE):
                answer = why.refusal_of(Question(user, token, permission, churn, inner))
                assert (answer is None) == tried(user, secret, permission, churn, inner), (user, scopes, bound, days)


def test_who_holds_a_right_is_everybody_whom_require_lets(churn):
    outer, inner = place_of(churn)
    people = people_of(churn, outer)
    checked = 0
    for permission in sorted(EVERYTHING):
        for thing in (things.find(churn, ""), inner):
            may = sorted(each.username for each in people if tried(each, None, permission, churn, thing))
            assert holders(churn, permission, thing) == may, (permission, thing.key)
            checked += len(may)
    assert checked > 500


def holders(churn, permission, thing) -> list[str]:
    found, after = [], ""
    while True:
        page = who.holders(actor(churn.created_by), project=churn, permission=permission, on=thing.key, after=after)
        found += [row.user.username for row in page.rows if not row.excluded]
        assert all(row.sources for row in page.rows)
        if not (after := page.after):
            return found


def test_who_could_then_is_read_from_the_rows_of_then(churn):
    root, now = actor(churn.created_by), timezone.now()
    mei = make_user("mei", role="manager", project=churn)
    bo = make_user("bo", role="manager", project=churn)
    Membership.objects.filter(user=mei).update(valid_from=now - 10 * HOUR, valid_to=now - 5 * HOUR)
    Membership.objects.filter(user=bo).update(valid_from=now - 3 * HOUR)

    def could(hours):
        span = moments.read((now - hours * HOUR).isoformat(), field="as_of")
        page = who.holders(root, project=churn, permission="promotion.decide", span=span)
        return [row.user.username for row in page.rows]

    assert [could(11), could(7), could(4), could(1)] == [[], ["mei"], [], ["bo"]]
    assert [row.user.username for row in who.holders(root, project=churn, permission="promotion.decide").rows] == ["bo"]


def test_the_chain_names_group_folder_giver_and_end(churn):
    outer, inner = place_of(churn)
    root = actor(churn.created_by)
    mei = make_user("mei")
    members.add(root, project=churn, user=mei, role="viewer", until=timezone.now() + HOUR)
    group = Group.objects.create(name="Risk", name_key="risk", created_by=churn.created_by)
    GroupMember.objects.create(group=group, user=mei)
    FolderRole.objects.create(project=churn, folder=outer, folder_name="a", group=group, role="scientist")
    answer = why.explain(actor(mei), project=churn, permission="run.log", on=inner.key)
    words = [each.words for each in answer.reasons]
    assert answer.may
    assert words[0].startswith("Viewer directly, since ")
    assert "until" in words[0]
    assert words[0].endswith("given by root")
    assert words[1].startswith("Data scientist through the group Risk on the folder a, since ")
    assert [each.effect for each in answer.reasons] == ["plain", "gives"]


def test_a_role_that_ended_is_told_with_what_would_change_it(churn):
    ada = make_user("ada", role="admin", project=churn)
    mei = make_user("mei", role="viewer", project=churn)
    Membership.objects.create(project=churn, user=mei, role="manager", valid_to=timezone.now())
    answer = why.explain(actor(ada), project=churn, permission="promotion.decide", person="mei")
    assert not answer.may
    assert any(each.words.startswith("Was Manager (approver) directly") for each in answer.reasons)
    assert answer.remedies == ["The role Manager (approver)"]
    assert answer.granters == ["ada"]
    assert answer.first == ["Prove who they are, unless they did within the last 10 min"]


def test_a_token_is_told_which_scope_it_lacks(churn):
    mei = make_user("mei", role="scientist", project=churn)
    secret = make_token(mei, churn, ["read"])
    by = entry.of_token(secret).actor
    answer = why.explain(by, project=churn, permission="run.log")
    assert not answer.may
    assert answer.token == by.token
    assert answer.remedies == ["A token with the scope write"]
    assert why.explain(by, project=churn, permission="run.log", person="mei").may


def test_others_are_asked_about_by_who_manages_members_and_names_elsewhere_are_unknown(churn):
    mei = make_user("mei", role="manager", project=churn)
    ada = make_user("ada", role="admin", project=churn)
    make_user("elsewhere", role="viewer", project=make_project("other"))
    for name in ("ada", "elsewhere", "nobody"):
        with pytest.raises(Forbidden, match=r"member\.manage"):
            why.explain(actor(mei), project=churn, permission="run.log", person=name)
    said = set()
    for name in ("elsewhere", "nobody"):
        with pytest.raises(Missing) as error:
            why.explain(actor(ada), project=churn, permission="run.log", person=name)
        said.add(error.value.message)
    assert said == {why.NOBODY}
    secret = make_token(mei, make_project("third"), ["read"])
    foreign = ApiToken.objects.get(sha256=credentials.fingerprint(secret)).pk
    for number in (foreign, 10**6):
        with pytest.raises(Missing, match="no such token"):
            why.explain(actor(ada), project=churn, permission="run.log", person="mei", token=str(number))


@pytest.mark.parametrize("permission", ["", "site.admin", "account.view", "x" * 99])
def test_only_rights_inside_a_project_are_asked(churn, permission):
    with pytest.raises(Invalid) as error:
        why.explain(actor(churn.created_by), project=churn, permission=permission)
    assert error.value.field == "permission"


def test_things_of_other_projects_are_not_there(churn):
    foreign = make_experiment(make_project("other"))
    for key in (f"experiment:{foreign.pk}", "experiment:9" * 40, "run:x", "folder:0", "environment:none"):
        with pytest.raises(Missing):
            things.find(churn, key)
    for key in ("experiment", "planet:9", ":"):
        with pytest.raises(Invalid):
            things.find(churn, key)


def test_who_is_asked_by_who_reads_the_audit_log(churn):
    for role in Role:
        by = actor(make_user(role, role=role, project=churn))
        if allowed(by, Permission.AUDIT_VIEW, churn):
            who.holders(by, project=churn, permission="run.log")
        else:
            with pytest.raises(Forbidden):
                who.holders(by, project=churn, permission="run.log")


def test_every_right_inside_a_project_has_words():
    assert set(WORDS) == EVERYTHING


def test_who_asks_as_often_for_three_as_for_one(churn):
    def queries():
        with CaptureQueriesContext(connection) as seen:
            who.holders(actor(churn.created_by), project=churn, permission="run.log", on=thing.key)
        return len(seen)

    outer, thing = place_of(churn)
    make_user("one", role="scientist", project=churn)
    alone = queries()
    for name in ("two", "three"):
        make_user(name, role="scientist", project=churn)
        FolderRole.objects.create(
            project=churn, folder=outer, folder_name="a", user=make_user(f"f-{name}"), role="scientist"
        )
    assert queries() == alone
