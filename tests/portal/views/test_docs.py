"""The description of the REST API."""

import json

import pytest
from drf_spectacular.generators import SchemaGenerator

ADDRESS = "/api/v1/schema/"


@pytest.mark.django_db
def test_the_description_is_made_once_and_comes_in_the_form_that_is_asked_for(client, monkeypatch, capsys):
    forms = {"application/vnd.oai.openapi": "yaml", "application/json": "json"}
    made = {form: client.get(ADDRESS, headers={"accept": form}) for form in forms}
    assert "Warning" not in capsys.readouterr().err  # names that only a hash tells apart, shapes nobody knows

    def refuse(*_args, **_kwargs):
        raise AssertionError("made again")

    monkeypatch.setattr(SchemaGenerator, "get_schema", refuse)
    for form, suffix in forms.items():
        again = client.get(ADDRESS, headers={"accept": form})
        assert again.content == made[form].content
        assert again["Content-Disposition"] == f'inline; filename="mlportal.{suffix}"'
        assert again["Content-Type"] == form
    assert json.loads(made["application/json"].content)["info"]["title"] == "mlportal"
    assert made["application/vnd.oai.openapi"].content.startswith(b"openapi: 3.1")
    assert client.get(ADDRESS, headers={"accept": "text/html"}).status_code == 406
