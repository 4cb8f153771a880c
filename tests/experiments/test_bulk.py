"""Changes to many runs: exact before, once for each run, and taken back."""

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from experiments import metricstore, queries
from experiments.metricstore import NEWEST_FIRST
from experiments.models import BulkAction, BulkPage, Experiment, Run, RunInput, RunMetric, RunTag
from experiments.services import bulk, experiments, runs, trash
from experiments.services.bulk import Chosen
from mlportal.lib.errors import Conflict, Forbidden, Invalid
from projects.models import Event
from projects.permissions import Permission
from tests.factories.experiments import log, make_experiment, make_logged_model, make_run, read_dataset, writer
from tests.factories.projects import actor, make_project, make_user, system

pytestmark = pytest.mark.django_db


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def place(project):
    return make_experiment(project)


@pytest.fixture
def by(project):
    return writer(project)


def zoo(place, count=4):
    return [
        make_run(place, f"r{n}", params={"depth": str(n)}, tags={"old": "1"} if n % 2 else {}) for n in range(count)
    ]


def tags(run):
    return json.loads(Run.objects.get(pk=run.pk).tags)


def found(by, place, text, lifecycle="active"):
    return metricstore.numbers(queries.question(by, place, text, NEWEST_FIRST, lifecycle))


def do(by, place, kind, text="", *, run_ids=None, deleted=False, **given):
    chosen = Chosen(place, run_ids=run_ids, text=text, deleted=deleted)
    return bulk.run(by, project=place.project, kind=kind, chosen=chosen, given=given)


def test_a_filter_is_tagged_and_the_tag_can_be_asked_for(by, place):
    made = zoo(place)
    action = do(by, place, "tag", "depth>=2", key="stage", value="candidate")
    assert (action.state, action.expected, action.done, action.skipped) == ("succeeded", 2, 2, 0)
    assert [tags(run) for run in made] == [
        {}, {"old": "1"}, {"stage": "candidate"}, {"old": "1", "stage": "candidate"},
    ]  # fmt: skip
    assert found(by, place, "tags.stage = 'candidate'") == [made[2].pk, made[3].pk]


def test_one_event_tells_count_and_question(by, place):
    zoo(place)
    action = do(by, place, "tag", "depth>=2", key="stage", value="candidate")
    told = Event.objects.filter(verb__startswith="runs.")
    assert [(e.verb, e.target_id, e.data["runs"], e.data["question"]) for e in told] == [
        ("runs.tagged", action.pk, 2, {"q": "depth>=2", "deleted": False})
    ]


def test_undo_gives_each_run_its_own_tag_back(by, place):
    made = zoo(place)
    action = do(by, place, "tag", key="old", value="2")
    bulk.undo(by, action=action)
    assert [tags(run) for run in made] == [{}, {"old": "1"}, {}, {"old": "1"}]
    assert RunTag.objects.filter(value="2").count() == 0
    assert list(Event.objects.filter(verb="runs.tagged").order_by("seq").values_list("data__undo_of", flat=True)) == [
        None, action.pk,
    ]  # fmt: skip


def test_undo_leaves_and_counts_what_changed_since(by, place):
    made = zoo(place)
    action = do(by, place, "tag", key="old", value="2")
    runs.set_tags(by, run=made[0], tags={"old": "mine"})
    inverse = bulk.undo(by, action=action)
    assert (inverse.done, inverse.skipped) == (3, 1)
    assert tags(made[0]) == {"old": "mine"}


def test_untag_leaves_out_runs_without_the_tag(by, place):
    made = zoo(place)
    action = do(by, place, "untag", key="old")
    assert (action.done, action.excluded) == (2, {"it has no such tag": 2})
    assert [tags(run) for run in made] == [{}, {}, {}, {}]
    bulk.undo(by, action=action)
    assert [tags(run) for run in made] == [{}, {"old": "1"}, {}, {"old": "1"}]


def test_an_action_is_undone_once_and_only_for_a_while(by, place):
    zoo(place)
    action = do(by, place, "tag", key="a", value="b")
    inverse = bulk.undo(by, action=action)
    for again in (action, inverse):
        with pytest.raises(Conflict):
            bulk.undo(by, action=again)
    late = do(by, place, "tag", key="c", value="d")
    BulkAction.objects.filter(pk=late.pk).update(ended_at=timezone.now() - bulk.UNDO_FOR)
    with pytest.raises(Conflict, match="for 10 minutes only"):
        bulk.undo(by, action=late)


