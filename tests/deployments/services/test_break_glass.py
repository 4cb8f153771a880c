"""Break-glass: live without an approval, with a second look that nobody can wave through."""

import pytest

from deployments.models import Endpoint, EndpointRevision, PromotionRequest, RollbackReview
from deployments.services import breakglass, endpoints, looks
from mlportal.lib.errors import Conflict, Forbidden, Invalid, Missing
from projects.models import Event
from projects.permissions import Permission
from tests.deployments.services.test_registry import tamper
from tests.factories.deployments import environment, make_live, make_request, make_team, make_version, set_policy
from tests.factories.projects import system

REASON = "The live version refuses every request since 03:00."
COMMENT = "Right call, the outage was real."


def promote(team, by=None, version=None, reason=REASON) -> PromotionRequest:
    return breakglass.promote(
        by or team.ops, version=version or make_version(team), environment=environment(team), reason=reason
    )


@pytest.fixture
def allowed(team):
    set_policy(team, allow_break_glass=True)
    return team


def live() -> EndpointRevision:
    found = Endpoint.objects.with_live().get().current_revision
    assert found is not None
    return found


def test_ops_puts_a_version_live_at_once_and_it_is_marked(allowed):
    team = allowed
    make_live(team)
    waiting = make_request(team)
    made = promote(team)
    assert (made.break_glass, made.single_person, made.state) == (True, True, "approved")
    assert (live().kind, live().version, live().promotion) == ("break_glass", made.version, made)
    assert PromotionRequest.objects.get(pk=waiting.pk).state == "stale"
    assert RollbackReview.objects.get().closed_at is None
    data = Event.objects.get(verb="endpoint.break_glass").data
    assert data == {"to": "v3", "revision": 2, "promotion": made.pk, "reason": REASON}


def test_it_is_off_unless_the_rules_allow_it(team):
    with pytest.raises(Forbidden) as caught:
        promote(team)
    assert caught.value.code == "break_glass_off"
    assert not Endpoint.objects.exists()


def test_it_is_for_ops_with_a_reason_of_20_characters(allowed):
    team = allowed
    for by in (team.manager, team.scientist, team.viewer):
        with pytest.raises(Forbidden):
            promote(team, by)
    with pytest.raises(Invalid) as caught:
        promote(team, reason="x" * 19)
    assert (caught.value.field, caught.value.limit, caught.value.got) == ("reason", 20, 19)
    portal = system(team.project, *Permission, on_behalf_of=team.people["ops"])
    with pytest.raises(Forbidden):
        promote(team, portal)
    with pytest.raises(Missing):
        breakglass.promote(
            team.ops, version=make_version(team), environment=environment(make_team("other")), reason=REASON
        )


def test_it_never_skips_the_files_or_what_is_live(allowed):
    team = allowed
    version = make_version(team)
    promote(team, version=version)
    with pytest.raises(Conflict) as caught:
        promote(team, version=version)
    assert caught.value.code == "already_live"
    tampered = make_version(team)
    tamper(tampered.file("model/model.skops"))
    with pytest.raises(Conflict) as caught:
        promote(team, version=tampered)
    assert caught.value.code == "artifact_damaged"
    tampered.refresh_from_db()
    assert (tampered.state, live().version) == ("damaged", version)


def test_the_second_look_is_forced(allowed):
    team = allowed
    promote(team)
    review = RollbackReview.objects.select_related("revision__endpoint__environment__project").get()
    for outcome in ("", "noted", "later"):
        with pytest.raises(Invalid) as caught:
            looks.close(team.manager, review=review, comment=COMMENT, outcome=outcome)
        assert caught.value.field == "outcome"
    with pytest.raises(Invalid) as caught:
        looks.close(team.manager, review=review, comment="ok", outcome="confirmed")
    assert caught.value.field == "comment"
    for by in (team.ops, team.scientist, team.admin):
        with pytest.raises(Forbidden):
            looks.close(by, review=review, comment=COMMENT, outcome="confirmed")
    looks.close(team.manager, review=review, comment=COMMENT, outcome="confirmed")
    assert Event.objects.get(verb="break_glass.reviewed").data["outcome"] == "confirmed"
    with pytest.raises(Conflict) as caught:
        looks.close(team.manager2, review=review, comment=COMMENT, outcome="confirmed")
    assert (caught.value.code, caught.value.got["by"]) == ("already_closed", "churn-manager")


def test_the_second_look_rolls_back_to_the_version_before(allowed):
    team = allowed
    make_live(team)
    promote(team)
    review = RollbackReview.objects.select_related("revision__endpoint__environment__project").get()
    looks.close(team.manager, review=review, comment=COMMENT, outcome="rolled_back")
    assert (live().kind, live().version.label) == ("rollback", "v1")
    review.refresh_from_db()
    assert (review.outcome, review.closed_by) == ("rolled_back", team.people["manager"])


def test_with_nothing_before_it_switches_the_endpoint_off(allowed):
    team = allowed
    promote(team)
    review = RollbackReview.objects.select_related("revision__endpoint__environment__project").get()
    looks.close(team.manager, review=review, comment=COMMENT, outcome="rolled_back")
    assert Endpoint.objects.get().enabled is False


def test_what_is_not_live_any_more_can_only_be_confirmed(allowed):
    team = allowed
    promote(team)
    make_live(team)
    review = RollbackReview.objects.select_related("revision__endpoint__environment__project").get()
    with pytest.raises(Conflict) as caught:
        looks.close(team.manager, review=review, comment=COMMENT, outcome="rolled_back")
    assert caught.value.code == "not_live"
    assert RollbackReview.objects.get().closed_at is None


def test_e12_a_break_glass_version_is_returned_to_only_once_confirmed(allowed):
    team = allowed
    make_live(team)
    glass = promote(team)
    endpoint = make_live(team)
    assert endpoints.previous_version(endpoint).label == "v1"
    with pytest.raises(Conflict) as caught:
        endpoints.rollback(team.ops, endpoint=endpoint, reason=REASON, version=glass.version)
    assert caught.value.code == "approval_suspended"
    review = RollbackReview.objects.select_related("revision__endpoint__environment__project").get()
    looks.close(team.manager, review=review, comment=COMMENT, outcome="confirmed")
    assert endpoints.previous_version(endpoint) == glass.version
    endpoints.rollback(team.ops, endpoint=endpoint, reason=REASON, version=glass.version)
    assert live().version == glass.version
