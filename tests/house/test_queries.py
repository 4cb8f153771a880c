"""Every list asks the database as often for many rows as for one.

All routes that look are asked twice, pages and REST: in a world with a row of each kind, and when three copies of
each row have joined it, of which one brings all that hangs on it. A new list is a route and a new kind is a model, so
neither can be forgotten. What is excused stands below with the reason.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from experiments.metricstore.folding import fold_experiments
from experiments.models import Experiment
from projects.models import ApiToken, Session
from projects.permissions import SCOPES
from tests.factories.projects import make_token
from tests.house.copies import copy_world
from tests.house.kinds import fill, kinds
from tests.house.routes import Route, routes
from tests.house.world import World, make_world

pytestmark = [pytest.mark.django_db, pytest.mark.slow]
P, API = "p/<slug:project>/", "api/v1/projects/<slug:project>/"
MLFLOW, FILES = f"{P}api/2.0/mlflow/", f"{P}api/2.0/mlflow-artifacts/"
VERSION = f"{API}models/<str:name>/versions/<int:number>/"

# No rows of the database are in them.
NOT_ASKED = {
    "readyz": "asks the parts of the portal", **dict.fromkeys(["api/v1/schema/", "api/v1/docs/"], "describes the API"),
    f"{FILES}presigned/<path:file>": "refuses everybody", f"{P}live/": "a line of events",
    **dict.fromkeys([f"{P}api/2.0/<path:rest>", f"{P}api/3.0/<path:rest>"], "there is nothing"),
    **dict.fromkeys(["set-up/<str:secret>/", "sign-in/", "sign-in/code/", "sign-in/sso/return/"], "before the door"),
    **dict.fromkeys(
        [f"{API}predictions/<str:prediction>/", f"{API}promotions/<int:number>/threshold/"], "reads a file of one row"
    ),
    **dict.fromkeys(
        ["from-client/<str:uuid>/", f"{P}comments/<int:comment>/", f"{P}views/<int:view>/", f"{P}trash/datasets/",
         f"{P}runs/<run>/metrics/"], "leads on to a page",
    ),
}  # fmt: skip
# What a route is asked beside its address.
ASKED = {
    f"{API}access/who/": "?permission=run.log",
    f"{API}access/why/": "?permission=run.log&person=everyone",
    f"{API}comments/": "?type=run&number={runs}",
    f"{API}model-comparison/": "?a={models}@{models/v}&b={models}@{models/v}",
    f"{API}models/<str:name>/technical-files/<int:number>/difference/": "?since={technical-files}",
    f"{API}production/": "?as_of={today}",
    f"{P}settings/audit/production/": "?as_of={today}",
    f"{API}runs/<int:run>/artifacts/content/": "?path=notes.txt",
    f"{API}runs/<int:run>/series/": "?key=auc",
    f"{P}runs/<int:run>/series/": "?key=auc",
    f"{P}datasets/<str:name>/checks/new/": "?kind=range",
    f"{P}models/register/run/": "?run={runs}",
    "api/v1/removals/preview/": "?project={projects}",
    "search/": "?q=churn",
    f"{MLFLOW}artifacts/list": "?run_id={from-client}",
    f"{MLFLOW}runs/get": "?run_id={from-client}",
    f"{MLFLOW}experiments/get": "?experiment_id={experiments/experiment}",
    f"{MLFLOW}experiments/get-by-name": "?experiment_name={experiments}",
    f"{MLFLOW}experiments/search": "?max_results=100",
    f"{MLFLOW}metrics/get-history": "?run_id={from-client}&metric_key=auc",
    f"{MLFLOW}metrics/get-history-bulk-interval": "?run_ids={from-client}&metric_key=auc&max_results=5",
    f"{MLFLOW}model-versions/get": "?name={models}&version={models/v}",
    f"{MLFLOW}model-versions/get-download-uri": "?name={models}&version={models/v}",
    f"{MLFLOW}registered-models/alias": "?name={models}&alias=best",
    f"{MLFLOW}registered-models/get": "?name={models}",
    f"{MLFLOW}registered-models/get-latest-versions": "?name={models}",
}
# Questions that MLflow's clients ask by POST.
BODIES = {
    f"{MLFLOW}runs/search": {"experiment_ids": ["{experiments/experiment}"]},
    f"{MLFLOW}experiments/search": {"max_results": 100},
    f"{MLFLOW}logged-models/search": {"experiment_ids": ["{experiments/experiment}"]},
    f"{MLFLOW}registered-models/get-latest-versions": {"name": "{models}"},
}
# With one row these answer that there is nothing to compare yet.
NEEDS_TWO = {f"{P}datasets/<str:name>/diff/", f"{API}datasets/<str:name>/diff/"}
MORE = {f"{P}runs/compare/export/": "draws a chart more for what differs between several runs"}
# Kinds whose rows cannot be copied, or only some: what shows them is asked with those that are there.
ONE_OF_A_KIND: set[str] = set()


@dataclass(frozen=True)
class Answer:
    """How a route answered, and the shapes of the statements it sent."""

    status: int
    sent: Counter[str]


class Caller:
    """The person who holds every role, at a browser and with a token."""

    def __init__(self, world: World) -> None:
        self.values, everyone = world.values | {"today": f"{timezone.now():%Y-%m-%d}"}, world.people["everyone"]
        secret = make_token(everyone, None, list(SCOPES))
        self.page, self.api = Client(), Client(headers={"Authorization": f"Bearer {secret}"})
        self.page.force_login(everyone)
        tomorrow = timezone.now() + timedelta(days=1)  # else each look after a minute notes that it was one
        Session.objects.update(seen_at=tomorrow)
        ApiToken.objects.update(last_used_at=tomorrow)

    def ask(self, route: Route) -> Answer:
        """Ask a route; nothing of it stays."""
        sent: Counter[str] = Counter()
        client = self.api if route.is_api else self.page
        address = route.address(self.values) + ASKED.get(route.pattern, "").format_map(self.values)
        with transaction.atomic(), watched(sent):
            if route.method == "GET":
                answer = client.get(address)
            else:
                answer = client.post(address, self._filled(BODIES[route.pattern]), content_type="application/json")
            for _part in answer if answer.streaming else ():
                pass
            transaction.set_rollback(True)
        return Answer(answer.status_code, sent)

    def _filled(self, body: dict[str, object]) -> str:
        return re.sub(r"\{([\w/-]+)\}", lambda found: self.values[found[1]], json.dumps(body))


@contextmanager
def watched(sent: Counter[str]) -> Iterator[None]:
    """Count the statements by their shape, without their values."""

    def see(execute, sql, params, many, context):
        sent[shape(sql)] += 1
        return execute(sql, params, many, context)

    with connection.execute_wrapper(see):
        yield


def shape(sql: str) -> str:
    """A statement without what differs from row to row."""
    plain = re.sub(r'"s\d+_x\d+"|\'[^\']*\'|\b\d+\b|%s|\?', "?", re.sub(r"\s+", " ", sql))
    return re.sub(r"\?(, ?\?)+", "?", plain)


def lists() -> list[Route]:
    """Routes that only look; MLflow's within a project, where they are the views that stand outside as well."""
    found = [route for route in routes() if route.method == "GET" and route.pattern not in NOT_ASKED]
    inside = [route for route in found if not route.pattern.startswith(("api/2.0/", "api/3.0/"))]
    return inside + [route for route in routes() if route.method == "POST" and route.pattern in BODIES]