def test_archived_runs_go_to_the_trash_with_who_and_when_and_come_back(project, place):
    by = actor(make_user("ana", role="scientist", project=project))
    made = zoo(place)
    action = do(by, place, "archive", run_ids=[made[0].pk, made[1].pk])
    gone = Run.objects.get(pk=made[0].pk)
    assert (gone.lifecycle, gone.deleted_by, gone.deleted_at is not None) == ("deleted", by.user, True)
    bulk.undo(by, action=action)
    back = Run.objects.get(pk=made[0].pk)
    assert (back.lifecycle, back.deleted_by, back.deleted_at) == ("active", None, None)


def test_undo_of_a_restore_keeps_the_first_moment(by, place):
    made = zoo(place, 2)
    do(by, place, "archive")
    moment = Run.objects.get(pk=made[0].pk).deleted_at
    bulk.undo(by, action=do(by, place, "restore", deleted=True))
    again = Run.objects.get(pk=made[0].pk)
    assert (again.lifecycle, again.deleted_at) == ("deleted", moment)


def test_a_run_archived_again_since_is_not_brought_back(by, place):
    made = zoo(place, 2)
    action = do(by, place, "archive")
    run = Run.objects.get(pk=made[0].pk)
    runs.delete(by, run=runs.restore(by, run=run))
    inverse = bulk.undo(by, action=action)
    assert (inverse.done, inverse.skipped) == (1, 1)
    assert Run.objects.get(pk=run.pk).lifecycle == "deleted"


def test_what_changed_between_the_count_and_the_click_is_skipped(by, place):
    made = zoo(place)
    action = bulk.prepare(by, project=place.project, kind="archive", chosen=Chosen(place))
    assert (action.expected, Run.objects.active().count()) == (4, 4)
    runs.delete(by, run=made[0])
    make_run(place, "later")
    action = bulk.confirm(by, action=action)
    assert (action.done, action.skipped) == (3, 1)
    assert list(Run.objects.active().values_list("name", flat=True)) == ["later"]


def test_confirming_twice_does_it_once(by, place):
    zoo(place)
    action = bulk.prepare(by, project=place.project, kind="tag", chosen=Chosen(place), given={"key": "a"})
    bulk.confirm(by, action=action)
    bulk.confirm(by, action=action)
    assert Event.objects.filter(verb="runs.tagged").count() == 1


def test_a_working_job_is_left_out_of_the_trash(by, place):
    run = make_run(place, source="job")
    action = do(by, place, "archive")
    assert (action.expected, action.excluded) == (0, {"its training job still works": 1})
    assert Run.objects.get(pk=run.pk).lifecycle == "active"


def test_moved_runs_keep_ids_and_history(by, place):
    made, target = zoo(place, 2), make_experiment(place.project, "other")
    log(made[0], "auc", [0.5, 0.75])
    dataset, model = read_dataset(made[0]), make_logged_model(made[0])
    action = do(by, place, "move", run_ids=[made[0].pk], experiment="other")
    run = Run.objects.get(pk=made[0].pk)
    assert (action.done, run.experiment, run.uuid) == (1, target, made[0].uuid)
    assert metricstore.series(run.pk, "auc").values.tolist() == [0.5, 0.75]
    assert found(by, target, "auc>0.7 depth:0") == [run.pk]
    assert found(by, place, "") == [made[1].pk]
    moved = RunInput.objects.select_related("dataset").get(run=run)
    assert (moved.dataset.experiment, moved.dataset.name) == (target, dataset.name)
    model.refresh_from_db()
    assert model.experiment == target
    log(run, "f1", [0.25])
    assert found(by, target, "f1:0.25") == [run.pk]
    bulk.undo(by, action=action)
    assert found(by, place, "auc>0.7") == [run.pk]
    assert set(RunMetric.objects.values_list("experiment", flat=True)) == {place.pk}


def test_every_table_that_names_run_and_experiment_moves(project):
    """A new table with both would let a moved run be found in the old place."""
    from django.apps import apps

    both = {
        model.__name__ for model in apps.get_app_config("experiments").get_models()
        if {"run", "experiment"} <= {field.name for field in model._meta.concrete_fields}
    }  # fmt: skip
    assert both == {"RunMetric", "RunParam", "RunTag", "MetricChunk", "StepValue"}


@pytest.mark.parametrize(
    "given", [{}, {"key": ""}, {"key": "#"}, {"key": "a", "value": "x" * 8001}, {"key": "mlflow.runName"}]
)
def test_wrong_tags_are_refused_before_anything(by, place, given):
    zoo(place)
    with pytest.raises(Invalid):
        do(by, place, "tag", **given)
    assert BulkAction.objects.count() == 0


@pytest.mark.parametrize(
    ("kind", "text", "field"), [("burn", "", "action"), ("archive", "auc>", "q"), ("move", "", "to")]
)
def test_wrong_input_is_named(by, place, kind, text, field):
    with pytest.raises(Invalid) as refused:
        do(by, place, kind, text)
    assert refused.value.field == field


