"""In which project a client logs, and what it hears of workspaces."""

import base64
import json

import pytest
from django.test import Client
from django.urls import reverse

from experiments.models import Run
from projects.models import Membership, User
from tests.experiments.mlflow.calls import Caller, scientist
from tests.factories.projects import PASSWORD, make_project, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def project():
    return make_project()


def created_in(answer):
    return Run.objects.get(uuid=answer[1]["run"]["info"]["run_id"]).project.slug


def test_a_header_or_the_address_names_the_project_of_a_free_token(project):
    other = make_project("other")
    user = make_user("ana", role="scientist", project=project)
    Membership.objects.create(user=user, project=other, role="scientist")
    ana = Caller(user, None)
    assert created_in(ana.post("runs/create", {})) == "churn"
    assert created_in(ana.post("runs/create", {}, **{"X-MLFLOW-WORKSPACE": "other"})) == "other"
    prefixed = ana.client.post(
        "/p/other/api/2.0/mlflow/runs/create", "{}", content_type="application/json", headers=ana.headers
    )
    assert created_in((200, prefixed.json())) == "other"


def test_a_bound_token_that_names_another_project_is_told_it_is_absent(project):
    make_project("other")
    status, answer = scientist(project).post("runs/create", {}, **{"X-MLFLOW-WORKSPACE": "other"})
    assert (status, answer["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")


def test_workspaces_are_the_callers_projects(project):
    make_project("hidden")
    ana = scientist(project)
    answer = ana.client.get("/api/3.0/mlflow/workspaces", headers=ana.headers)
    assert answer.json() == {"workspaces": [{"name": "churn", "description": "Churn"}]}
    answer = ana.client.get("/api/3.0/mlflow/workspaces/churn", headers=ana.headers)
    assert answer.json()["workspace"]["name"] == "churn"
    answer = ana.client.get("/api/3.0/mlflow/workspaces/hidden", headers=ana.headers)
    assert (answer.status_code, answer.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")


def test_a_person_logs_with_name_and_password(project):
    make_user("ana", role="scientist", project=project)
    header = {"Authorization": "Basic " + base64.b64encode(f"ana:{PASSWORD}".encode()).decode()}
    answer = Client().post("/api/2.0/mlflow/runs/create", "{}", content_type="application/json", headers=header)
    assert created_in((200, answer.json())) == "churn"
    assert Run.objects.get().created_by == User.objects.get(username="ana")
    refused = Client().get("/api/v1/account/", headers=header)
    assert refused.status_code == 401  # our own API takes tokens only


def test_without_a_credential_the_client_is_told_what_to_set(project):
    answer = Client().post("/api/2.0/mlflow/runs/create", "{}", content_type="application/json")
    assert (answer.status_code, json.loads(answer.content)["error_code"]) == (401, "UNAUTHENTICATED")
    assert "MLFLOW_TRACKING_TOKEN" in json.loads(answer.content)["message"]


def test_the_account_page_sets_the_default_project(project):
    user = make_user("ana", role="scientist", project=project)
    other = make_project("other")
    client = Client()
    client.force_login(user)
    assert 'value="other"' not in client.get(reverse("projects:account")).content.decode()
    Membership.objects.create(user=user, project=other, role="scientist")
    address = reverse("projects:default-project")
    assert client.post(address, {"default_project": "other"}).status_code == 303
    assert created_in(Caller(user, None).post("runs/create", {})) == "other"
    assert client.post(address, {"default_project": ""}).status_code == 303
    assert created_in(Caller(user, None).post("runs/create", {})) == "churn"
    make_project("hidden")
    assert client.post(address, {"default_project": "hidden"}).status_code == 422
