"""The button "Load the example project"."""

import pytest
from django.test import Client

from mlportal import example
from projects.models import Project, User
from tests.factories.projects import make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def as_root(client):
    client.force_login(make_user("root", is_site_admin=True))
    return client


def test_the_passwords_are_shown_once_and_work(as_root):
    page = as_root.post("/example/")
    assert page.status_code == 201
    assert [person["role"] for person in page.context["people"]] == [
        "Viewer", "Data scientist", "Manager (approver)", "Ops", "Project admin",
    ]  # fmt: skip
    for person in page.context["people"]:
        form = {"username": person["name"], "password": person["password"]}
        assert Client().post("/sign-in/", form).status_code == 303
        assert person["password"] not in as_root.get("/").content.decode()
    assert Project.objects.get().is_example


def test_the_button_works_once(as_root):
    assert "Load the example project" in as_root.get("/").content.decode()
    as_root.post("/example/")
    assert "Load the example project" not in as_root.get("/").content.decode()
    assert as_root.post("/example/").status_code == 409


def test_a_taken_name_leaves_nothing_half_made(as_root):
    make_user("ada")
    assert as_root.post("/example/").status_code == 409
    assert (Project.objects.count(), User.objects.count()) == (0, 2)


def test_only_a_site_administrator_loads_it(client):
    client.force_login(make_user("mei"))
    assert client.post("/example/").status_code == 403
    assert "Load the example project" not in client.get("/").content.decode()


@pytest.mark.parametrize(
    ("said", "kind", "again"),
    [({"text": "Training 4 models"}, "note info", True), ({"text": "Ready", "done": True}, "note ok", False),
     ({"text": "Stopped", "failure": "Training took longer"}, "note bad", False)],
)  # fmt: skip
def test_progress_is_on_the_home_page(as_root, settings, said, kind, again):
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": kind}}
    example.tell(**said)
    for address in ("/", "/example/"):
        page = as_root.get(address).content.decode()
        assert (kind in page, said["text"] in page, 'hx-trigger="every 2s"' in page) == (True, True, again)


def test_progress_without_the_shared_cache_is_silent(settings):
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1:1/0"}
    }
    example.tell("Training")
    assert example.progress() is None
