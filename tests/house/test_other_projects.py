"""An address that names one project never opens a row of another, though its caller holds every role in the one."""

import json
from datetime import timedelta

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone

from projects.models import Membership
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


class Stranger:
    """Somebody with every role in a project of their own, by page and by token."""

    def __init__(self, world: World) -> None:
        own, eve = make_project(OWN), make_user("eve")
        for role in Role:
            Membership.objects.create(project=own, user=eve, role=role)
        self.page, self.api = (Client(raise_request_exception=False) for _ in range(2))
        self.page.force_login(eve)
        self.token = {"HTTP_AUTHORIZATION": f"Bearer {make_token(eve, None, list(SCOPES))}"}
        self.values = {**world.values, "p": OWN, "projects": OWN, "projects/project": OWN, "workspaces": OWN}
        self.body = {**BODY, "promotion": int(world.values["promotions"]), "run": int(world.values["runs"])}

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
            answer = client.generic(route.method, self.own(route) + question, **sent, **headers)
            for _part in answer if answer.streaming else ():
                pass
            transaction.set_rollback(True)
        return answer.status_code

    def own(self, route: Route) -> str:
        return route.address(self.values)


def test_no_address_of_ones_own_project_opens_a_row_of_another():
    eve = Stranger(make_world())
    named = [route for route in routes() if "project>" in route.pattern and route.pattern.count("<") > 1]
    found = {str(route): eve.status(route) for route in named if str(route) not in NO_ROWS}
    assert len(found) > 300
    assert {route: code for route, code in found.items() if code != 404} == {}
