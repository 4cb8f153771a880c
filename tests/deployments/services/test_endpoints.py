import pytest

from deployments.models import Endpoint, EndpointInterval, RollbackReview
from deployments.services import endpoints, looks
from mlportal.lib.errors import Conflict, Forbidden, Invalid
from monitoring.models import Monitor
from projects.models import Event
from tests.deployments.services.test_promotions import state_of
from tests.deployments.services.test_registry import tamper
from tests.factories.deployments import make_live, make_request, make_version

REASON = "Errors doubled after the switch."


def reload(endpoint: Endpoint) -> Endpoint:
    return Endpoint.objects.with_live().get(pk=endpoint.pk)


def test_e12_rollback_is_instant_by_ops_alone_with_a_reason_and_a_review(team):
    first = make_live(team)
    endpoint = make_live(team)
    waiting = make_request(team)
    assert reload(first) == endpoint
    for by in (team.manager, team.scientist, team.viewer):
        with pytest.raises(Forbidden):
            endpoints.rollback(by, endpoint=endpoint, reason=REASON)
    for reason in ("", "now", "         "):
        with pytest.raises(Invalid) as caught:
            endpoints.rollback(team.ops, endpoint=endpoint, reason=reason)
        assert caught.value.field == "reason"
    made = endpoints.rollback(team.ops, endpoint=endpoint, reason=REASON)
    assert (made.number, made.kind, made.version.number, made.previous.number) == (3, "rollback", 1, 2)
    assert reload(endpoint).current_revision == made
    assert RollbackReview.objects.get().revision == made
    assert state_of(waiting) == "stale"
    assert Monitor.objects.filter(valid_to=None).get().version == "v1"
    assert Event.objects.get(verb="endpoint.rolled_back").data == {"to": "v1", "revision": 3, "reason": REASON}


def test_e12_rollback_goes_only_to_what_was_approved_and_live(team):
    endpoint = make_live(team)
    with pytest.raises(Conflict) as caught:
        endpoints.rollback(team.ops, endpoint=endpoint, reason=REASON)
    assert caught.value.code == "nothing_earlier"
    with pytest.raises(Conflict) as caught:
        endpoints.rollback(team.ops, endpoint=endpoint, reason=REASON, version=make_version(team))
    assert caught.value.code == "never_approved"
    with pytest.raises(Conflict) as caught:
        endpoints.rollback(team.ops, endpoint=endpoint, reason=REASON, version=endpoint.current_revision.version)
    assert caught.value.code == "already_live"


def test_e12_rollback_refuses_a_tampered_version(team):
    tampered = make_live(team).current_revision.version
    endpoint = make_live(team)
    tamper(tampered.file("model/model.skops"))
    with pytest.raises(Conflict) as caught:
        endpoints.rollback(team.ops, endpoint=endpoint, reason=REASON)
    assert caught.value.code == "artifact_damaged"
    assert reload(endpoint).current_revision.number == 2


def test_e12_the_review_is_closed_by_an_approver_who_did_not_roll_back(team):
    make_live(team)
    endpoint = make_live(team)
    endpoints.rollback(team.ops, endpoint=endpoint, reason=REASON)
    review = RollbackReview.objects.get()
    with pytest.raises(Forbidden):
        looks.close(team.ops, review=review, comment="Fine.")
    looks.close(team.manager, review=review, comment="Agreed, the new version was wrong.")
    review.refresh_from_db()
    assert (review.closed_by, review.closed_at is None) == (team.people["manager"], False)
    with pytest.raises(Conflict) as caught:
        looks.close(team.manager2, review=review, comment="")
    assert caught.value.code == "already_closed"


def test_disable_and_enable_keep_the_history(team):
    endpoint = make_live(team)
    with pytest.raises(Conflict):
        endpoints.enable(team.ops, endpoint=endpoint)
    endpoints.disable(team.ops, endpoint=endpoint, reason="Planned maintenance.")
    with pytest.raises(Conflict):
        endpoints.disable(team.ops, endpoint=endpoint, reason="Planned maintenance.")
    endpoints.enable(team.ops, endpoint=endpoint)
    rows = EndpointInterval.objects.order_by("pk")
    assert [(row.enabled, row.valid_to is None) for row in rows] == [(True, False), (False, False), (True, True)]
    with pytest.raises(Invalid):
        endpoints.disable(team.ops, endpoint=endpoint, reason="x")
    for by in (team.manager, team.scientist, team.viewer):
        with pytest.raises(Forbidden):
            endpoints.disable(by, endpoint=endpoint, reason=REASON)


def test_configure_the_prediction_log(team):
    endpoint = make_live(team)
    endpoints.configure(team.ops, endpoint=endpoint, log_mode="hashed")
    assert reload(endpoint).log_mode == "hashed"
    assert Event.objects.get(verb="endpoint.configured").data == {"log_mode": ["all", "hashed"]}
    endpoints.configure(team.ops, endpoint=endpoint, log_mode="hashed")
    assert Event.objects.filter(verb="endpoint.configured").count() == 1
    with pytest.raises(Invalid) as caught:
        endpoints.configure(team.ops, endpoint=endpoint, log_mode="everything")
    assert caught.value.field == "log_mode"
    with pytest.raises(Forbidden):
        endpoints.configure(team.manager, endpoint=endpoint, log_mode="all")


def test_settings_name_what_is_wrong_and_keep_what_is_not_named(team):
    endpoint = make_live(team)
    wanted = {
        "logging": "sample", "sample_share": 0.2, "masked_columns": ["city", "age", "age"], "on_log_failure": "refuse",
        "requests_per_minute": 600, "caller_requests_per_minute": 60,
    }  # fmt: skip
    endpoints.configure(team.ops, endpoint=endpoint, **wanted)
    held = reload(endpoint)
    assert (held.log_mode, held.masked_columns, held.requests_per_minute) == ("all", ["age", "city"], 600)
    assert Event.objects.get(verb="endpoint.configured").data["logging"] == ["safe", "sample"]
    for name, value in [
        ("logging", "often"), ("sample_share", 0), ("sample_share", 1.5), ("masked_columns", "age"),
        ("masked_columns", [""]), ("on_log_failure", "x"), ("requests_per_minute", -1),
        ("caller_requests_per_minute", 10**9), ("sample_share", True), ("speed", 1),
    ]:  # fmt: skip
        with pytest.raises(Invalid) as caught:
            endpoints.configure(team.ops, endpoint=endpoint, **{name: value})
        assert caught.value.field == name


def test_limits_of_requests_leave_open_requests_as_they_are(team):
    endpoint = make_live(team)
    waiting = make_request(team, version=make_version(team))
    endpoints.configure(team.ops, endpoint=endpoint, requests_per_minute=5)
    waiting.refresh_from_db()
    assert waiting.state != "stale"
