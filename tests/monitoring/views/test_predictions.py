"""The pages of predictions."""

from datetime import UTC, datetime
from math import inf

import pytest
from django.test import Client

from mlportal.lib import leftovers
from monitoring.models import Prediction, PredictionChunk
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


def test_search_by_time_version_answer_and_outcome(project, client, tmp_path):
    from monitoring.services import predictions
    from projects.models import User
    from tests.factories.projects import actor

    ids = predicted(project, tmp_path, 3, y=["yes", "no", "yes"], via="v2")
    items = [{"prediction_id": ids[0], "label": "yes"}, {"prediction_id": ids[1], "label": "yes"}]
    predictions.record_truth(actor(User.objects.get(username="ana")), project=project, items=items)
    newest = sorted(ids, reverse=True)
    for wanted, expected in (
        ({"version": "churn v1"}, newest), ({"version": "churn v9"}, []),
        ({"variant": "champion"}, newest), ({"variant": "challenger"}, []), ({"answer": "no"}, [ids[1]]),
        ({"protocol": "v2"}, newest), ({"protocol": "invocations"}, []),
        ({"label": "right"}, [ids[0]]), ({"label": "wrong"}, [ids[1]]), ({"label": "none"}, [ids[2]]),
        ({"label": "any"}, sorted(ids[:2], reverse=True)), ({"since": "2026-11-20"}, newest),
        ({"since": "2026-11-20 13:00"}, []), ({"until": "2026-11-20T11:59"}, []),
        ({"since": "2026-11-20", "until": "2026-11-20", "answer": "yes"}, sorted([ids[0], ids[2]], reverse=True)),
    ):  # fmt: skip
        assert shown(client.get(PAGE, wanted)) == expected, wanted
    assert shown(client.get(PAGE, {"until": "2026-11-20"})) == newest
    PredictionChunk.objects.update(source=0)  # served elsewhere: ids are made when the rows are sent, days later
    Prediction.objects.filter(pk=ids[0]).update(at=datetime(2026, 10, 21, tzinfo=UTC))
    assert shown(client.get(PAGE, {"until": "2026-11-01"})) == [ids[0]]
    wrong = client.get(PAGE, {"since": "yesterday"})
    assert (wrong.status_code, b"is neither" in wrong.content) == (422, True)
    assert client.get(PAGE, {"label": "maybe"}).status_code == 422
    assert client.get(PAGE, {"protocol": "gopher"}).status_code == 422


def test_what_was_found_is_taken_along_as_a_csv(project, client, tmp_path):
    from projects.models import Event

    ids = predicted(project, tmp_path, 3, y=["yes", "=1+1", "yes"], refs=["a", "b", "c"])
    answer = client.get(f"{PAGE}export/", {"q": "b"})
    head, line = b"".join(answer.streaming_content).decode().splitlines()
    assert head.startswith("prediction_id,at,endpoint,model,version")
    assert line.startswith(
        f"{ids[1]},2026-11-20T12:00:00+00:00,churn-production,churn,churn v1,champion,4,exact,'=1+1,0.75,900,b"
    )
    assert Event.objects.get(verb="predictions.exported").data == {"q": "b"}
    viewer = Client()
    viewer.force_login(make_user("vic", role="viewer", project=project))
    assert viewer.get(f"{PAGE}export/").status_code == 403
