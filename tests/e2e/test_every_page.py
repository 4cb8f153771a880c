"""Every page of the portal in a real browser: axe, console, content security policy, and no sideways scrolling.

The pages are the GET routes of the portal itself, so that a new page is looked at without anybody remembering it.
A route that is no page is named below with the reason.
"""

import pytest
from playwright.sync_api import expect

from tests.e2e.browser import Person
from tests.house.routes import Route, routes

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
P = "p/<slug:project>/"
EXPERIMENT, VERSION = f"{P}experiments/<str:experiment>/", f"{P}datasets/<str:name>/v/<int:number>/"
RUN, MODEL = f"{P}runs/<int:run>/", f"{P}logged-models/<str:model>/"

MACHINES = "words for machines"
PART = "a part of a page that is looked at with it"
FILE = "a file to keep"
NUMBERS = "numbers for a chart"
NO_PAGE = {
    **dict.fromkeys(["health", "healthz", "livez", "metrics", "readyz", "version"], MACHINES),
    **dict.fromkeys([f"{P}health", f"{P}version"], MACHINES),
    **dict.fromkeys(["example/", "shell/", f"{RUN}live/", f"{EXPERIMENT}complete/", f"{P}runs/complete/"], PART),
    f"{P}settings/policies/<str:environment>/<int:number>/backtest/": PART,
    **dict.fromkeys([f"{EXPERIMENT}compare/importance/", f"{P}runs/compare/importance/"], PART),
    **dict.fromkeys([f"{P}promotions/<int:number>/progress/", f"{P}batches/<int:batch>/progress/"], PART),
    **dict.fromkeys([f"{VERSION}checks/progress/", f"{VERSION}progress/"], PART),
    **dict.fromkeys([f"{P}jobs/<int:job>/live/", f"{P}jobs/<int:job>/log/"], PART),
    f"{P}datasets/imports/<int:number>/progress/": PART,
    f"{P}models/<str:name>/v/<int:number>/explain/": PART,
    f"{P}models/<str:name>/v/<int:number>/reproduce/": PART,
    f"{P}models/<str:name>/v/<int:number>/reproductions/<int:reproduction>/": FILE,
    **dict.fromkeys([f"{P}experiments/<experiment>/export.csv", f"{P}runs/export.csv"], FILE),
    **dict.fromkeys([f"{EXPERIMENT}compare/data.csv", f"{P}runs/compare/data.csv"], FILE),
    f"{P}models/<str:name>/v/<int:number>/export/": FILE,
    **dict.fromkeys([f"{P}reports/<int:report>/export/", f"{P}monitoring/predictions/export/"], FILE),
    **dict.fromkeys([f"{VERSION}download/", f"{VERSION}rows/export/", f"{P}jobs/<int:job>/log.txt"], FILE),
    **dict.fromkeys([f"{RUN}raw/<path:path>", f"{RUN}zip/", f"{MODEL}raw/<path:path>", f"{MODEL}zip/"], FILE),
    **dict.fromkeys([f"{EXPERIMENT}compare/facts/", f"{EXPERIMENT}compare/series/", f"{RUN}series/"], NUMBERS),
    **dict.fromkeys([f"{P}runs/compare/facts/", f"{P}runs/compare/series/"], NUMBERS),
    f"{P}models/<str:name>/v/<int:number>/card/files/<slug:form>/": FILE,
    f"{P}models/<str:name>/technical-files/<int:number>/download/": FILE,
    f"{P}models/<str:name>/v/<int:number>/technical-file/issues/": PART,
    "admin/removals/<int:number>/record/": FILE,
    f"{P}reports/<int:report>/blocks/<str:block>/": NUMBERS,
    f"{P}live/": "a line of events", f"{P}runs/<run>/metrics/": "leads on to a page",
}  # fmt: skip
# What a page is asked, and the answer where it is not 200.
ASKED = {f"{P}datasets/<str:name>/checks/new/": "?kind=range", f"{P}models/register/run/": "?run=1"}
ANSWERS = {
    "set-up/<str:secret>/": 404,  # a link that works once
    "sign-in/sso/return/": 404,  # the portal of these tests trusts no provider
    f"{P}monitoring/predictions/<uuid:prediction>/": 404,
    f"{P}predictions/<uuid:prediction>/explanation/": 404,
    f"{P}datasets/<str:name>/diff/": 409,  # there is only one version
}
# The same pages in states that the plain address does not show.
STATES = {
    "run-rich": "/p/churn/runs/{rich}/",
    "run-files": "/p/churn/runs/{rich}/artifacts/",
    "compare-curves": "/p/churn/experiments/curves/compare/?runs={curves}",
    "compare-300": "/p/lab/experiments/everything/compare/?q=metrics.auc+%3E%3D+0",
    "runs-grouped": "/p/lab/experiments/everything/?group=params.depth",
    "runs-none": "/p/lab/experiments/everything/?q=metrics.auc+%3E+9",
    "runs-wrong": "/p/lab/experiments/everything/?q=state:gone",
    "launch": "/p/lab/jobs/new/?dataset=table-0001@1",
    "search": "/search/?q=churn",
    "report-charts": "/p/churn/reports/{charted}/",
    "report-edit": "/p/churn/reports/{charted}/?edit=1",
    "monitoring-drifted": "/p/churn/monitoring/?endpoint=a-drifted&range=1h",
    "alert-drifted": "/p/churn/alerts/{drifted}/",
    **{f"check-{kind}": f"/p/churn/datasets/people/checks/new/?kind={kind}" for kind in ("sql", "values", "freshness")},
    **{f"from-{source}": f"/p/churn/datasets/new/{source}/" for source in ("s3", "postgres", "folder")},
    **{f"channel-{kind}": f"/p/churn/settings/channels/new/{kind}/" for kind in ("webhook", "email")},
    "connection-s3": "/p/churn/settings/connections/new/s3/",
}
OPENED: set[str] = set()  # menus and dialogs that were looked at: many pages have the same
PAGES = sorted({route.pattern for route in routes() if route.method == "GET" and not route.is_api} - set(NO_PAGE))


