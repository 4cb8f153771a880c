"""Everything people name carries a star and comments that call members: on its page, or on the page of the thing."""

import pytest
from django.apps import apps
from django.conf import settings
from django.test import Client

from experiments.models import LoggedModel, Run
from projects.models import Comment, Star
from projects.services import targets
from tests.factories.experiments import make_logged_model, make_run
from tests.factories.projects import make_token
from tests.house.world import make_world

pytestmark = pytest.mark.django_db
# Kind of thing and its table, where the two words differ.
TABLES = {
    "dataset_version": "projects.DatasetVersion", "split": "projects.SplitRecipe", "import": "projects.DatasetImport",
    "job": "experiments.TrainingJob", "logged_model": "experiments.LoggedModel", "view": "experiments.SavedView",
    "model": "deployments.RegisteredModel", "version": "deployments.ModelVersion",
    "promotion": "deployments.PromotionRequest", "technical_file": "deployments.TechnicalFile",
    "rule": "monitoring.AlertRule",
}  # fmt: skip


def rows_of(kind):
    if kind in TABLES:
        return apps.get_model(TABLES[kind]).objects
    found = next(m for m in apps.get_models() if m._meta.model_name == kind)
    return found.objects


def first(kind, project):
    return rows_of(kind).in_project(project).order_by("pk").first().pk


def test_every_kind_takes_a_star_and_a_comment_that_calls_a_member():
    world = make_world()
    if not LoggedModel.objects.exists():
        make_logged_model(make_run(Run.objects.get(pk=int(world.values["runs"])).experiment, "maker"))
    reader, admin = world.people["manager"], world.people["admin"]
    ana, called = Client(), Client()
    ana.force_login(admin)
    called.force_login(reader)
    told = {"headers": {"Authorization": f"Bearer {make_token(admin, world.project, ['read', 'write'])}"}}
    api = f"/api/v1/projects/{world.project.slug}"
    for kind in settings.TARGETS:
        number = first(kind, world.project)
        target = targets.of(kind, [number])[number]
        thing = f"/p/{world.project.slug}/things/{kind}/{number}/"
        own = ana.get(target.href, follow=True).content.decode()
        assert f'action="{thing}star/"' in own or f'href="{thing}"' in own, kind
        assert f'action="{thing}comments/"' in ana.get(thing).content.decode(), kind
        answer = ana.post(f"{thing}comments/", {"text": f"@{reader.username}, **look**", "back": "//elsewhere"})
        said = Comment.objects.latest("pk")
        assert answer["Location"] == f"{target.said_at}#comment-{said.pk}", kind
        assert (said.target_type, said.target_id, said.mentions.get().user) == (kind, number, reader), kind
        shown = called.get(f"/p/{world.project.slug}/comments/{said.pk}/")
        assert shown["Location"] == f"{target.said_at}#comment-{said.pk}", kind
        body = {"type": kind, "number": number}
        assert ana.post(f"{api}/stars/", body, content_type="application/json", **told).status_code == 201, kind
        page = ana.get(target.said_at).content.decode()
        assert f'id="star-{kind}-{number}" aria-pressed="true"' in page, kind
        assert "<strong>look</strong>" in page[page.index("<main") :], kind
        listed = ana.get(f"{api}/comments/", body, **told).json()["results"]
        assert listed[0]["id"] == said.pk, kind
    assert set(Star.objects.values_list("target_type", flat=True)) == set(settings.TARGETS)
    assert ana.get("/").status_code == 200
