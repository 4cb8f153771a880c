"""Own environments of a project and the moves that lead into them."""

import importlib
from datetime import timedelta

import pytest
from django.apps import apps
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from deployments.models import Alias, Environment, EnvironmentMove, PromotionRequest
from deployments.services import aliases, breakglass, endpoints, environments, past, policies, promotions, ways
from mlportal.lib.errors import Conflict, Forbidden, Invalid
from mlportal.lib.moments import Span
from projects.models import Event
from tests.deployments.test_concurrency import losers, race
from tests.factories.deployments import (
    environment,
    make_live,
    make_request,
    make_trained_run,
    make_version,
    set_policy,
)

pytestmark = pytest.mark.django_db
REASON = "Better on recent customers."
LINE = [("nothing", "staging"), ("staging", "production")]


@pytest.fixture
def places(team):
    policies.ensure(team.project)
    return team


def names(team):
    return [place.name for place in Environment.objects.in_project(team.project).open().order_by("position", "pk")]


def ask(team, version, place):
    return promotions.request(team.scientist2, version=version, environment=environment(team, place), reason=REASON)


def in_line(team):
    """Only from nothing to staging, and from there to production."""
    policies.ensure(team.project)
    return environments.set_moves(team.admin, project=team.project, moves=LINE)


def test_the_first_use_makes_two_that_are_reached_from_anywhere(places):
    assert names(places) == ["staging", "production"]
    assert ways.of(places.project).pairs() == [("anywhere", "staging"), ("anywhere", "production")]


def test_a_new_one_has_rules_a_way_and_an_entry(places):
    made = environments.create(places.admin, project=places.project, name="canary", start="staging")
    assert names(places) == ["staging", "production", "canary"]
    assert policies.current(made).number == 1
    assert ways.of(places.project).pairs()[-1] == ("staging", "canary")
    event = Event.objects.latest("seq")
    assert (event.verb, event.data) == ("environment.created", {"name": "canary", "start": "staging"})


def test_the_defaults_do_not_come_back_after_a_renaming(places):
    environments.rename(places.admin, environment=environment(places, "staging"), name="shadow")
    make_version(places)
    assert names(places) == ["shadow", "production"]


@pytest.mark.parametrize(
    ("name", "code"),
    [("Staging", "name_taken"), ("latest", "invalid"), ("v3", "invalid"), ("Archived", "invalid"), ("none", "invalid"),
     ("anywhere", "invalid"), ("nothing", "invalid"), ("a" * 51, "invalid"), ("a b", "invalid"), ("", "invalid")],
)  # fmt: skip
def test_a_name_that_means_something_else_is_refused(places, name, code):
    with pytest.raises((Invalid, Conflict)) as refused:
        environments.create(places.admin, project=places.project, name=name)
    assert (refused.value.code, refused.value.field) == (code, "name")
    assert names(places) == ["staging", "production"]


def test_an_alias_and_an_environment_never_share_a_name(places):
    version = make_version(places)
    aliases.point(places.scientist, version=version, name="Canary")
    with pytest.raises(Conflict) as refused:
        environments.create(places.admin, project=places.project, name="canary")
    assert refused.value.code == "alias_in_use"
    assert "churn" in refused.value.message
    aliases.end(places.scientist, model=version.model, name="Canary")
    environments.create(places.admin, project=places.project, name="canary")
    with pytest.raises(Forbidden) as governed:
        aliases.point(places.scientist, version=version, name="CANARY")
    assert governed.value.code == "governed_pointer"
    assert not Alias.objects.filter(valid_to=None).exists()


def test_a_renaming_is_governed_as_well(places):
    version = make_version(places)
    aliases.point(places.scientist, version=version, name="champion")
    with pytest.raises(Conflict):
        environments.rename(places.admin, environment=environment(places, "staging"), name="champion")