def test_runs_of_another_project_are_not_touched(by, place):
    foreign = make_run(make_experiment(make_project("other")))
    action = do(by, place, "archive", run_ids=[foreign.pk])
    assert action.expected == 0
    loose = bulk.run(by, project=place.project, kind="archive", chosen=Chosen(run_ids=[foreign.pk]))
    assert (loose.expected, Run.objects.active().count()) == (0, 1)


def test_removing_for_good_needs_its_own_right(by, place):
    with pytest.raises(Forbidden, match=r"run\.delete"):
        do(by, place, "remove", deleted=True)


@pytest.fixture
def admin(project):
    return system(project, Permission.RUN_DELETE, Permission.RUN_EDIT, Permission.RUN_VIEW)


def test_removed_runs_take_all_their_rows_with_them(admin, by, place):
    made = zoo(place, 3)
    log(made[0], "auc", [0.5])
    metricstore.fold_experiment(place.pk)
    read_dataset(made[0])
    make_logged_model(made[0])
    do(by, place, "archive", run_ids=[made[0].pk, made[1].pk])
    action = do(admin, place, "remove", deleted=True)
    assert (action.done, list(Run.objects.values_list("pk", flat=True))) == (2, [made[2].pk])
    assert (RunMetric.objects.count(), RunInput.objects.count()) == (0, 0)
    with pytest.raises(Conflict, match="cannot come back"):
        bulk.undo(admin, action=action)


def test_active_runs_are_never_removed(admin, place):
    zoo(place, 2)
    assert do(admin, place, "remove").excluded == {"it is not in the trash": 2}


def test_an_experiment_comes_back_with_what_went_with_it(by, place):
    made = zoo(place, 3)
    runs.delete(by, run=made[0])
    experiments.delete(by, experiment=place)
    assert Experiment.objects.get(pk=place.pk).deleted_at == Run.objects.get(pk=made[1].pk).deleted_at
    experiments.restore(by, experiment=place)
    assert sorted(Run.objects.active().values_list("pk", flat=True)) == [made[1].pk, made[2].pk]


def test_the_trash_is_emptied_with_its_experiments(admin, by, place):
    other = make_experiment(place.project, "stays")
    kept, gone = make_run(other), make_run(other)
    runs.delete(by, run=gone)
    zoo(place)
    experiments.delete(by, experiment=place)
    action = trash.empty(admin, project=place.project)
    assert action.done == 5
    assert (list(Run.objects.all()), list(Experiment.objects.all())) == ([kept], [other])


def test_only_what_is_old_enough_expires(by, place):
    old, young = zoo(place, 2)
    for run in (old, young):
        runs.delete(by, run=run)
    Run.objects.filter(pk=old.pk).update(deleted_at=timezone.now() - timedelta(days=31))
    assert (trash.expire(), trash.expire()) == (1, 0)
    assert list(Run.objects.values_list("pk", flat=True)) == [young.pk]


def test_a_worker_goes_on_where_another_stopped(by, place, monkeypatch):
    monkeypatch.setattr(bulk, "SMALL", 1)
    monkeypatch.setattr(bulk, "PAGE", 2)
    zoo(place, 5)
    action = do(by, place, "tag", key="a", value="b")
    assert (action.state, action.done) == ("queued", 0)
    held = bulk.claim(action.pk, worker="one")
    assert bulk.advance(held) is True
    action.refresh_from_db()
    assert (action.state, action.done, action.progress_percent) == ("running", 2, 40)
    bulk.hand_back(held)
    assert bulk.advance(held) is None
    again = bulk.claim(action.pk, worker="two")
    assert [bulk.advance(again) for _ in range(3)] == [True, True, False]
    action.refresh_from_db()
    assert (action.state, action.done) == ("succeeded", 5)
    assert BulkPage.objects.filter(action=action, applied_at=None).count() == 0
    assert Event.objects.filter(verb="runs.tagged").count() == 1


def test_a_stopped_action_keeps_and_undoes_what_is_done(by, place, monkeypatch):
    monkeypatch.setattr(bulk, "SMALL", 1)
    monkeypatch.setattr(bulk, "PAGE", 2)
    zoo(place, 5)
    action = do(by, place, "archive")
    held = bulk.claim(action.pk, worker="one")
    bulk.advance(held)
    bulk.stop(by, action=action)
    assert bulk.advance(held) is False
    action.refresh_from_db()
    assert (action.state, action.done, Run.objects.active().count()) == ("cancelled", 2, 3)
    monkeypatch.setattr(bulk, "SMALL", 500)
    bulk.undo(by, action=action)
    assert Run.objects.active().count() == 5
