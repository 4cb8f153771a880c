"""Two questions to every route: does it open a row of another project than that of its address; does looking write?"""

import json
import re
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from projects.models import Membership, User
from projects.permissions import SCOPES, Role
from tests.factories.projects import make_project, make_token, make_user
from tests.house.routes import Route, routes
from tests.house.world import World, make_world

pytestmark = [pytest.mark.django_db, pytest.mark.slow]
OWN = "evil"
# What some routes ask for before they look for the row; the numbers and names are the other project's.
BODY = {
    "verdict": "approve", "reason": "To see what is there.", "name": "Is it better?", "scopes": ["read"],
    "hypothesis": "It is right more often.", "metric": "correct", "minimum_effect": 0.01, "decision": "keep",
    "threshold": 0.5, "trigger": "drift", "version": 1,
}  # fmt: skip
EXACT = {
    "access-requests/<int:pk>/answer/": {"verdict": "grant"},
    "alerts/<int:number>/assign/": {"user": None},
    "alerts/<int:number>/silence/": {"until": (timezone.now() + timedelta(hours=1)).isoformat()},
    "folders/<int:folder>/roles/": {"user": "eve", "role": "viewer"},
}
# Names that are the caller's to choose, words of the portal itself, and calls that are told to everybody as not there.
NO_ROWS = {
    "POST api/v1/projects/<slug:project>/datasets/<str:name>/versions/",  # makes a dataset of one's own by this name
    "GET p/<slug:project>/api/3.0/mlflow/workspaces/<slug:name>",  # the name is one's own project
    *(f"{verb} p/<slug:project>/datasets/new/<slug:source>/" for verb in ("GET", "POST")),
    *(f"{verb} p/<slug:project>/settings/channels/new/<slug:kind>/" for verb in ("GET", "POST")),
    *(f"{verb} p/<slug:project>/settings/connections/new/<slug:store>/" for verb in ("GET", "POST")),
    *(f"POST p/<slug:project>/api/2.0/mlflow-artifacts/mpu/{step}/<path:file>" for step in ("abort", "complete")),
    "POST p/<slug:project>/api/2.0/mlflow-artifacts/mpu/create/<path:file>",
    "GET p/<slug:project>/api/2.0/mlflow-artifacts/presigned/<path:file>",
}
# What a GET may note: that a copy left the portal or personal data was read, when a token was last used, which mentions
# were seen, the end of requests for access that lapsed, a key offered for a second factor, a fold of metrics.
NOTES = {
    "projects_accessrequest", "projects_apitoken", "projects_chainhead", "projects_event", "projects_mention",
    "projects_objectstate", "projects_particulars", "projects_session", "experiments_metricchunk",
}  # fmt: skip
WRITE = re.compile(r'\s*(?:INSERT INTO|UPDATE|DELETE FROM)\s+"?(\w+)')


class Caller:
    """Somebody with a browser and with a token of every scope."""

    def __init__(self, user: User, values: dict[str, str], body: dict[str, object]) -> None:
        self.page, self.api = (Client(raise_request_exception=False) for _ in range(2))
        self.page.force_login(user)
        self.token = {"HTTP_AUTHORIZATION": f"Bearer {make_token(user, None, list(SCOPES))}"}
        self.values, self.body = values, body

    def status(self, route: Route) -> int:
        """What the route answers with the other project's numbers and names; nothing of it stays."""
        found = self._ask(route, {})
        if found != 400:
            return found
        exact = next((body for ending, body in EXACT.items() if route.pattern.endswith(ending)), None)
        return self._ask(route, exact or self.body)

    def _ask(self, route: Route, body: dict[str, object]) -> int:
        client, headers = (self.api, self.token) if route.is_api else (self.page, {})
        sent = {"data": json.dumps(body), "content_type": "application/json"} if route.method != "GET" else {}
        with transaction.atomic():
            question = "?since=1" if body and route.method == "GET" else ""
            answer = client.generic(route.method, route.address(self.values) + question, **sent, **headers)
            for _part in answer if answer.streaming else ():
                pass
            transaction.set_rollback(True)
        return answer.status_code

    def writes(self, route: Route) -> set[str]:
        """Which tables a route writes to."""
        with CaptureQueriesContext(connection) as seen:
            self._ask(route, {})
        return {found[1] for query in seen.captured_queries if (found := WRITE.match(query["sql"]))}


def stranger(world: World) -> Caller:
    """Somebody with every role in a project of their own, whose addresses name rows of the other one."""
    own, eve = make_project(OWN), make_user("eve")
    for role in Role:
        Membership.objects.create(project=own, user=eve, role=role)
    values = {**world.values, "p": OWN, "projects": OWN, "projects/project": OWN, "workspaces": OWN}
    return Caller(eve, values, {**BODY, "promotion": int(world.values["promotions"]), "run": int(world.values["runs"])})


def test_every_route_keeps_to_its_project_and_looking_changes_nothing():
    world = make_world()
    eve, everyone = stranger(world), Caller(world.people["everyone"], world.values, {})
    named = [route for route in routes() if "project>" in route.pattern and route.pattern.count("<") > 1]
    opened = {str(route): eve.status(route) for route in named if str(route) not in NO_ROWS}
    assert len(opened) > 300
    assert {route: code for route, code in opened.items() if code != 404} == {}
    wrote = {str(route): everyone.writes(route) - NOTES for route in routes() if route.method == "GET"}
    assert {route: tables for route, tables in wrote.items() if tables} == {}
