"""REST routes of account, users, projects, members, tokens and the audit log."""

import pytest

from projects.models import ApiToken, IdempotencyKey, Membership, Project, User
from tests.factories.projects import make_project, make_token, make_user

pytestmark = pytest.mark.django_db
HERE = "/api/v1/projects/churn/"


@pytest.fixture
def root(db):
    return make_user("root", is_site_admin=True)


@pytest.fixture
def churn(root):
    return make_project()


@pytest.fixture
def ana(churn):
    return make_user("ana", role="admin", project=churn)


class Api:
    def __init__(self, client, token: str) -> None:
        self.client, self.headers = client, {"Authorization": f"Bearer {token}"}

    def __call__(self, method: str, path: str, body: object = None, **headers: str):
        return self.client.generic(
            method, path, b"" if body is None else json_bytes(body), "application/json",
            headers={**self.headers, **headers},
        )  # fmt: skip


def json_bytes(body: object) -> bytes:
    import json

    return json.dumps(body).encode()


@pytest.fixture
def as_ana(client, ana, churn):
    return Api(client, make_token(ana, churn, ["read", "admin"]))


@pytest.fixture
def as_root(client, root):
    return Api(client, make_token(root, None, ["read", "admin"]))


def test_account_says_who_and_what(as_ana, ana):
    body = as_ana("GET", "/api/v1/account/").json()
    assert (body["username"], body["scopes"], body["project"]) == ("ana", ["read", "admin"], "churn")
    assert "password" not in body


def test_projects_are_the_callers(as_ana, as_root, root):
    make_project("other", owner=root)
    assert [row["slug"] for row in as_ana("GET", "/api/v1/projects/").json()["results"]] == ["churn"]
    assert [row["slug"] for row in as_root("GET", "/api/v1/projects/").json()["results"]] == ["other", "churn"]


def test_create_project(as_root, as_ana):
    made = as_root("POST", "/api/v1/projects/", {"name": "Card fraud", "owner": "ana"})
    assert (made.status_code, made.json()["slug"], made.json()["created_by"]) == (201, "card-fraud", "ana")
    assert as_ana("POST", "/api/v1/projects/", {"name": "Mine"}).status_code == 403
    wrong = as_root("POST", "/api/v1/projects/", {"name": "X1", "owner": "nobody"})
    assert (wrong.status_code, wrong.json()["field"]) == (400, "owner")


def test_create_project_once_per_key(as_root):
    answers = [
        as_root("POST", "/api/v1/projects/", {"name": "Fraud"}, **{"Idempotency-Key": "k1"}).json() for _ in range(2)
    ]
    assert answers[0] == answers[1]
    assert Project.objects.count() == 1


def test_edit_and_archive_project(as_ana):
    assert as_ana("PATCH", HERE, {"description": "Who leaves."}).json()["description"] == "Who leaves."
    assert as_ana("PATCH", HERE, {"name": ""}).status_code == 400
    assert as_ana("DELETE", HERE).status_code == 204
    assert as_ana("GET", HERE).status_code == 404


def test_members(as_ana):
    make_user("mei")
    made = as_ana("POST", f"{HERE}members/", {"user": "mei", "role": "viewer"})
    assert (made.status_code, made.json()["role"]) == (201, "viewer")
    changed = as_ana("PATCH", f"{HERE}members/{made.json()['id']}/", {"role": "ops"})
    assert changed.json()["role"] == "ops"
    assert as_ana("PATCH", f"{HERE}members/{changed.json()['id']}/", {"role": "god"}).status_code == 400
    assert [row["user"] for row in as_ana("GET", f"{HERE}members/").json()["results"]] == ["mei", "ana"]
    assert as_ana("DELETE", f"{HERE}members/{changed.json()['id']}/").status_code == 204
    own = Membership.objects.get(user__username="ana")
    assert as_ana("DELETE", f"{HERE}members/{own.pk}/").status_code == 409


def test_members_of_another_project_are_not_found(as_ana, root):
    other = make_project("other", owner=root)
    member = make_user("mei", role="viewer", project=other).memberships.get()
    assert as_ana("DELETE", f"{HERE}members/{member.pk}/").status_code == 404


def test_tokens(as_ana, client):
    made = as_ana("POST", f"{HERE}tokens/", {"name": "ci", "scopes": ["read"], "days": 7}, **{"Idempotency-Key": "k"})
    assert made.status_code == 201
    assert Api(client, made.json()["secret"])("GET", "/api/v1/account/").json()["scopes"] == ["read"]
    assert IdempotencyKey.objects.count() == 0  # the secret is kept nowhere
    listed = as_ana("GET", f"{HERE}tokens/").json()["results"]
    assert [(row["name"], "secret" in row) for row in listed] == [("ci", False), ("test", False)]
    assert as_ana("DELETE", f"{HERE}tokens/{made.json()['id']}/").status_code == 204
    assert Api(client, made.json()["secret"])("GET", "/api/v1/account/").status_code == 401


@pytest.mark.parametrize(
    "change", [{"days": 366}, {"days": "x"}, {"scopes": []}, {"scopes": ["root"]}, {"name": "<b>"}, {"name": None}]
)
def test_tokens_refuse(as_ana, change):
    before = ApiToken.objects.count()
    assert as_ana("POST", f"{HERE}tokens/", {"name": "ci", "scopes": ["read"], **change}).status_code == 400
    assert ApiToken.objects.count() == before


def test_a_token_makes_no_stronger_one(as_ana):
    assert as_ana("POST", f"{HERE}tokens/", {"name": "ci", "scopes": ["train"]}).status_code == 403


def test_events(as_ana):
    as_ana("POST", f"{HERE}tokens/", {"name": "ci", "scopes": ["read"]})
    as_ana("PATCH", HERE, {"name": "Churn 2"})
    rows = as_ana("GET", f"{HERE}events/").json()["results"]
    assert [row["verb"] for row in rows] == ["project.edited", "token.created"]
    assert rows[0]["prev_hash"] == rows[1]["hash"]
    assert [row["verb"] for row in as_ana("GET", f"{HERE}events/?verb=token").json()["results"]] == ["token.created"]
    assert as_ana("GET", f"{HERE}events/?since=yesterday").status_code == 400


def test_events_need_their_own_right(client, churn):
    sam = make_user("sam", role="scientist", project=churn)
    assert Api(client, make_token(sam, churn, ["read", "admin"]))("GET", f"{HERE}events/").status_code == 403


def test_users(as_root, as_ana):
    made = as_root("POST", "/api/v1/users/", {"username": "mei", "email": "mei@example.org"})
    assert (made.status_code, len(made.json()["generated_password"])) == (201, 23)
    assert as_root("POST", "/api/v1/users/", {"username": "Mei", "email": "m@example.org"}).status_code == 409
    assert as_root("GET", "/api/v1/users/mei/").json()["email"] == "mei@example.org"
    assert as_root("PATCH", "/api/v1/users/mei/", {"is_active": False}).json()["is_active"] is False
    assert not User.objects.get(username="mei").is_active
    assert as_root("PATCH", "/api/v1/users/mei/", {"is_active": "maybe"}).status_code == 400
    assert as_ana("GET", "/api/v1/users/").status_code == 403


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("path", ["members/", "tokens/", "events/"])
def test_lists_take_the_same_queries(as_ana, churn, count, path, django_assert_num_queries):
    for number in range(count):
        make_user(f"user{number}", role="viewer", project=churn)
        as_ana("POST", f"{HERE}tokens/", {"name": f"t{number}", "scopes": ["read"]})
    with django_assert_num_queries(2):
        as_ana("GET", f"{HERE}{path}")
