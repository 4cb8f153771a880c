"""Pages of checks: what was found, suggestions, forms of every kind."""

import pytest

from projects.models import CheckRun
from projects.pipeline import check_runs
from projects.services import checks
from tests.factories.datasets import profiled
from tests.factories.projects import actor, make_project, make_user
from tests.projects.checking import AGE, PLAN, ROOT, SPEND, checked, client_of

pytestmark = [pytest.mark.django_db, pytest.mark.slow]


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def version(project):
    return profiled(project)


@pytest.fixture
def ana(project):
    return make_user("ana", role="scientist", project=project)


def test_the_tab_shows_what_was_found(version, ana):
    page = client_of(ana).get(f"{ROOT}v/1/checks/").content.decode()
    assert "No checks yet" in page
    checked(version, ana, AGE, PLAN, SPEND)
    page = client_of(ana).get(f"{ROOT}v/1/checks/").content.decode()
    assert "1 of 3 checks hold. 1 must hold and does not, so training on it is refused. 1 only warns." in page
    assert page.index("age is between 0 and 40") < page.index("plan is one of basic") < page.index("nobody pays")
    assert "1 row at fault" in page
    assert "checks fail" in page


def test_a_run_under_way_polls_and_reloads_when_done(version, ana):
    client = client_of(ana)
    checks.save(actor(ana), dataset=version.dataset, rules=[AGE])
    assert client.post(f"{ROOT}v/1/checks/").status_code == 303
    assert "every 1s" in client.get(f"{ROOT}v/1/checks/").content.decode()
    assert "HX-Refresh" not in client.get(f"{ROOT}v/1/checks/progress/")
    check_runs.run_checks(CheckRun.objects.get().pk, worker="test")
    assert client.get(f"{ROOT}v/1/checks/progress/")["HX-Refresh"] == "true"


def test_suggestions_are_taken_with_one_click(version, ana):
    client = client_of(ana)
    page = client.get(f"{ROOT}checks/").content.decode()
    assert page.count('name="take"') == len(checks.suggested(actor(ana), dataset=version.dataset))
    keys = [one.key for one in checks.suggested(actor(ana), dataset=version.dataset)][:3]
    assert client.post(f"{ROOT}checks/", {"take": keys}).status_code == 303
    assert len(checks.current(actor(ana), dataset=version.dataset).rules) == 3
    assert client.post(f"{ROOT}checks/").status_code == 422


@pytest.mark.parametrize(
    ("kind", "values", "stored"),
    [
        ("range", {"columns": "age", "min": "0", "max": "99.5"}, {"min": 0, "max": 99.5}),
        ("range", {"columns": "joined", "min": "2024-01-01"}, {"min": "2024-01-01T00:00:00"}),
        ("nulls", {"columns": "age", "max_share": "5"}, {"max_share": 0.05}),
        ("unique", {"columns": ["plan", "age"]}, {}),
        ("values", {"columns": "plan", "allowed": "basic\r\nplus\r\n"}, {"allowed": ["basic", "plus"]}),
        ("pattern", {"columns": "customer", "regex": "c-[0-9]+"}, {"regex": "c-[0-9]+"}),
        ("length", {"columns": "customer", "max": "9"}, {"max": 9}),
        ("share", {"columns": "churned", "value": "true", "max": "90"}, {"value": "true", "max": 0.9}),
        ("freshness", {"columns": "", "max_age_hours": "24"}, {"max_age_hours": 24.0}),
        ("rows", {"min": "1", "change": "3"}, {"min": 1, "change": 0.03}),
        ("columns", {"names": "age\nplan", "exact": "on"}, {"names": ["age", "plan"], "exact": True}),
        ("type", {"columns": "age", "is": "integer"}, {"is": "integer"}),
        ("sql", {"query": "SELECT 1 WHERE false", "name": "never"}, {"query": "SELECT 1 WHERE false"}),
    ],
)  # fmt: skip
def test_each_kind_can_be_written_in_its_form_and_read_back(version, ana, kind, values, stored):
    client = client_of(ana)
    assert client.get(f"{ROOT}checks/new/?kind={kind}").status_code == 200
    answer = client.post(f"{ROOT}checks/new/", {"kind": kind, "severity": "gate", **values})
    assert answer.status_code == 303, answer.content.decode()
    (rule,) = checks.current(actor(ana), dataset=version.dataset).rules
    assert {name: rule[name] for name in stored} == stored
    form = client.get(f"{ROOT}checks/{rule['key']}/").context["form"]
    again = {name: value for name, value in form.initial.items() if value is not False and value != ""}
    assert client.post(f"{ROOT}checks/{rule['key']}/", {"kind": kind, **again}).status_code == 303
    assert checks.current(actor(ana), dataset=version.dataset).rules == [rule]


def test_a_wrong_value_is_shown_at_its_field(version, ana):
    client = client_of(ana)
    answer = client.post(
        f"{ROOT}checks/new/", {"kind": "range", "columns": "age", "severity": "gate", "min": "9", "max": "1"}
    )
    assert answer.status_code == 422
    assert answer.context["form"].errors["max"] == ["Is 1, which is below the least, 9."]
    values = {"kind": "rows", "severity": "gate", "min": "few", "max": "12", "change": "250"}
    form = client.post(f"{ROOT}checks/new/", values).context["form"]
    assert form.errors == {"min": ["It must be a number."], "change": ["It is a share from 0 to 100 %."]}
    assert client.get(f"{ROOT}checks/new/?kind=magic").status_code == 400
    assert client.get(f"{ROOT}checks/nothing/").status_code == 404


def test_a_check_is_removed_on_its_page(version, ana):
    key = checks.put(actor(ana), dataset=version.dataset, rule=AGE).rules[0]["key"]
    assert client_of(ana).post(f"{ROOT}checks/{key}/", {"remove": "1"}).status_code == 303
    assert checks.current(actor(ana), dataset=version.dataset).rules == []


@pytest.mark.parametrize("count", [1, 3])
def test_the_tab_costs_the_same_queries(version, ana, django_assert_num_queries, count):
    checked(version, ana, *[AGE, PLAN, SPEND][:count])
    client = client_of(ana)
    client.get(f"{ROOT}v/1/checks/")
    with django_assert_num_queries(20):
        client.get(f"{ROOT}v/1/checks/")


def test_markup_in_rows_at_fault_is_text(project, ana):
    version = profiled(project, b"t,n\n<script>alert(1)</script>,1\nz,2\n")
    checked(version, ana, {"kind": "values", "columns": ["t"], "allowed": ["<b>"]})
    assert "<script>alert" not in client_of(ana).get(f"{ROOT}v/1/checks/").content.decode()
