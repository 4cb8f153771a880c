"""What was refused is an entry too, and no flood of tries becomes a flood of entries."""

import pytest

from projects.models import Event
from tests.factories.projects import make_token, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def sam(churn):
    return make_user("sam", role="viewer", project=churn)


def refused() -> list[Event]:
    return list(Event.objects.filter(verb="access.refused").order_by("seq"))


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def test_a_refused_page_is_an_entry(client, sam, churn):
    client.force_login(sam)
    assert client.get("/p/churn/settings/audit/").status_code == 403
    [event] = refused()
    assert (event.actor_name, event.project, event.result) == ("sam", churn, "refused")
    assert (event.data["method"], event.data["path"], event.data["status"]) == ("GET", "/p/churn/settings/audit/", 403)


def test_a_refused_call_and_a_wrong_token_are_entries(client, sam, churn):
    secret = make_token(sam, churn, ["read"])
    assert client.get("/api/v1/projects/churn/events/", headers=bearer(secret)).status_code == 403
    assert client.get("/api/v1/projects/churn/events/", headers=bearer("mlp_" + "x" * 43)).status_code == 401
    first, second = refused()
    assert (first.actor_kind, first.actor_id, first.project) == ("token", sam.pk, churn)
    assert (second.actor_kind, second.data["status"]) == ("anonymous", 401)
    assert secret not in str(first.entry())


def test_a_refused_tracking_call_is_an_entry(client, sam, churn):
    secret = make_token(sam, churn, ["read"])
    path = "/p/churn/api/2.0/mlflow/experiments/create"
    answer = client.post(path, {"name": "x"}, "application/json", headers=bearer(secret))
    assert answer.status_code == 403
    [event] = refused()
    assert (event.actor_id, event.data["path"]) == (sam.pk, path)


def test_without_a_credential_nothing_is_written(client, churn):
    client.get("/p/churn/settings/audit/")
    client.get("/api/v1/projects/churn/events/")
    assert refused() == []


def test_a_flood_of_tries_is_counted_not_written(client, sam, churn):
    client.force_login(sam)
    for _ in range(30):
        client.get("/p/churn/settings/audit/")
    assert [event.data["tries"] for event in refused()] == [1, 2, 3, 4, 5, 10]
