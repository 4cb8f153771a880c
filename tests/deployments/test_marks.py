"""Stars and comments with mentions on models, versions, endpoints and promotions."""

import pytest
from django.test import Client

from deployments.models import PromotionRequest
from projects.models import Comment, Mention, Star
from tests.factories.deployments import Team, make_live

pytestmark = pytest.mark.django_db


@pytest.fixture
def pages(team: Team) -> dict[str, tuple[str, int]]:
    """Page and number of one thing of each kind."""
    endpoint = make_live(team)
    version = endpoint.current_revision.version
    request = PromotionRequest.objects.latest("pk")
    model = f"/p/{team.project.slug}/models/{version.model.name}/"
    return {
        "model": (model, version.model.pk),
        "version": (f"{model}v/{version.number}/", version.pk),
        "endpoint": (f"/p/{team.project.slug}/deployments/{endpoint.name}/", endpoint.pk),
        "promotion": (f"/p/{team.project.slug}/promotions/{request.pk}/", request.pk),
    }


@pytest.mark.parametrize("kind", ["model", "version", "endpoint", "promotion"])
def test_each_page_takes_a_star_and_a_comment_that_calls_a_member(team, pages, kind):
    place, number = pages[kind]
    client = Client()
    client.force_login(team.people["scientist"])
    thing = f"/p/{team.project.slug}/things/{kind}/{number}/"
    page = client.get(place).content.decode()
    assert f'action="{thing}star/"' in page
    assert f'action="{thing}comments/"' in page
    manager = team.people["manager"]
    answer = client.post(f"{thing}comments/", {"text": f"@{manager.username}, look at **this**", "back": place})
    said = Comment.objects.get()
    assert answer["Location"] == f"{place}#comment-{said.pk}"
    assert Mention.objects.get().user == manager
    assert "look at <strong>this</strong>" in client.get(place).content.decode()
    client.post(f"{thing}star/", {"starred": "1", "back": place})
    assert list(Star.objects.values_list("target_type", "target_id")) == [(kind, number)]
    called = Client()
    called.force_login(manager)
    assert called.get(f"/p/{team.project.slug}/comments/{said.pk}/")["Location"] == f"{place}#comment-{said.pk}"
