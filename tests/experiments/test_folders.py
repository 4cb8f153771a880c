"""The tree of folders: names, depth, circles, and what happens to what lies in one."""

import threading

import pytest
from django.db import connection, connections

from experiments.models import Experiment, Folder
from experiments.queries.folders import path_of, tree_of
from experiments.services import folders
from mlportal.lib.errors import Conflict, Forbidden, Invalid
from projects.models import Event
from projects.permissions import Permission
from tests.factories.experiments import make_experiment, writer
from tests.factories.projects import make_project, system


@pytest.fixture
def project(db):
    return make_project()


@pytest.fixture
def by(project):
    return writer(project)


def make(by, project, *names):
    """A chain of folders, each in the one before."""
    parent = None
    for name in names:
        parent = folders.create(by, project=project, name=name, parent=parent)
    return parent


def test_a_folder_is_made_renamed_and_moved_with_an_event_each(by, project):
    inner = make(by, project, "2026", "churn")
    folders.rename(by, folder=inner, name="Churn, second try")
    folders.move(by, folder=inner, parent=None)
    assert [(each.name, each.parent_id) for each in Folder.objects.order_by("pk")] == [
        ("2026", None), ("Churn, second try", None),
    ]  # fmt: skip
    assert list(Event.objects.filter(verb__startswith="folder.").order_by("pk").values_list("verb", flat=True)) == [
        "folder.created", "folder.created", "folder.renamed", "folder.moved",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["", "  ", "a/b", "a\\b", "a\nb", "..", "x" * 101, "a\u202eb", "a\0b", "\ud800"])
def test_unclean_names_are_refused(by, project, name):
    with pytest.raises(Invalid) as refused:
        folders.create(by, project=project, name=name)
    assert refused.value.field == "name"


def test_names_are_taken_in_one_folder_whatever_their_case(by, project):
    top = make(by, project, "Vision")
    with pytest.raises(Conflict, match="at the top"):
        folders.create(by, project=project, name="vision")
    make(by, project, "other")
    inner = folders.create(by, project=project, name="vision", parent=top)
    with pytest.raises(Conflict, match="at the top"):
        folders.move(by, folder=inner, parent=None)


def test_folders_lie_at_most_eight_deep(by, project):
    deepest = make(by, project, *"abcdefgh")
    with pytest.raises(Invalid) as refused:
        folders.create(by, project=project, name="i", parent=deepest)
    assert (refused.value.limit, refused.value.got) == (8, 9)
    pair = make(by, project, "x", "y").parent
    with pytest.raises(Invalid, match="at most 8 deep"):
        folders.move(by, folder=pair, parent=deepest.parent)


def test_a_folder_cannot_lie_in_itself(by, project):
    inner = make(by, project, "a", "b", "c")
    for parent in (inner, inner.parent, inner.parent.parent):
        with pytest.raises(Invalid, match="cannot lie in itself"):
            folders.move(by, folder=inner.parent.parent, parent=parent)


def test_a_folder_that_holds_something_is_not_deleted_by_accident(by, project):
    top = make(by, project, "a", "b").parent
    experiment = folders.place(by, experiment=make_experiment(project), folder=top)
    with pytest.raises(Conflict, match="holds 1 experiments and 1 folders"):
        folders.delete(by, folder=top)
    folders.delete(by, folder=top, content_up=True)
    assert list(Folder.objects.values_list("name", "parent")) == [("b", None)]
    assert Experiment.objects.get(pk=experiment.pk).folder is None


def test_an_experiment_in_the_trash_does_not_hold_a_folder(by, project):
    folder, experiment = make(by, project, "a"), make_experiment(project)
    folders.place(by, experiment=experiment, folder=folder)
    Experiment.objects.filter(pk=experiment.pk).update(lifecycle="deleted")
    folders.delete(by, folder=folder)
    assert Folder.objects.count() == 0


def test_counts_and_paths_take_two_queries_for_any_tree(by, project, django_assert_num_queries):
    inner = make(by, project, "a", "b")
    make(by, project, "c")
    for name, folder in (("x", inner), ("y", inner), ("z", inner.parent)):
        folders.place(by, experiment=make_experiment(project, name), folder=folder)
    with django_assert_num_queries(2):
        lines = tree_of(project).every()
    assert [(line.path, line.experiments, line.folders) for line in lines] == [
        ("a", 3, 1), ("a / b", 2, 0), ("c", 0, 0),
    ]  # fmt: skip
    placed = Experiment.objects.get(name="x")
    assert [folder.name for folder in path_of(placed)] == ["a", "b"]


def test_folders_of_another_project_are_no_place(by, project):
    foreign = Folder.objects.create(
        project=make_project("other"), name="f", name_key="f", created_at="2026-11-21T00:00:00Z"
    )
    with pytest.raises(Invalid):
        folders.create(by, project=project, name="a", parent=foreign)
    with pytest.raises(Invalid):
        folders.place(by, experiment=make_experiment(project), folder=foreign)


def test_the_tree_is_changed_by_who_may_edit_runs(project):
    with pytest.raises(Forbidden):
        folders.create(system(project, Permission.RUN_VIEW), project=project, name="a")


@pytest.mark.django_db(transaction=True)
def test_two_moves_at_once_make_no_circle():
    project = make_project()
    by = writer(project)
    pair = [make(by, project, "a"), make(by, project, "b")]
    start, refused = threading.Barrier(2), []

    def move(one, other):
        start.wait()
        try:
            folders.move(by, folder=one, parent=other)
        except Invalid:
            refused.append(one.name)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=move, args=args) for args in (pair, pair[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 1
    assert Folder.objects.filter(parent=None).count() == 1
    assert connection.vendor in ("sqlite", "postgresql")