def test_a_name_that_was_given_up_is_free_and_one_that_was_archived_is_not(places):
    version = make_version(places)
    environments.rename(places.admin, environment=environment(places, "staging"), name="shadow")
    aliases.point(places.scientist, version=version, name="staging")
    environments.archive(places.admin, environment=Environment.objects.get(name="shadow"))
    with pytest.raises(Forbidden):
        aliases.point(places.scientist, version=version, name="shadow")


def test_what_was_promoted_to_keeps_its_name(team):
    make_request(team, place="staging")
    with pytest.raises(Forbidden) as refused:
        environments.rename(team.admin, environment=environment(team, "staging"), name="shadow")
    assert refused.value.code == "environment_in_use"


def test_only_an_admin_changes_environments(places):
    for who in (places.scientist, places.manager, places.ops, places.viewer):
        with pytest.raises(Forbidden):
            environments.create(who, project=places.project, name="canary")
        with pytest.raises(Forbidden):
            environments.set_moves(who, project=places.project, moves=LINE)
    assert names(places) == ["staging", "production"]


def test_the_order_names_each_once(places):
    environments.reorder(places.admin, project=places.project, order=["production", "staging"])
    assert names(places) == ["production", "staging"]
    for wrong in (["staging"], ["staging", "staging"], ["staging", "production", "canary"]):
        with pytest.raises(Invalid):
            environments.reorder(places.admin, project=places.project, order=wrong)


def test_a_move_that_is_not_allowed_names_the_allowed_way(team):
    in_line(team)
    version = make_version(team)
    with pytest.raises(Conflict) as refused:
        ask(team, version, "production")
    assert refused.value.code == "move_not_allowed"
    assert "churn v1 answers in no environment" in refused.value.message
    assert "The allowed way: staging, then production." in refused.value.message
    assert refused.value.limit == [["staging", "production"]]
    make_live(team, version=version, place="staging")
    assert ask(team, version, "production").environment.name == "production"


def test_where_a_version_stood_once_does_not_count(team):
    in_line(team)
    first = make_version(team)
    make_live(team, version=first, place="staging")
    make_live(team, version=make_version(team, run=make_trained_run(team)), place="staging")
    with pytest.raises(Conflict) as refused:
        ask(team, first, "production")
    assert refused.value.code == "move_not_allowed"


def test_what_stands_there_may_be_asked_for_again(team):
    """A suspended approval asks for a new one in the same environment."""
    in_line(team)
    live = make_live(team, place="staging")
    PromotionRequest.objects.filter(environment=live.environment).update(state="suspended")
    assert ask(team, live.current_revision.version, "staging").is_pending


def test_no_move_at_all_is_said(team):
    in_line(team)
    environments.set_moves(team.admin, project=team.project, moves=[])
    with pytest.raises(Conflict) as refused:
        ask(team, make_version(team), "production")
    assert refused.value.message.startswith("No allowed move leads to production.")


def test_taking_a_move_away_makes_its_requests_stale(team):
    policies.ensure(team.project)
    kept, lost = make_request(team, place="staging"), make_request(team, place="production")
    in_line(team)
    for request in (kept, lost):
        request.refresh_from_db()
    assert (kept.state, lost.state) == ("pending", "stale")
    assert lost.closing_note.startswith("The moves changed.")


def test_moves_end_and_begin_as_rows_that_never_change(places):
    in_line(places)
    rows = EnvironmentMove.objects.filter(project=places.project)
    assert (rows.filter(valid_to=None).count(), rows.exclude(valid_to=None).count()) == (2, 2)
    ended = rows.exclude(valid_to=None).first()
    for changes in ({"valid_to": None}, {"origin": "nothing"}, {"valid_from": timezone.now()}):
        with pytest.raises(IntegrityError), transaction.atomic():
            EnvironmentMove.objects.filter(pk=ended.pk).update(**changes)


