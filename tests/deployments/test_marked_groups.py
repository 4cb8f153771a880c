"""The name of a group is a value of its column: who may not see marked values sees numbered groups, at every door."""

import io
import json
import zipfile

import pytest
from django.utils import timezone

from deployments import gates
from deployments.models import Backtest
from deployments.proof import veil
from deployments.proof.told import Evidence, remarks, verdicts
from deployments.services import backtests, past, policies, promotions, technical_files
from mlportal.lib import moments
from mlportal.lib.errors import Conflict, Unprocessable
from projects.services import marks
from tests.deployments.test_api import Api
from tests.deployments.test_card_pages import FAIR
from tests.deployments.test_pages import browser
from tests.factories.deployments import environment, make_request, result

GATES = [
    {"kind": "fairness_gap", "column": "tribe", "measure": "tpr", "limit": 0.05},
    {"kind": "segment_at_least", "column": "tribe", "metric": "roc_auc", "limit": 0.85},
]
NAMES = ("Zebra", "Quagga", "Okapi")


def rates(tpr):
    found = {**FAIR[0]["groups"][0]["candidate"]}
    return found | {"tpr": {"value": tpr, "low": tpr - 0.1, "high": tpr + 0.1}}


def segment(value, auc):
    numbers = {"candidate": auc, "baseline": None, "difference": None, "low": None, "high": None}
    return {"column": "tribe", "value": value, "rows": 40, "metrics": {"roc_auc": numbers}}


FOUND = {
    "marked": ["tribe"],
    "segments": [segment("Quagga", 0.81), segment("Zebra", 0.9)],
    "fairness": [{
        "column": "tribe", "four_fifths": True, "selection_ratio": {"candidate": 0.9, "baseline": None},
        "groups": [
            {"value": name, "rows": 40, "baseline": None, "candidate": rates(tpr), "difference": None}
            for name, tpr in (("Quagga", 0.6), ("Zebra", 0.8))
        ],
        "small": [{"value": "Okapi", "rows": 2}],
    }],
    "missing": [{"part": "fairness: tribe", "why": "groups with fewer than 30 rows are not shown: Okapi (2)"}],
}  # fmt: skip


@pytest.fixture
def request_(team):
    policies.change(team.admin, environment=environment(team), gates=GATES)
    made = make_request(team, found=result(**FOUND))
    dataset = made.version.dataset_version.dataset
    dataset.marks = {"tribe": "sensitive"}
    dataset.save(update_fields=["marks"])
    return made


def code(request, name):
    """What a reader without the right is told a group is called, at every door."""
    dataset = request.version.dataset_version.dataset_id
    return marks.Hidden(["tribe"], dataset=dataset).called("tribe", name)


def between(request):
    return f"0.2, between {code(request, 'Zebra')} and {code(request, 'Quagga')}"


def named(text):
    return [name for name in NAMES if name in text]


def test_the_words_of_a_verdict_name_no_group_of_a_marked_column(team, request_):
    gap, low = request_.gate_results.order_by("name")
    assert (gap.found, gap.passed) == ("0.2, between group 2 and group 1", False)
    assert (low.found, low.passed) == ("tribe = group 1: 0.81", False)
    policy = policies.draft(team.admin, environment=environment(team), expiry_days=3)
    asked = backtests.start(team.admin, policy=policy)
    assert backtests.work(asked.pk, worker="test")
    assert not named(json.dumps(Backtest.objects.get(pk=asked.pk).result["requests"][0]["found"]))


@pytest.mark.parametrize("path", ["promotions/{}/", "promotions/{}/evidence/", "promotions/{}/card/"])
def test_the_api_numbers_groups_for_who_may_not_see_them(team, request_, path):
    hidden = Api(team, "manager", "read").get(path.format(request_.pk))
    shown = Api(team, "scientist", "read", "write").get(path.format(request_.pk))
    assert (hidden.status_code, shown.status_code) == (200, 200)
    assert named(hidden.content.decode()) == []
    assert code(request_, "Zebra") in hidden.content.decode()
    assert {"Zebra", "Quagga"} <= set(named(shown.content.decode()))


@pytest.mark.parametrize("place", ["promotions/{}/", "promotions/{}/card/", "models/churn/v/1/card/"])
def test_pages_number_groups_for_who_may_not_see_them(team, request_, place):
    hidden = browser(team, "viewer").get(f"/p/churn/{place.format(request_.pk)}").content.decode()
    assert named(hidden) == []
    assert code(request_, "Zebra") in hidden
    assert "Zebra" in browser(team, "scientist").get(f"/p/churn/{place.format(request_.pk)}").content.decode()


def issued(team, role, version):
    made = technical_files.issue(getattr(team, role), version=version)
    assert technical_files.work(made.pk, worker="test")
    made.refresh_from_db()
    return made


