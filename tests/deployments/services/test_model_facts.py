"""What people say of a model, who said it, and that an approval depends on it."""

import pytest
from django.utils import timezone

from deployments.models import RegisteredModelTag
from deployments.services import cards, model_facts, model_listing, past, past_models, promotions, registered
from mlportal.lib.errors import Conflict, Forbidden, Invalid
from mlportal.lib.moments import Span
from projects.models import Event
from tests.factories.deployments import make_live, make_request, make_trained_run, make_version
from tests.factories.projects import make_user

pytestmark = pytest.mark.django_db
FACTS = {
    "owner": "churn-manager", "intended_purpose": "Choose whom to offer a discount.", "risk_class": "limited",
    "out_of_scope_use": "Credit decisions.",
}  # fmt: skip


@pytest.fixture
def model(team):
    return make_version(team).model


def test_an_edit_is_one_event_with_before_and_after(team, model):
    made = model_facts.edit(team.scientist, model=model, revision=0, **FACTS, tags={"team": "retention"})
    made.refresh_from_db()
    assert (made.owner.username, made.risk_class, made.revision) == ("churn-manager", "limited", 1)
    event = Event.objects.latest("seq")
    assert (event.verb, event.target_id) == ("model.edited", model.pk)
    assert event.data["changes"]["risk_class"] == {"from": "", "to": "limited"}
    assert event.data["changes"]["owner"] == {"from": None, "to": "churn-manager"}
    assert event.data["changes"]["tag team"] == {"from": None, "to": "retention"}
    before = Event.objects.count()
    model_facts.edit(team.scientist, model=made, **FACTS, tags={"team": "retention"})
    assert Event.objects.count() == before, "the same values again are no change"


def test_a_tag_is_set_changed_and_taken_off(team, model):
    for value in ("a", "b", None):
        model_facts.edit(team.scientist, model=model, tags={"team": value})
    assert not RegisteredModelTag.objects.filter(model=model).exists()
    changes = [event.data["changes"]["tag team"] for event in Event.objects.filter(verb="model.edited").order_by("seq")]
    assert changes == [{"from": None, "to": "a"}, {"from": "a", "to": "b"}, {"from": "b", "to": None}]


def test_a_newer_edit_is_not_overwritten(team, model):
    model_facts.edit(team.admin, model=model, revision=0, risk_class="high")
    with pytest.raises(Conflict) as refused:
        model_facts.edit(team.scientist, model=model, revision=0, risk_class="minimal")
    assert (refused.value.code, refused.value.field) == ("stale_edit", "revision")
    assert "churn-admin" in refused.value.message
    model.refresh_from_db()
    assert model.risk_class == "high"


def test_an_edit_of_a_client_counts_as_an_edit(team, model):
    registered.describe(team.scientist, model=model, description="By an MLflow client.")
    with pytest.raises(Conflict):
        model_facts.edit(team.scientist, model=model, revision=0, description="Mine.")


@pytest.mark.parametrize(
    ("wrong", "field"),
    [({"risk_class": "prohibited"}, "risk_class"), ({"owner": "stranger"}, "owner"),
     ({"owner": "nobody-here"}, "owner"),
     ({"intended_purpose": "a" * 100_001}, "intended_purpose"), ({"out_of_scope_use": "a\x00b"}, "out_of_scope_use"),
     ({"tags": {"": "x"}}, "key")],
)  # fmt: skip
def test_wrong_values_name_their_field(team, model, wrong, field):
    make_user("stranger")
    with pytest.raises(Invalid) as refused:
        model_facts.edit(team.scientist, model=model, **wrong)
    assert refused.value.field == field
    assert not Event.objects.filter(verb="model.edited").exists()


def test_who_may_only_look_changes_nothing(team, model):
    for who in (team.viewer, team.manager, team.ops):
        with pytest.raises(Forbidden):
            model_facts.edit(who, model=model, risk_class="high")


