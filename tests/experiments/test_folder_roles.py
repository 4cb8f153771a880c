"""Roles on folders: what each adds, where, to which action; and moves between folders."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from experiments.models import FolderRole, Run
from experiments.queries import run_set
from experiments.services import artifacts, bulk, experiments, folder_roles, folders, runs
from experiments.services.bulk import Chosen
from mlportal.lib.errors import Conflict, Forbidden, Invalid
from projects.models import Event
from projects.permissions import FOLDER_RIGHTS, GRANTS, Permission, Role, allowed
from projects.services import comments, groups, members, targets
from tests.factories.projects import actor, make_project, make_token, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def tree(db):
    """top experiment; a/ with an experiment and a/inner/ with another; b/ with one."""
    project = make_project()
    boss = actor(make_user("boss", role="admin", project=project))
    found = {"project": project, "boss": boss}
    found["a"] = folders.create(boss, project=project, name="a")
    found["inner"] = folders.create(boss, project=project, name="inner", parent=found["a"])
    found["b"] = folders.create(boss, project=project, name="b")
    for name in ("a", "inner", "b"):
        found[f"in_{name}"] = experiments.ensure(boss, project=project, name=f"e-{name}", folder=found[name])
    found["top"] = experiments.ensure(boss, project=project, name="e-top")
    return found


def refused(action) -> bool:
    try:
        action()
    except Forbidden:
        return True
    return False


@pytest.mark.parametrize("own", [Role.VIEWER, Role.MANAGER, Role.OPS, Role.SCIENTIST])
@pytest.mark.parametrize("given", [Role.SCIENTIST, Role.OPS, Role.ADMIN])
def test_rights_are_those_of_the_project_and_of_folders_around(tree, own, given):
    mei = make_user("mei", role=own, project=tree["project"])
    folder_roles.give(tree["boss"], folder=tree["a"], user=mei, role=given)
    inside, outside = ("in_a", "in_inner", "a", "inner"), ("in_b", "top", "b")
    for right in Permission:
        base = right in GRANTS[own]
        added = right in GRANTS[given] & FOLDER_RIGHTS
        got = {name: allowed(actor(mei), right, tree["project"], within=tree[name]) for name in inside + outside}
        assert got == {**dict.fromkeys(inside, base or added), **dict.fromkeys(outside, base)}, right


OPERATIONS = {
    "log": lambda by, run: runs.log_batch(by, run=run, metrics=[("auc", 0.5, 1, 0)]),
    "create": lambda by, run: runs.create(by, experiment=run.experiment),
    "finish": lambda by, run: runs.finish(by, run=run, state="finished"),
    "note": lambda by, run: runs.annotate(by, run=run, name="other"),
    "file": lambda by, run: artifacts.store(by, owner=run, path="x.txt", stream=[b"x"], media_type="text/plain"),
    "describe": lambda by, run: experiments.describe(by, experiment=run.experiment, description="x"),
    "archive": lambda by, run: bulk.run(
        by, project=run.project, kind="archive", chosen=Chosen(place=run.experiment, run_ids=[run.pk])
    ),
    "comment": lambda by, run: comments.add(
        by, project=run.project, text="good", target=targets.find(by, project=run.project, kind="run", number=run.pk)
    ),
}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("role", [None, Role.SCIENTIST])
@pytest.mark.parametrize("place", ["in_inner", "in_b", "top"])
def test_services_ask_the_folder(tree, operation, role, place):
    mei = make_user("mei", role="viewer", project=tree["project"])
    run = runs.create(tree["boss"], experiment=tree[place], running=True)
    Run.objects.filter(pk=run.pk).update(created_by=mei)
    run = Run.objects.select_related("experiment", "project").get(pk=run.pk)
    if role:
        folder_roles.give(tree["boss"], folder=tree["a"], user=mei, role=role)
    assert refused(lambda: OPERATIONS[operation](actor(mei), run)) == (role is None or place != "in_inner")


def test_a_group_holds_a_role_on_a_folder(tree):
    mei = make_user("mei", role="viewer", project=tree["project"])
    root = actor(tree["project"].created_by)
    team = groups.create(root, name="team")
    member = groups.add(root, group=team, user=mei)
    folder_roles.give(tree["boss"], folder=tree["a"], group=team, role="scientist")
    assert allowed(actor(mei), Permission.RUN_LOG, tree["project"], within=tree["in_inner"])
    groups.remove(root, member=member)
    assert not allowed(actor(mei), Permission.RUN_LOG, tree["project"], within=tree["in_inner"])
    groups.add(root, group=team, user=mei, as_owner=True)
    assert not allowed(actor(mei), Permission.RUN_LOG, tree["project"], within=tree["in_inner"])


def test_without_a_role_in_the_project_a_folder_opens_nothing(tree):
    mei = make_user("mei", role="viewer", project=tree["project"])
    folder_roles.give(tree["boss"], folder=tree["a"], user=mei, role="scientist")
    members.remove(tree["boss"], member=mei.memberships.get())
    assert not allowed(actor(mei), Permission.RUN_LOG, tree["project"], within=tree["in_a"])
    with pytest.raises(Conflict, match="needs a role in the project"):
        folder_roles.give(tree["boss"], folder=tree["a"], user=mei, role="ops")


def test_a_token_adds_at_most_its_scopes(tree, client):
    mei = make_user("mei", role="viewer", project=tree["project"])
    folder_roles.give(tree["boss"], folder=tree["a"], user=mei, role="scientist")
    url = "/api/v1/projects/churn/runs/"
    for scopes, place, status in (
        (["read", "write"], "e-inner", 201), (["read"], "e-inner", 403), (["read", "write"], "e-b", 403),
    ):  # fmt: skip
        secret = make_token(mei, tree["project"], scopes)
        answer = client.post(
            url, {"experiment": place}, content_type="application/json", headers={"Authorization": f"Bearer {secret}"}
        )
        assert answer.status_code == status, answer.content


def test_tracking_clients_are_held_to_the_folder(tree, client):
    mei = make_user("mei", role="viewer", project=tree["project"])
    folder_roles.give(tree["boss"], folder=tree["a"], user=mei, role="scientist")
    secret = make_token(mei, tree["project"], ["read", "write"])
    for place, status in (("in_a", 200), ("top", 403)):
        answer = client.post(
            "/api/2.0/mlflow/runs/create", {"experiment_id": str(tree[place].pk)}, content_type="application/json",
            headers={"Authorization": f"Bearer {secret}"},
        )  # fmt: skip
        assert answer.status_code == status, answer.content


def test_who_holds_the_right_in_the_project_pays_no_query_for_folders(tree):
    mei = make_user("mei", role="scientist", project=tree["project"])
    run = runs.create(actor(mei), experiment=tree["in_inner"], running=True)

    def statements() -> list[str]:
        with CaptureQueriesContext(
            connection,
        ) as asked:
            runs.log_batch(actor(mei), run=Run.objects.get(pk=run.pk), metrics=[("auc", 0.5, 1, 0)])
        return [query["sql"] for query in asked]

    assert not [sql for sql in statements() if "folder" in sql.replace('"folder_id"', "")]


@pytest.mark.parametrize(
    ("given", "target", "ok"),
    [
        ({"a": "scientist"}, "inner", True),  # within what one holds
        ({"a": "scientist"}, "b", False),  # no right at the target
        ({"a": "scientist"}, None, False),  # nor at the top
        ({"a": "scientist", "b": "scientist"}, "b", True),
    ],
)
def test_moving_needs_the_right_at_both_ends(tree, given, target, ok):
    mei = make_user("mei", role="viewer", project=tree["project"])
    for name, role in given.items():
        folder_roles.give(tree["boss"], folder=tree[name], user=mei, role=role)
    place = tree[target] if target else None
    assert refused(lambda: folders.place(actor(mei), experiment=tree["in_a"], folder=place)) != ok


def test_moving_neither_gives_nor_takes_what_the_mover_does_not_hold(tree):
    mei = make_user("mei", role="scientist", project=tree["project"])
    bo = make_user("bo", role="viewer", project=tree["project"])
    folder_roles.give(tree["boss"], folder=tree["b"], user=bo, role="admin")  # may remove runs there
    with pytest.raises(Forbidden, match=r"run\.delete"):
        folders.place(actor(mei), experiment=tree["in_a"], folder=tree["b"])
    with pytest.raises(Forbidden, match=r"run\.delete"):
        folders.place(actor(mei), experiment=tree["in_b"], folder=None)
    with pytest.raises(Forbidden, match=r"run\.delete"):
        folders.move(actor(mei), folder=tree["a"], parent=tree["b"])
    with pytest.raises(Forbidden, match=r"run\.delete"):
        folders.delete(actor(mei), folder=tree["b"], content_up=True)
    run = runs.create(tree["boss"], experiment=tree["in_a"])
    with pytest.raises(Forbidden, match=r"run\.delete"):
        bulk.run(
            actor(mei), project=tree["project"], kind="move", given={"experiment": "e-b"},
            chosen=Chosen(place=tree["in_a"], run_ids=[run.pk]),
        )  # fmt: skip
    folders.place(actor(mei), experiment=tree["in_a"], folder=tree["inner"])  # no role lies between the two
    folders.place(tree["boss"], experiment=tree["in_a"], folder=tree["b"])  # who manages members may


def test_roles_end_and_stay_in_the_history(tree):
    mei = make_user("mei", role="viewer", project=tree["project"])
    held = folder_roles.give(
        tree["boss"], folder=tree["a"], user=mei, role="scientist", until=timezone.now() + timedelta(days=1)
    )
    past = timezone.now() - timedelta(minutes=1)
    FolderRole.objects.filter(pk=held.pk).update(valid_until=past)
    assert not allowed(actor(mei), Permission.RUN_LOG, tree["project"], within=tree["in_a"])
    assert (folder_roles.end_due(), folder_roles.end_due()) == (1, 0)
    assert Event.objects.latest("seq").verb == "folder.role_ended"
    folder_roles.give(tree["boss"], folder=tree["b"], user=mei, role="scientist")
    folders.delete(tree["boss"], folder=tree["b"], content_up=True)
    gone = FolderRole.objects.get(folder_name="b")
    assert (gone.folder, gone.valid_to is None) == (None, False)


def test_who_gives_roles_on_folders(tree):
    mei = make_user("mei", role="scientist", project=tree["project"])
    with pytest.raises(Forbidden):
        folder_roles.give(actor(mei), folder=tree["a"], user=mei, role="admin")
    with pytest.raises(Invalid, match="adds nothing"):
        folder_roles.give(tree["boss"], folder=tree["a"], user=mei, role="viewer")
    with pytest.raises(Invalid, match="person or a group"):
        folder_roles.give(tree["boss"], folder=tree["a"], role="scientist")
    folder_roles.give(tree["boss"], folder=tree["a"], user=mei, role="admin")
    with pytest.raises(Conflict, match="already"):
        folder_roles.give(tree["boss"], folder=tree["a"], user=mei, role="admin")


def test_the_page_and_the_routes(tree, client):
    make_user("mei", role="viewer", project=tree["project"])
    client.force_login(tree["boss"].user)
    page = f"/p/churn/folders/{tree['a'].pk}/"
    assert client.post(f"{page}roles/", {"user": "mei", "role": "scientist", "until": ""}).status_code == 302
    assert "mei" in client.get(page).content.decode()
    assert client.post(f"{page}roles/", {"user": "nobody", "role": "scientist"}).status_code == 422
    held = FolderRole.objects.get()
    assert client.post(f"{page}roles/{held.pk}/end/").status_code == 302
    secret = make_token(tree["boss"].user, tree["project"], ["read", "admin"])
    headers = {"Authorization": f"Bearer {secret}"}
    url = f"/api/v1/projects/churn/folders/{tree['a'].pk}/roles/"
    made = client.post(url, {"user": "mei", "role": "ops"}, content_type="application/json", headers=headers)
    assert made.status_code == 201
    assert [row["role"] for row in client.get(url, headers=headers).json()["results"]] == ["ops"]
    assert client.delete(f"{url}{made.json()['id']}/", headers=headers).status_code == 204
    assert client.get(url, headers=headers).json()["results"] == []


def test_many_runs_of_several_experiments_are_changed_with_a_role_on_each_folder(tree):
    project, mei = tree["project"], make_user("mei", role="viewer", project=tree["project"])
    made = [runs.create(tree["boss"], experiment=tree[name]) for name in ("in_a", "in_inner", "in_b", "top")]
    numbers = [run.pk for run in made]
    tag = {"key": "seen", "value": "1"}

    def change(chosen):
        return bulk.run(actor(mei), project=project, kind="tag", chosen=Chosen(run_ids=chosen), given=tag)

    assert refused(lambda: change(numbers[:2]))
    folder_roles.give(tree["boss"], folder=tree["a"], user=mei, role="scientist")
    assert change(numbers[:2]).done == 2
    assert refused(lambda: change(numbers[:3]))
    folder_roles.give(tree["boss"], folder=tree["b"], user=mei, role="scientist")
    action = change(numbers[:3])
    assert action.done == 3
    assert refused(lambda: change(numbers))  # one lies at the top, where no folder gives a right
    assert refused(lambda: change([]))
    assert bulk.undo(actor(mei), action=action).done == 3
    inside = run_set(actor(mei), project, tree["a"].pk)
    found = bulk.run(actor(mei), project=project, kind="tag", chosen=Chosen(place=inside), given=tag)
    assert found.done == 2
    assert refused(
        lambda: bulk.run(
            actor(mei), project=project, kind="tag", chosen=Chosen(place=run_set(actor(mei), project)), given=tag
        )
    )


def test_runs_of_several_folders_move_where_the_mover_may(tree):
    project, mei = tree["project"], make_user("mei", role="viewer", project=tree["project"])
    for name in ("a", "b"):
        folder_roles.give(tree["boss"], folder=tree[name], user=mei, role="scientist")
    made = [runs.create(tree["boss"], experiment=tree[name]).pk for name in ("in_a", "in_inner")]

    def move(target):
        chosen, given = Chosen(run_ids=made), {"experiment": target.pk}
        return bulk.run(actor(mei), project=project, kind="move", chosen=chosen, given=given)

    assert refused(lambda: move(tree["top"]))
    assert move(tree["in_b"]).done == 2
    assert set(Run.objects.filter(pk__in=made).values_list("experiment", flat=True)) == {tree["in_b"].pk}


def test_the_pages_of_many_runs_offer_what_a_folder_gives(tree, client):
    mei = make_user("mei", role="viewer", project=tree["project"])
    run = runs.create(tree["boss"], experiment=tree["in_a"])
    client.force_login(mei)
    pages = ("/p/churn/runs/", f"/p/churn/runs/?folder={tree['a'].pk}")
    before = [client.get(page).content.decode() for page in pages]
    folder_roles.give(tree["boss"], folder=tree["a"], user=mei, role="scientist")
    after = [client.get(page).content.decode() for page in pages]
    assert all(f"/runs/{run.pk}/" in page for page in (*before, *after))
    assert all('data-dialog="#tagdlg"' not in page for page in before)
    assert all('data-dialog="#tagdlg"' in page for page in after)
