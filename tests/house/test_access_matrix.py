"""Every route against every kind of caller, as committed in ``access_matrix.txt``.

Run with ``WRITE_ACCESS_MATRIX=1`` to write the file anew; read the difference before you commit it.
A cell says what the door did, not what the body deserved: ``login`` (sent to sign in), ``401``, ``403``,
``404`` (may not even know), or ``ok`` (let in: the answer then depends on the input).
"""

import os
from pathlib import Path
from zlib import crc32

import pytest
from django.db import transaction
from django.test import Client

from projects.permissions import SCOPES, Role
from tests.factories.projects import make_token
from tests.house.routes import Route, routes
from tests.house.world import World, make_world

FILE = Path(__file__).parent / "access_matrix.txt"
AGAIN = bool(os.environ.get("ONLY_WHAT_USES_A_DATABASE"))  # every cell was asked on the other database
PEOPLE = ["anonymous", "outsider", *(role.value for role in Role), "site"]
pytestmark = [pytest.mark.django_db, pytest.mark.slow]


def word(status: int, location: str) -> str:
    if status in (301, 302) and "/sign-in/" in location:
        return "login"
    return str(status) if status in (401, 403, 404, 500) else "ok"


def ask(client: Client, route: Route, world: World, **headers: str) -> str:
    """What the door answers; nothing of it stays."""
    with transaction.atomic():
        body = {"data": b"{}", "content_type": "application/json"} if route.method != "GET" else {}
        answer = client.generic(route.method, route.address(world.values), **body, **headers)
        found = word(answer.status_code, answer.headers.get("Location", ""))
        for _part in answer if answer.streaming else ():
            pass  # a download closes its file at its end
        transaction.set_rollback(True)
    return found


def page_callers(world: World) -> dict[str, Client]:
    found = {"anonymous": Client(raise_request_exception=False)}
    for name in PEOPLE[1:]:
        found[name] = Client(raise_request_exception=False)
        found[name].force_login(world.people[name])
    return found


def page_cells(route: Route, world: World, callers: dict[str, Client]) -> dict[str, str]:
    return {name: ask(caller, route, world) for name, caller in callers.items()}


def api_callers(world: World) -> dict[str, str]:
    """Tokens with every scope for each person, and with one scope each for one who holds every role."""
    found = {"anonymous": ""}
    for name in PEOPLE[1:]:
        found[name] = make_token(world.people[name], None, list(SCOPES))
    everyone = world.people["everyone"]
    for scope in SCOPES:
        found[f"scope:{scope}"] = make_token(everyone, world.project, [scope])
    return found


def api_cells(route: Route, world: World, callers: dict[str, str]) -> dict[str, str]:
    client = Client(raise_request_exception=False)
    return {
        name: ask(client, route, world, **({"HTTP_AUTHORIZATION": f"Bearer {secret}"} if secret else {}))
        for name, secret in callers.items()
    }


def committed() -> dict[str, dict[str, str]]:
    found = {}
    for line in FILE.read_text().splitlines():
        route, _, cells = line.partition(" | ")
        found[route] = dict(cell.rsplit("=", 1) for cell in cells.split())
    return found


def one_of_each(route: str, cells: dict[str, str]) -> dict[str, str]:
    """One caller for each answer of a route, another from route to route."""
    by_answer: dict[str, list[str]] = {}
    for name, answer in cells.items():
        by_answer.setdefault(answer, []).append(name)
    turn = crc32(route.encode())
    return {names[turn % len(names)]: answer for answer, names in by_answer.items()}