@pytest.mark.parametrize("change", [{"risk_class": "high"}, {"intended_purpose": "Loans."}, {"out_of_scope_use": "-"}])
def test_a_change_of_the_purpose_makes_a_request_stale(team, change):
    request = make_request(team)
    model_facts.edit(team.scientist, model=request.version.model, **change)
    with pytest.raises(Conflict) as refused:
        promotions.decide(team.manager, request=request, verdict="approve")
    assert refused.value.code == "request_stale"
    assert "the purpose or the risk class of the model" in refused.value.message


def test_another_owner_or_tag_leaves_a_request_as_it_is(team):
    request = make_request(team)
    model_facts.edit(team.scientist, model=request.version.model, owner="churn-manager", tags={"team": "a"})
    assert promotions.decide(team.manager, request=request, verdict="approve").state == "approved"


def test_as_of_tells_what_was_said_then(team, model):
    first = timezone.now()
    model_facts.edit(team.scientist, model=model, **FACTS)
    second = timezone.now()
    model_facts.edit(team.scientist, model=model, risk_class="high", owner="")
    model.refresh_from_db()
    then = {row["field"]: row["said"] for row in past_models.section(model, Span(second, second)).rows}
    assert (then["Risk class"], then["Owner"], then["Out-of-scope use"]) == (
        "limited", "churn-manager", "Credit decisions."
    )  # fmt: skip
    listed = past.models(team.project, Span(first, first))[0].rows[0]
    assert (listed["risk_class"], listed["owner"]) == ("not stated", "nobody")


def test_as_of_knows_what_the_card_told_the_model(team, model):
    first = timezone.now()
    version = model.versions.get()
    cards.write(team.scientist, version=version, texts={"intended_purpose": "Retention offers by phone."})
    model.refresh_from_db()
    assert (model.intended_purpose, model.revision) == ("Retention offers by phone.", 1)
    then = {row["field"]: row["said"] for row in past_models.section(model, Span(first, first)).rows}
    assert then["Intended purpose"] == "not stated"


def names(team, **asked):
    chosen = model_listing.Chosen.read({key: str(value) for key, value in asked.items()})
    return [model.name for model in model_listing.page(team.viewer, project=team.project, chosen=chosen)[0]]


def test_models_are_chosen_and_ordered(team, monkeypatch):
    for name, risk in (("alpha", "limited"), ("beta", "high"), ("gamma", "")):
        made = make_version(team, model=name, run=make_trained_run(team)).model
        model_facts.edit(team.scientist, model=made, risk_class=risk, owner="churn-manager" if risk else "")
    make_live(team, version=make_version(team, model="beta", run=make_trained_run(team)), place="staging")
    assert names(team, risk="high") == ["beta"]
    assert names(team, risk="none") == ["gamma"]
    assert names(team, owner="churn-manager") == ["alpha", "beta"]
    assert names(team, owner="none", q="AMM") == ["gamma"]
    assert names(team, environment="staging") == ["beta"]
    assert names(team, environment="production") == []
    assert names(team, environment="none") == ["alpha", "gamma"]
    assert names(team, sort="-rank") == ["beta", "alpha", "gamma"]
    assert names(team, sort="-created_at") == ["gamma", "beta", "alpha"]
    monkeypatch.setattr(model_listing, "PAGE_ROWS", 2)
    for sort in model_listing.SORTS:
        chosen = model_listing.Chosen(sort=sort)
        first, after = model_listing.page(team.viewer, project=team.project, chosen=chosen)
        rest, end = model_listing.page(
            team.viewer, project=team.project, chosen=model_listing.Chosen(sort=sort, after=after)
        )
        assert sorted(model.name for model in first + rest) == ["alpha", "beta", "gamma"]
        assert end == ""
    for wrong in ({"risk": "odd"}, {"environment": "moon"}):
        with pytest.raises(Invalid):
            names(team, **wrong)