def test_a_technical_file_tells_what_its_issuer_may_see_and_nobody_else_gets_more(team, request_):
    version = request_.version
    by_manager, by_scientist = issued(team, "manager", version), issued(team, "scientist", version)
    content = technical_files.content(team.viewer, issued=by_manager)
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        text = packed.read("technical-file.json").decode()
    assert f"tribe = {code(request_, 'Zebra')}" in text
    assert "tribe = Zebra" not in text
    with pytest.raises(Conflict) as refused:
        technical_files.content(team.manager, issued=by_scientist)
    assert refused.value.code == "masked"
    assert technical_files.content(team.scientist2, issued=by_scientist)
    page = f"/p/churn/models/churn/technical-files/{by_scientist.number}/"
    hidden = browser(team, "manager").get(page, {"since": by_manager.number})
    assert (hidden.status_code, f"tribe = {code(request_, 'Zebra')}" in hidden.content.decode()) == (200, True)
    assert "tribe = Zebra" not in hidden.content.decode()


# --- marked after the words were sealed --------------------------------------------------------------


TYPED = [*GATES, {"kind": "segment_at_least", "level": "advisory", "column": "tribe", "value": "Quagga",
                  "metric": "roc_auc", "limit": 0.85, "name": "Quagga stays good"}]  # fmt: skip


@pytest.fixture
def marked_late(team):
    policies.change(team.admin, environment=environment(team), gates=[{**gate, "level": "advisory"} for gate in TYPED])
    made = make_request(team, found=result(**{**FOUND, "marked": []}))
    assert "Quagga" in made.gate_results.get(name="fairness_gap:tribe:tpr").found
    dataset = made.version.dataset_version.dataset
    dataset.marks = {"tribe": "sensitive"}
    dataset.save(update_fields=["marks"])
    return made


@pytest.mark.parametrize("role", ["manager", "viewer"])
def test_words_that_were_sealed_before_the_mark_are_told_without_names(team, marked_late, role):
    at = f"promotions/{marked_late.pk}/"
    told = Api(team, role, "read").get(at).json()
    assert not named(json.dumps([told["gates"], told["comparison"]]))
    gap = next(gate for gate in told["gates"] if gate["name"] == "fairness_gap:tribe:tpr")
    assert (gap["passed"], gap["found"]) == (False, between(marked_late))
    assert f"{code(marked_late, 'Quagga')} stays good" in {gate["name"] for gate in told["gates"]}
    page = browser(team, role).get(f"/p/churn/{at}").content.decode()
    assert (named(page), between(marked_late) in page) == ([], True)
    shown = Api(team, "scientist", "read", "write").get(at).json()
    assert "0.2, between Zebra and Quagga" in {gate["found"] for gate in shown["gates"]}


def test_what_was_told_without_names_is_ticked_under_the_name_that_was_sealed(team, marked_late):
    names = [gate["name"] for gate in Api(team, "manager", "read").get(f"promotions/{marked_late.pk}/").json()["gates"]]
    with pytest.raises(Unprocessable) as caught:
        promotions.decide(team.manager, request=marked_late, verdict="approve")
    assert caught.value.code == "advisory_not_acknowledged"
    promotions.decide(team.manager, request=marked_late, verdict="approve", acknowledged=names)
    marked_late.refresh_from_db()
    assert marked_late.state == "approved"  # so the seal held
    assert "Quagga stays good" in marked_late.decisions.get().acknowledged


def test_files_that_are_written_for_everybody_name_no_group_either(team, marked_late):
    names = list(marked_late.gate_results.values_list("name", flat=True))
    promotions.decide(team.manager, request=marked_late, verdict="approve", acknowledged=names)
    rows = past.traffic(team.project, moments.Span(timezone.now(), timezone.now()))
    [gates] = [row["promotion"]["gates"] for row in rows]
    assert not named(json.dumps(gates))
    assert between(marked_late) in {gate["found"] for gate in gates}
    document = technical_files.read(team.manager, version=marked_late.version)
    assert not named(json.dumps(document))
    sealed = technical_files.read(team.scientist, version=marked_late.version)
    assert {"Zebra", "Quagga"} <= set(named(json.dumps(sealed)))
    assert not named(json.dumps(veil.paper(sealed, ["tribe"])["sections"]).replace("Quagga stays good", ""))


def test_a_remark_about_a_marked_column_is_not_quoted(team, marked_late):
    version = marked_late.version.dataset_version
    version.warnings = [{"column": "tribe", "level": "warn", "message": "Okapi is rare."}]
    found = Evidence({}, "", "roc_auc", "succeeded", remarks(version.warnings))
    told = verdicts([{"kind": "dataset_warnings"}], found, ["tribe"])
    assert told["dataset_warnings"].found == "1 warning: a remark about tribe"


