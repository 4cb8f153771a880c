import pytest

from mlportal.lib.errors import Conflict, Forbidden, Invalid
from projects.models import Event, Project
from projects.services import projects
from tests.factories.projects import actor, make_project, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def root(db):
    return make_user("root", is_site_admin=True)


def test_create_makes_the_owner_admin(root):
    mei = make_user("mei")
    project = projects.create(actor(root), name="Früh Warnung 2", owner=mei)
    assert (project.slug, project.roles_of(mei), project.roles_of(root)) == ("fruh-warnung-2", ["admin"], [])
    event = Event.objects.get()
    assert (event.verb, event.project, event.data) == (
        "project.created", project, {"slug": "fruh-warnung-2", "admin": mei.pk},
    )  # fmt: skip


def test_create_needs_a_site_administrator(root):
    mei = make_user("mei", role="admin", project=make_project(owner=root))
    with pytest.raises(Forbidden):
        projects.create(actor(mei), name="Mine")


@pytest.mark.parametrize(
    ("name", "slug", "field"), [("", "", "name"), ("x" * 101, "", "name"), ("a\nb", "", "name"),
                                ("日本", "", "slug"), ("Fine", "No Slug", "slug"), ("API", "", "slug")],
)  # fmt: skip
def test_create_refuses(root, name, slug, field):
    with pytest.raises(Invalid) as refused:
        projects.create(actor(root), name=name, slug=slug)
    assert (refused.value.field, Project.objects.count()) == (field, 0)


def test_create_refuses_a_taken_address(root):
    projects.archive(actor(root), project=projects.create(actor(root), name="Churn"))
    with pytest.raises(Conflict):
        projects.create(actor(root), name="churn")


def test_edit(root):
    project = projects.create(actor(root), name="Churn")
    projects.edit(actor(root), project=project, name="Churn retention", description="Who leaves.")
    project.refresh_from_db()
    assert (project.name, project.slug, project.description) == ("Churn retention", "churn", "Who leaves.")
    assert Event.objects.latest("seq").data == {"name": "Churn retention", "before": {"name": "Churn"}}


def test_archive_hides_from_everybody(root):
    project = projects.create(actor(root), name="Churn")
    projects.archive(actor(root), project=project)
    assert list(Project.objects.visible_to(actor(root))) == []
    with pytest.raises(Conflict):
        projects.archive(actor(root), project=project)


def test_edit_needs_a_project_admin(root):
    project = projects.create(actor(root), name="Churn")
    mei = make_user("mei", role="scientist", project=project)
    with pytest.raises(Forbidden):
        projects.edit(actor(mei), project=project, name="Mine", description="")
