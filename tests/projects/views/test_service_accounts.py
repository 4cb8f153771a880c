import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from projects.models import ApiToken, User
from projects.services import service_accounts
from tests.factories.projects import PASSWORD, actor, make_project, make_token, make_user

pytestmark = pytest.mark.django_db
PAGE = "/p/churn/settings/service-accounts/"


@pytest.fixture
def admin(churn):
    return make_user("ada", role="admin", project=churn)


@pytest.fixture
def mei(churn):
    return make_user("mei", role="scientist", project=churn)


def test_an_account_from_its_making_to_its_end_on_pages(churn, admin, mei, client):
    client.login(username="ada", password=PASSWORD)
    assert "No service account yet" in client.get(PAGE).content.decode()
    assert client.post(PAGE, {"name": "ci", "owner": "nobody", "role": "viewer"}).status_code == 422
    assert client.post(PAGE, {"name": "ci", "owner": "mei", "role": "admin"}).status_code == 422
    assert client.post(PAGE, {"name": "ci", "owner": "mei", "role": "scientist"}).status_code == 303
    account = User.objects.get(username="churn.ci")
    one = f"{PAGE}{account.pk}/"
    assert client.post(one, {"name": "build", "scopes": [], "days": "90"}).status_code == 422
    minted = client.post(one, {"name": "build", "scopes": ["read"], "days": "90"})
    assert minted.status_code == 201
    assert "mlp_" in minted.content.decode()
    assert "mlp_" not in client.get(PAGE).content.decode()
    assert "service account" in client.get("/p/churn/settings/members/").content.decode()
    assert client.post(f"{one}owner/", {"owner": "churn.ci"}).status_code == 422
    assert client.post(f"{one}owner/", {"owner": "ada"}).status_code == 303
    token = ApiToken.objects.get(user=account)
    assert client.post(f"{one}tokens/{token.pk}/revoke/").status_code == 303
    assert client.post(f"{one}state/").status_code == 303
    assert "Enable the account" in client.get(one).content.decode()
    assert client.post(f"{one}state/", {"active": "1"}).status_code == 303


def test_members_look_and_others_see_nothing(churn, admin, mei, client):
    account = service_accounts.create(actor(admin), project=churn, name="ci", owner=mei, role="viewer")
    client.force_login(mei)
    page = client.get(f"{PAGE}{account.pk}/").content.decode()
    assert "churn.ci" in page
    assert "Mint" not in page
    assert client.post(f"{PAGE}{account.pk}/state/").status_code == 403
    client.force_login(make_user("outsider"))
    assert client.get(f"{PAGE}{account.pk}/").status_code == 404
    other = make_project("other")
    client.force_login(make_user("bo", role="admin", project=other))
    assert client.get(f"/p/other/settings/service-accounts/{account.pk}/").status_code == 404


def test_the_page_says_that_the_owner_has_left(churn, admin, mei, client):
    account = service_accounts.create(actor(admin), project=churn, name="ci", owner=mei, role="viewer")
    churn.memberships.filter(user=mei).delete()
    client.force_login(admin)
    assert "has left" in client.get(PAGE).content.decode()
    assert "has left the project" in client.get(f"{PAGE}{account.pk}/").content.decode()
    assert "nobody answers for" in client.get("/inbox/").content.decode()
    client.force_login(make_user("vi", role="viewer", project=churn))
    assert "nobody answers for" not in client.get("/inbox/").content.decode()


def test_the_list_asks_as_often_for_three_as_for_one(churn, admin, mei, client):
    client.force_login(admin)

    def queries():
        with CaptureQueriesContext(connection) as seen:
            assert client.get(PAGE).status_code == 200
        return len(seen)

    service_accounts.create(actor(admin), project=churn, name="a", owner=mei, role="viewer")
    client.get(PAGE)
    one = queries()
    for name in ("b", "c"):
        service_accounts.create(actor(admin), project=churn, name=name, owner=mei, role="viewer")
    assert queries() == one


def test_the_api_of_service_accounts(churn, admin, mei, client):
    here = {"Authorization": f"Bearer {make_token(admin, churn, ['read', 'admin'])}"}
    api = "/api/v1/projects/churn/service-accounts/"

    def send(method, url="", data=None, headers=here):
        return getattr(client, method)(api + url, data, content_type="application/json", headers=headers)

    made = send("post", data={"name": "ci", "owner": "mei", "role": "ops"})
    assert made.status_code == 201, made.json()
    assert made.json() | {"id": 0, "created_at": ""} == {
        "id": 0, "username": "churn.ci", "is_active": True, "owner": "mei", "owner_left": False, "live_tokens": 0,
        "token_used_at": None, "created_at": "",
    }  # fmt: skip
    assert send("post", data={"name": "ci", "owner": "mei", "role": "ops"}).status_code == 409
    assert send("post", data={"name": "x", "owner": "mei", "role": "admin"}).status_code == 400
    new = send("post", "churn.ci/tokens/", {"name": "build", "scopes": ["read"]}).json()
    mine = {"Authorization": f"Bearer {new['secret']}"}
    assert send("get", "churn.ci/", headers=mine).json()["live_tokens"] == 1
    assert send("get", "churn.ci/tokens/", headers=mine).status_code == 403
    assert send("get", "churn.ci/tokens/").json()["results"][0]["minted_by"] == "ada"
    assert send("patch", "churn.ci/", {"owner": "ada"}).json()["owner"] == "ada"
    assert send("patch", "churn.ci/", {}).status_code == 400
    assert send("delete", f"churn.ci/tokens/{new['id']}/").status_code == 204
    assert send("get", "churn.ci/", headers=mine).status_code == 401
    assert send("patch", "churn.ci/", {"is_active": False}).json()["is_active"] is False
    assert [row["username"] for row in send("get").json()["results"]] == ["churn.ci"]
    assert send("get", "mei/").status_code == 404
    client.force_login(admin)
    log = client.get("/p/churn/settings/audit/").content.decode()
    assert "for mei" in log  # what the account was refused, on behalf of who answered for it then