@pytest.mark.parametrize(
    "moves",
    [
        [("staging", "nowhere")],
        [("nowhere", "staging")],
        [("staging", "staging")],
        [("anywhere", "anywhere")],
        [("", "")],
    ],
)
def test_a_wrong_move_is_refused_and_nothing_changes(places, moves):
    before = ways.of(places.project).pairs()
    with pytest.raises(Invalid) as refused:
        environments.set_moves(places.admin, project=places.project, moves=[*LINE, *moves])
    assert refused.value.field == "moves"
    assert ways.of(places.project).pairs() == before


def test_moves_of_somebody_else_are_not_overwritten(places):
    seen = ways.of(places.project).mark
    in_line(places)
    with pytest.raises(Conflict) as refused:
        environments.set_moves(places.admin, project=places.project, moves=[], seen=seen)
    assert refused.value.code == "stale_edit"
    assert ways.of(places.project).pairs() == LINE
    environments.set_moves(places.admin, project=places.project, moves=LINE, seen=ways.of(places.project).mark)
    assert Event.objects.filter(verb="environment.moves_set").count() == 1, "the same moves again are no change"


def test_an_archived_one_takes_no_promotion_and_keeps_its_name(team):
    request = make_request(team, place="staging")
    place = environments.archive(team.admin, environment=environment(team, "staging"))
    request.refresh_from_db()
    assert request.state == "stale"
    with pytest.raises(Conflict) as refused:
        ask(team, request.version, "staging")
    assert refused.value.code == "environment_archived"
    with pytest.raises(Conflict) as taken:
        environments.create(team.admin, project=team.project, name="Staging")
    assert "archived" in taken.value.message
    environments.restore(team.admin, environment=place)
    assert ask(team, request.version, "staging").is_pending


def test_what_answers_or_is_the_last_is_not_archived(team):
    live = make_live(team)
    with pytest.raises(Conflict) as refused:
        environments.archive(team.admin, environment=live.environment)
    assert (refused.value.code, refused.value.got) == ("environment_in_use", ["churn-production"])
    endpoints.disable(team.ops, endpoint=live, reason="Nobody asks it any more.")
    environments.archive(team.admin, environment=live.environment)
    with pytest.raises(Conflict) as again:
        endpoints.enable(team.ops, endpoint=live)
    assert again.value.code == "environment_archived"
    with pytest.raises(Conflict) as last:
        environments.archive(team.admin, environment=environment(team, "staging"))
    assert last.value.code == "last_environment"


def test_break_glass_passes_over_moves_but_not_into_an_archived_one(team):
    in_line(team)
    set_policy(team, "production", allow_break_glass=True)
    version = make_version(team)
    made = breakglass.promote(
        team.ops, version=version, environment=environment(team), reason="The bank closes at noon, fraud runs wild."
    )
    assert made.break_glass
    environments.archive(team.admin, environment=environment(team, "staging"))
    with pytest.raises(Conflict) as refused:
        breakglass.promote(team.ops, version=version, environment=environment(team, "staging"), reason="x" * 30)
    assert refused.value.code == "environment_archived"


def test_the_shortest_way_is_found_among_many(places):
    for name, start in (("shadow", "staging"), ("canary", "shadow")):
        environments.create(places.admin, project=places.project, name=name, start=start)
    environments.set_moves(
        places.admin, project=places.project,
        moves=[("nothing", "staging"), ("staging", "shadow"), ("shadow", "canary"), ("canary", "production"),
               ("staging", "canary")],
    )  # fmt: skip
    known = ways.of(places.project)
    numbers = {place.name: number for number, place in known.places.items()}
    assert [place.name for place in known.path([], numbers["production"])] == ["staging", "canary", "production"]
    assert known.path([numbers["production"]], numbers["staging"]) == []