def test_no_list_asks_once_a_row():
    world = make_world()
    fill(world)
    fold_experiments(list(Experiment.objects.values_list("pk", flat=True)))  # else the first look does
    caller, chosen = Caller(world), lists()
    one = {route: caller.ask(route) for route in chosen}
    refused = {str(route): answer.status for route, answer in one.items() if answer.status != 200}
    assert {name for name in refused if name.removeprefix("GET ") not in NEEDS_TWO} == set(), refused

    copied = copy_world(1) + copy_world(2, deep=True) + copy_world(3, deep=True, project=True)
    few = {model._meta.label for model in kinds() if copied[model] < 3}
    assert few == ONE_OF_A_KIND

    many = {route: caller.ask(route) for route in chosen}
    # What a process remembers for a while may have been forgotten in between: then the next look is what it costs.
    many |= {route: caller.ask(route) for route in chosen if many[route].sent.total() > one[route].sent.total()}
    assert {str(route): answer.status for route, answer in many.items() if answer.status != 200} == {}
    grown = {
        str(route): many[route].sent - one[route].sent
        for route in chosen
        if many[route].sent.total() > one[route].sent.total() and route.pattern not in NEEDS_TWO | set(MORE)
    }
    assert grown == {}


def test_what_is_excused_is_a_route():
    known = {route.pattern for route in routes()}
    assert set(NOT_ASKED) | set(ASKED) | set(BODIES) | NEEDS_TWO | set(MORE) <= known
