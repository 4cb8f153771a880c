"""Connections of a project: who keeps them, where they may lead, and that no secret is shown."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from mlportal.lib.errors import Conflict, Invalid, Missing
from projects.models import Connection
from projects.services import connections, imports
from tests.factories.projects import make_token
from tests.projects.importing import PASSWORD

pytestmark = [pytest.mark.django_db, pytest.mark.slow]


def test_connections_are_made_by_project_admins_and_their_host_is_checked(scientist, lab_admin, lab):
    facts = {"host": "db.example.org", "database": "d", "user": "u"}
    made = connections.create(lab_admin, project=lab, name="db", kind="postgres", facts=facts, secret=PASSWORD)
    assert made.facts == {**facts, "port": 5432, "sslmode": "prefer"}
    assert PASSWORD not in made.sealed_secret
    for host in ("127.0.0.1", "::1", "169.254.169.254", "localhost", "/run/postgresql"):
        with pytest.raises(Invalid) as caught:
            connections.create(
                lab_admin, project=lab, name="x", kind="postgres", facts=facts | {"host": host}, secret=""
            )
        assert caught.value.field == "host"
    with pytest.raises(Invalid, match="Another host needs its secret"):
        connections.update(lab_admin, connection=made, facts=facts | {"host": "evil.example.org"})
    with pytest.raises(Conflict, match="already"):
        connections.create(lab_admin, project=lab, name="DB", kind="postgres", facts=facts, secret="")
    connections.remove(lab_admin, connection=made)
    assert Connection.objects.get().sealed_secret == ""
    with pytest.raises(Missing):
        imports.start(scientist, project=lab, name="a", kind="postgres", spec={"query": "SELECT 1"}, connection="db")


def test_the_list_of_connections_costs_the_same_queries_for_any_number(lab_admin, lab):
    web = Client()
    web.force_login(lab_admin.user)
    counts = []
    for at in range(3):
        facts = {"endpoint": "https://s3.example.org", "region": "", "access_key": "k"}
        connections.create(lab_admin, project=lab, name=f"lake-{at}", kind="s3", facts=facts, secret=PASSWORD)
        web.get("/p/churn/settings/connections/")
        with CaptureQueriesContext(connection) as seen:
            assert web.get("/p/churn/settings/connections/").content.count(b"lake-") >= at + 1
        counts.append(len(seen))
    assert counts[0] == counts[2]


def test_pages_and_api_of_connections_never_show_the_secret(lab_admin, scientist, lab):
    client = Client()
    client.force_login(lab_admin.user)
    home = "/p/churn/settings/connections/"
    form = {"name": "db", "host": "db.example.org", "port": 5432, "database": "d", "user": "u", "sslmode": "require"}
    refused = client.post(f"{home}new/postgres/", form | {"host": "10.0.0.1", "secret": PASSWORD})
    assert refused.status_code == 422
    assert b"leads to an internal address" in refused.content
    assert PASSWORD.encode() not in refused.content
    assert client.post(f"{home}new/postgres/", form | {"secret": PASSWORD}).status_code == 303
    kept = Connection.objects.get()
    pages = client.get(home).content + client.get(f"{home}{kept.pk}/").content
    assert b"db.example.org" in pages
    assert PASSWORD.encode() not in pages
    api = Client(headers={"authorization": f"Bearer {make_token(lab_admin.user, lab, ['admin'])}"})
    answer = api.get(f"/api/v1/projects/churn/connections/{kept.pk}/")
    assert (answer.json()["facts"]["host"], "secret" in answer.content.decode()) == ("db.example.org", False)
    page = Client()
    page.force_login(scientist.user)
    assert page.get(home).status_code == 403