def test_every_route_answers_every_caller_as_committed():
    world = make_world()
    pages, tokens = page_callers(world), api_callers(world)
    expected, found = committed(), {}
    if AGAIN:
        expected = {route: one_of_each(route, cells) for route, cells in expected.items()}
    for route in routes():
        callers, cells = (tokens, api_cells) if route.is_api else (pages, page_cells)
        asked = expected.get(str(route), callers) if AGAIN else callers
        found[str(route)] = cells(route, world, {name: callers[name] for name in asked})
    assert {route: cells for route, cells in found.items() if "500" in cells.values()} == {}
    if os.environ.get("WRITE_ACCESS_MATRIX") and not AGAIN:
        lines = (f"{route} | {' '.join(map('='.join, cells.items()))}" for route, cells in found.items())
        FILE.write_text("\n".join(lines) + "\n")
        expected = committed()
    assert list(found.items()) == list(expected.items())


# Open to everyone on purpose: signing in, setting up, health, and the description of the API.
OPEN = {
    "GET api/v1/docs/", "GET api/v1/schema/", "GET healthz", "GET livez", "GET readyz", "GET metrics",
    "GET health", "GET version", "GET api/3.0/mlflow/server-info",
    "GET p/<slug:project>/health", "GET p/<slug:project>/version", "GET p/<slug:project>/api/3.0/mlflow/server-info",
    "GET sign-in/", "POST sign-in/", "GET sign-in/code/", "POST sign-in/code/",
    "GET set-up/<str:secret>/", "POST set-up/<str:secret>/",
}  # fmt: skip


def test_only_the_named_routes_let_an_anonymous_caller_in():
    let_in = {route for route, cells in committed().items() if cells["anonymous"] == "ok"}
    assert let_in <= OPEN, let_in - OPEN


# POST because they take time or much to ask, but they only look: hash a manifest again, try a rule on what is stored.
CHECKS = {
    "POST api/v1/projects/<slug:project>/alert-rules/backtest/",
    "POST p/<slug:project>/models/<str:name>/v/<int:number>/verify/",
    "POST api/v1/projects/<slug:project>/models/<str:name>/versions/<int:number>/verify/",
}
# MLflow's clients ask some questions by POST, and are told by POST that files are sent in one piece.
QUESTIONS = {
    f"POST {prefix}api/2.0/{path}"
    for prefix in ("", "p/<slug:project>/")
    for path in (
        *(f"mlflow/{noun}/search" for noun in ("experiments", "logged-models", "runs")),
        "mlflow/registered-models/get-latest-versions",
        *(f"mlflow-artifacts/mpu/{step}/<path:file>" for step in ("create", "complete", "abort")),
    )
}
# Everyone makes and ends their own tokens, which can do no more than they can, keeps stars and views, chooses runs.
OWN = {
    "POST api/v1/projects/<slug:project>/tokens/",
    "DELETE api/v1/projects/<slug:project>/tokens/<int:pk>/",
    "POST api/v1/projects/<slug:project>/stars/",
    "DELETE api/v1/projects/<slug:project>/stars/<slug:kind>/<int:number>/",
    "POST p/<slug:project>/things/<slug:kind>/<int:number>/star/",
    "POST api/v1/projects/<slug:project>/views/",
    "POST p/<slug:project>/runs/views/",
    "POST p/<slug:project>/runs/selection/",
    "POST p/<slug:project>/experiments/<str:experiment>/views/",
    "POST p/<slug:project>/views/<int:view>/change/",
    "POST p/<slug:project>/experiments/<str:experiment>/selection/",
}


def test_an_outsider_learns_nothing_about_a_project():
    inside = {route: cells for route, cells in committed().items() if "<slug:project>" in route and route not in OPEN}
    assert len(inside) > 50
    assert {route: cells["outsider"] for route, cells in inside.items() if cells["outsider"] != "404"} == {}


def test_a_viewer_changes_nothing_in_a_project():
    changes = {
        route
        for route, cells in committed().items()
        if "<slug:project>" in route and not route.startswith("GET") and cells["viewer"] == "ok"
    }
    assert changes - QUESTIONS == CHECKS | OWN


def test_a_read_token_changes_nothing():
    changes = {
        route for route, cells in committed().items()
        if not route.startswith("GET") and cells.get("scope:read") == "ok"
    }  # fmt: skip
    assert changes - QUESTIONS == {route for route in CHECKS if "api/" in route}
