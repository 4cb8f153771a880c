"""The pages of predictions."""

from math import inf

import pytest
from django.test import Client

from mlportal.lib import leftovers
from monitoring.models import Prediction
from monitoring.pipeline import ship
from tests.factories.projects import make_project, make_user
from tests.monitoring import log

PAGE = "/p/churn/monitoring/predictions/"


@pytest.fixture
def project(db):
    return make_project()


@pytest.fixture
def client(project):
    client = Client()
    client.force_login(make_user("ana", role="scientist", project=project))
    return client


def predicted(project, folder, rows, **changes):
    sent = log.line(rows, **changes)
    log.write(folder, [sent], log.header(project))
    ship.ship(folder)
    return sent["ids"]


def shown(answer):
    return [str(row.pk) for row in answer.context["rows"]]


def test_empty_page_says_what_to_do(client):
    assert "Ask an endpoint for a prediction" in client.get(PAGE).content.decode()


def test_predictions_that_could_not_be_logged_are_told(project, client, tmp_path):
    gap = {"kind": "gap", "source": 11, "at": log.NOON_MS, "since": log.NOON_MS, "rows": 1234}
    log.write(tmp_path, [gap], log.header(project))
    ship.ship(tmp_path)
    told = "1,234 predictions of the last 7 days are missing here"
    assert told in client.get(PAGE).content.decode()
    assert told in client.get(PAGE, {"endpoint": "churn-production"}).content.decode()
    assert told not in client.get(PAGE, {"endpoint": "other"}).content.decode()


def test_pages_go_both_ways_without_a_gap(project, client, tmp_path):
    ids = sorted(predicted(project, tmp_path, 120), reverse=True)
    first = client.get(PAGE)
    second = client.get(PAGE + first.context["next"])
    third = client.get(PAGE + second.context["next"])
    assert (shown(first), shown(second), shown(third)) == (ids[:50], ids[50:100], ids[100:])
    assert (first.context["previous"], third.context["next"]) == ("", "")
    back = client.get(PAGE + third.context["previous"])
    assert shown(back) == ids[50:100]
    assert shown(client.get(PAGE + back.context["previous"])) == ids[:50]


def test_search_finds_by_both_ids(project, client, tmp_path):
    ids = predicted(project, tmp_path, 3, refs=["order-1", "order-2", "order-2"])
    assert shown(client.get(PAGE, {"q": ids[1]})) == [ids[1]]
    assert shown(client.get(PAGE, {"q": "order-2"})) == sorted(ids[1:], reverse=True)
    assert "Nothing found" in client.get(PAGE, {"q": "order-9"}).content.decode()
    assert shown(client.get(PAGE, {"endpoint": "other"})) == []
    assert client.get(PAGE, {"q": "<script>", "before": "x"}).status_code == 200


def test_one_prediction_shows_features_or_why_not(project, client, tmp_path):
    (identifier,) = predicted(project, tmp_path, 1)
    page = client.get(f"{PAGE}{identifier}/").content.decode()
    assert "Probability of yes" in page
    assert '<th scope="row">age</th><td class="n">40.0</td>' in page
    leftovers.remove(Prediction.objects.get().chunk.sha256, claimed_before=inf)
    page = client.get(f"{PAGE}{identifier}/")
    assert (page.status_code, "The features cannot be read" in page.content.decode()) == (200, True)


def test_outsiders_and_viewers_see_nothing(project, client, tmp_path):
    (identifier,) = predicted(project, tmp_path, 1)
    viewer, outsider = Client(), Client()
    viewer.force_login(make_user("vic", role="viewer", project=project))
    outsider.force_login(make_user("eve"))
    assert [viewer.get(address).status_code for address in (PAGE, f"{PAGE}{identifier}/")] == [403, 403]
    assert [outsider.get(address).status_code for address in (PAGE, f"{PAGE}{identifier}/")] == [404, 404]
    assert client.get(f"{PAGE}019a0000-0000-7000-8000-000000000000/").status_code == 404
