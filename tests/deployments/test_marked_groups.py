"""The name of a group is a value of its column: who may not see marked values sees numbered groups, at every door."""

import io
import json
import zipfile

import pytest

from deployments.models import Backtest
from deployments.services import backtests, policies, technical_files
from mlportal.lib.errors import Conflict
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
    assert "group 2" in hidden.content.decode()
    assert {"Zebra", "Quagga"} <= set(named(shown.content.decode()))


@pytest.mark.parametrize("place", ["promotions/{}/", "promotions/{}/card/", "models/churn/v/1/card/"])
def test_pages_number_groups_for_who_may_not_see_them(team, request_, place):
    hidden = browser(team, "viewer").get(f"/p/churn/{place.format(request_.pk)}").content.decode()
    assert named(hidden) == []
    assert "group 2" in hidden
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
    assert "tribe = group 2" in text
    assert "tribe = Zebra" not in text
    with pytest.raises(Conflict) as refused:
        technical_files.content(team.manager, issued=by_scientist)
    assert refused.value.code == "masked"
    assert technical_files.content(team.scientist2, issued=by_scientist)
    page = f"/p/churn/models/churn/technical-files/{by_scientist.number}/"
    hidden = browser(team, "manager").get(page, {"since": by_manager.number})
    assert (hidden.status_code, "tribe = group 2" in hidden.content.decode()) == (200, True)
    assert "tribe = Zebra" not in hidden.content.decode()
