"""How an endpoint is asked: requests to copy for each protocol, and its OpenAPI."""

import json

from deployments.runtime import openapi
from tests.deployments.runtime import recipes
from tests.deployments.test_api import Api
from tests.deployments.test_pages import browser
from tests.factories.deployments import make_live

RECORD = {"age": 41.5, "visits": 3, "member": True, "city": "rome", "plan": "it's"}


def test_the_page_has_requests_for_each_protocol(team):
    endpoint = make_live(team)
    page = browser(team, "scientist").get(f"/p/churn/deployments/{endpoint.name}/")
    ways = {way.key: way for way in page.context["ways"]}
    assert list(ways) == ["own", "v2", "mlflow", "v1"]
    assert f"/p/churn/v2/models/{endpoint.name}/infer" in ways["v2"].curl
    for way in ways.values():
        compile(way.python, way.key, "exec")
    assert f"/api/v1/projects/churn/endpoints/{endpoint.name}/openapi/" in page.content.decode()


def test_openapi_of_an_endpoint(team):
    endpoint = make_live(team)
    told = Api(team, "viewer", "read").get(f"endpoints/{endpoint.name}/openapi/").json()
    assert (told["openapi"], told["info"]["title"]) == ("3.1.0", endpoint.name)
    assert len(told["paths"]) == 4
    endpoint.current_revision = None
    endpoint.save(update_fields=["current_revision"])
    answer = Api(team, "viewer", "read").get(f"endpoints/{endpoint.name}/openapi/")
    assert (answer.status_code, answer.json()["code"]) == (404, "endpoint_deploying")
    assert browser(team, "scientist").get(f"/p/churn/deployments/{endpoint.name}/").context["ways"] == []


def test_columns_of_a_schema():
    told = openapi.document(
        recipes.DOCUMENT, name="churn", project="churn", version="v1", server="http://here", example=RECORD
    )
    record = told["components"]["schemas"]["Record"]
    assert record["required"] == list(RECORD)
    assert record["properties"]["age"] == {"type": ["number", "null"]}
    assert record["properties"]["visits"] == {"type": "integer"}
    assert record["properties"]["city"] == {"examples": recipes.CITIES, "type": ["string", "null"]}
    infer = told["paths"]["/p/churn/v2/models/churn/infer"]["post"]
    sent = infer["requestBody"]["content"]["application/json"]["example"]["inputs"]
    assert [tensor["datatype"] for tensor in sent] == ["FP64", "INT64", "BOOL", "BYTES", "BYTES"]
    assert json.loads(json.dumps(told)) == told