TABLES = """() => [...document.querySelectorAll('[data-chart], .pc')].map((plot) => {
  const figure = plot.closest('[data-figure], figure, section');
  return Boolean(figure.querySelector("[data-figure-act='table'], details.astable"));
})"""


def every_chart_has_its_table(person: Person) -> None:
    """Press "show as table" of each chart of the page, and find rows in what it opens."""
    page = person.page
    assert all(page.evaluate(TABLES)), "a chart without a table"
    for button in page.locator("[data-figure-act='table']").all():
        figure = button.locator("xpath=ancestor::*[@data-figure][1]")
        button.focus()
        page.keyboard.press("Enter")
        expect(figure.locator(".figuretable tbody tr").first).to_be_visible()
        expect(button).to_have_attribute("aria-pressed", "true")
        page.keyboard.press("Enter")
        expect(figure.locator(".figuretable")).to_have_count(0)
    for details in page.locator("details.astable").all():
        details.locator("summary").press("Enter")
        expect(details.locator("tbody tr").first).to_be_visible()


def view_all(person: Person, name: str) -> None:
    """Look at an open page at a desk and at a phone, in light and dark, at its tables, menus and dialogs."""
    person.look(name)
    every_chart_has_its_table(person)
    person.open_all(name, OPENED)


@pytest.mark.parametrize("pattern", PAGES)
def test_page(person, stage, pattern):
    address = Route("GET", pattern).address(stage.values) + ASKED.get(pattern, "")
    status = ANSWERS.get(pattern, 200)
    person.expected = {status}
    answer = person.page.goto(f"{person.url}{address}")
    assert answer.status == status, answer.text()[:2000]
    view_all(person, pattern)


@pytest.mark.parametrize("name", STATES)
def test_page_in_a_certain_state(person, stage, name):
    person.expected = set()
    answer = person.page.goto(person.url + STATES[name].format_map(stage.values))
    assert answer.status == 200, answer.text()[:2000]
    view_all(person, name)


def test_what_is_called_no_page_is_a_route(stage):
    known = {route.pattern for route in routes()}
    assert set(NO_PAGE) | set(ASKED) | set(ANSWERS) <= known