def test_as_of_tells_names_moves_and_archives(places):
    moments = {}

    def note(name):
        moments[name] = timezone.now()

    note("first")
    environments.rename(places.admin, environment=environment(places, "staging"), name="shadow")
    note("renamed")
    environments.set_moves(places.admin, project=places.project, moves=[("nothing", "shadow")])
    note("moved")
    environments.archive(places.admin, environment=Environment.objects.get(name="shadow"))

    def then(moment):
        places_then, moves_then = past.environments(places.project, Span(moment, moment))
        return (
            [(row["environment"], row["state"]) for row in places_then.rows],
            [(row["start"], row["environment"]) for row in moves_then.rows],
        )

    anywhere = "from anywhere"
    assert then(moments["first"]) == (
        [("production", "in use"), ("staging", "in use")], [(anywhere, "production"), (anywhere, "staging")]
    )  # fmt: skip
    assert then(moments["renamed"])[0][1] == ("shadow", "in use")
    assert then(moments["moved"])[1] == [("from no environment", "shadow")]
    assert then(timezone.now())[0][1] == ("shadow", "archived")
    assert then(places.project.created_at - timedelta(days=1)) == ([], [])


def test_two_environments_of_one_folded_name_are_refused_by_the_database(places):
    with pytest.raises(IntegrityError), transaction.atomic():
        Environment.objects.create(project=places.project, name="STAGING")


@pytest.mark.django_db(transaction=True)
def test_an_upgrade_lets_old_environments_be_reached(serial_team):
    """Rows of a portal before moves existed get a way and a date, and the trigger comes all the same."""
    policies.ensure(serial_team.project)
    step = importlib.import_module("deployments.migrations.0006_environment_moves")
    with connection.schema_editor() as editor:
        step.remove(apps, editor)
    EnvironmentMove.objects.all().delete()
    with connection.schema_editor() as editor:
        for operation in step.Migration.operations:
            operation.code(apps, editor)
    assert ways.of(serial_team.project).pairs() == [("anywhere", "staging"), ("anywhere", "production")]
    assert set(Environment.objects.values_list("created_at", flat=True)) == {serial_team.project.created_at}
    with pytest.raises(IntegrityError), transaction.atomic():
        EnvironmentMove.objects.update(origin="nothing")


@pytest.mark.parametrize("round_", range(5))
@pytest.mark.django_db(transaction=True)
def test_two_admins_at_once_do_not_overwrite_each_other(serial_team, round_):
    policies.ensure(serial_team.project)
    seen = ways.of(serial_team.project).mark

    def save(moves):
        return environments.set_moves(serial_team.admin, project=serial_team.project, moves=moves, seen=seen)

    answers = race(lambda: save(LINE), lambda: save([("nothing", "staging")]))
    assert len(losers(answers)) == 1
    assert losers(answers)[0].code == "stale_edit"
    assert EnvironmentMove.objects.filter(valid_to=None).count() in (1, 2)


@pytest.mark.parametrize("round_", range(5))
@pytest.mark.django_db(transaction=True)
def test_a_request_never_stays_open_where_no_move_leads(serial_team, round_):
    version = make_version(serial_team)
    answers = race(
        lambda: ask(serial_team, version, "production"),
        lambda: environments.set_moves(serial_team.admin, project=serial_team.project, moves=LINE),
    )
    assert [error.code for error in losers(answers)] in ([], ["move_not_allowed"])
    assert not PromotionRequest.objects.filter(state="pending").exists()


@pytest.mark.parametrize("round_", range(5))
@pytest.mark.django_db(transaction=True)
def test_an_alias_and_an_environment_of_one_name_never_both_win(serial_team, round_):
    version = make_version(serial_team)
    answers = race(
        lambda: aliases.point(serial_team.scientist, version=version, name="canary"),
        lambda: environments.create(serial_team.admin, project=serial_team.project, name="canary"),
    )
    assert len(losers(answers)) == 1
    assert Alias.objects.filter(valid_to=None).count() + Environment.objects.filter(name="canary").count() == 1