def test_a_refusal_quotes_no_group(team, marked_late):
    outcomes = [item for item in gates.run_all(marked_late) if not item.passed]
    assert named(" ".join(item.found for item in outcomes))
    assert not named(gates.refusal(marked_late, outcomes).message)


def test_a_group_has_one_code_of_its_own_whatever_else_was_measured(team, marked_late):
    few = {**FOUND, "fairness": [], "segments": [segment("Zebra", 0.9)]}
    hidden = gates.marked(marked_late.version)
    assert veil.names(few, hidden)["tribe"] == {"Zebra": code(marked_late, "Zebra")}
    assert veil.names(FOUND, hidden)["tribe"]["Zebra"] == code(marked_late, "Zebra")
    others = {code(marked_late, "Okapi"), marks.Hidden(["tribe"], dataset=0).called("tribe", "Zebra")}
    assert code(marked_late, "Zebra") not in others
    assert hidden.called("tribe", True) == hidden.called("tribe", "true")  # as evaluations and monitors spell it


@pytest.mark.parametrize("path", ["policies/2/", "policy/", "policies/"])
def test_rules_name_no_group_to_who_may_not_see_it(team, marked_late, path):
    at = f"environments/{environment(team).name}/{path}"
    hidden, shown = (Api(team, role, "read", "write").get(at).content.decode() for role in ("manager", "scientist"))
    assert (named(hidden), code(marked_late, "Quagga") in hidden, "Quagga" in shown) == ([], True, True)
    for page in ("", f"{environment(team).name}/2/"):
        told = browser(team, "manager").get(f"/p/churn/settings/policies/{page}").content.decode()
        assert (named(told), code(marked_late, "Quagga") in told) == ([], True)
    rows = past.policies(team.project, moments.Span(timezone.now(), timezone.now()))[0].rows
    assert not named(json.dumps([row["gates"] for row in rows]))


def test_rules_that_were_read_with_codes_are_not_written_back(team, marked_late):
    blind = Api(team, "admin", "read", "admin")
    at = f"environments/{environment(team).name}/policy/"
    gates_ = blind.get(at).json()["gates"]
    refused = blind.send("patch", at, {"gates": gates_, "expiry_days": 3})
    assert refused.status_code == 400
    assert (refused.json()["field"], code(marked_late, "Quagga") in refused.json()["detail"]) == ("gates.3.value", True)
    assert blind.send("patch", at, {"expiry_days": 3}).status_code == 200


def test_a_back_test_from_before_the_mark_is_told_without_names(team):
    rules = [
        *GATES,
        {"kind": "segment_at_least", "column": "tribe", "value": "Zebra", "metric": "roc_auc", "limit": 0.95},
    ]
    policies.change(team.admin, environment=environment(team), gates=rules)
    made = make_request(team, found=result(**(FOUND | {"marked": []})))
    policy = policies.draft(team.admin, environment=environment(team), expiry_days=3)
    backtests.work(backtests.start(team.admin, policy=policy).pk, worker="test")
    kept = Backtest.objects.get()
    assert named(json.dumps(kept.result))  # nobody had marked the column
    dataset = made.version.dataset_version.dataset
    dataset.marks = {"tribe": "sensitive"}
    dataset.save(update_fields=["marks"])
    path = f"environments/production/policies/{policy.number}/backtest/"
    [hidden] = Api(team, "manager", "read").get(path).json()["result"]["requests"]
    assert named(json.dumps(hidden)) == []
    assert hidden["found"] == between(made)
    [shown] = Api(team, "scientist", "read", "write").get(path).json()["result"]["requests"]
    assert shown == kept.result["requests"][0]
    page = f"/p/{team.project.slug}/settings/policies/production/{policy.number}/"
    assert named(browser(team, "manager").get(page).content.decode().split('id="backtest"')[1]) == []
    kept.refresh_from_db()
    assert named(json.dumps(kept.result))  # what was kept stays


def test_a_back_test_of_a_named_group_does_not_name_it(team):
    rules = [{"kind": "segment_at_least", "column": "tribe", "value": "Quagga", "metric": "roc_auc", "limit": 0.95}]
    policies.change(team.admin, environment=environment(team), gates=rules)
    made = make_request(team, found=result(**(FOUND | {"marked": []})))
    policy = policies.draft(team.admin, environment=environment(team), expiry_days=3)
    backtests.work(backtests.start(team.admin, policy=policy).pk, worker="test")
    assert "Quagga" in json.dumps(Backtest.objects.get().result)
    dataset = made.version.dataset_version.dataset
    dataset.marks = {"tribe": "sensitive"}
    dataset.save(update_fields=["marks"])
    told = backtests.told(team.manager, backtest=Backtest.objects.get())
    assert named(json.dumps(told)) == []
    assert code(made, "Quagga") in json.dumps(told)
