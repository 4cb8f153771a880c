"""While a legal hold stands nothing that it covers is removed for good, whichever door is used."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from experiments.models import Lifecycle, Run
from experiments.services import artifacts, trash
from mlportal.lib.errors import Conflict, Forbidden, Invalid
from projects.actor import Actor
from projects.models import Dataset, DatasetVersion, Event, LegalHold
from projects.services import dataset_trash, legal_holds, projects
from tests.factories.experiments import make_experiment, make_run
from tests.factories.projects import actor, make_project, make_token, make_user

pytestmark = pytest.mark.django_db
PAGE = "/p/churn/settings/legal-holds/"
API = "/api/v1/projects/churn/legal-holds/"
WHY = "Letter of the regulator, 3 March."
LONG_AGO = timedelta(days=99)


@pytest.fixture
def churn():
    return make_project()


@pytest.fixture
def ana(churn):
    return make_user("ana", role="admin", project=churn)


def trashed_dataset(project, name: str, *, versions: int = 1) -> Dataset:
    """A dataset that lay in the trash longer than it is kept there."""
    gone = {"deleted_at": timezone.now() - LONG_AGO, "deleted_by": project.created_by}
    made = Dataset.objects.create(project=project, name=name, name_key=name, created_by=project.created_by, **gone)
    for number in range(1, versions + 1):
        DatasetVersion.objects.create(
            dataset=made, number=number, filename=f"{name}.csv", state="failed", created_by=project.created_by
        )
    return made


def trashed_run(project) -> Run:
    run = make_run(make_experiment(project))
    Run.objects.filter(pk=run.pk).update(lifecycle=Lifecycle.DELETED, deleted_at=timezone.now() - LONG_AGO)
    run.refresh_from_db()
    return run


def test_a_hold_on_a_dataset_keeps_it_and_no_other(churn, ana):
    kept, other = trashed_dataset(churn, "customers"), trashed_dataset(churn, "weather")
    bare = trashed_dataset(churn, "empty", versions=0)
    for dataset in (kept, bare):
        legal_holds.place(actor(ana), project=churn, dataset=dataset, reason=WHY)
    assert dataset_trash.expire() == {"versions": 1, "datasets": 1}
    assert dataset_trash.empty(actor(ana), project=churn) == {"versions": 0, "datasets": 0}
    assert set(Dataset.objects.values_list("name", flat=True)) == {kept.name, bare.name}
    assert not Dataset.objects.filter(pk=other.pk).exists()
    for version in (None, kept.versions.get()):
        with pytest.raises(Conflict, match="kept by a legal hold"):
            dataset_trash.remove(actor(ana), dataset=kept, version=version)
    [line] = dataset_trash.trashed(actor(ana), project=churn, query="customers").rows
    assert (line.needed, line.removed_at) == ("kept by a legal hold", None)


def test_a_hold_on_the_project_keeps_all_of_it(churn, ana):
    by = actor(ana)
    dataset, run = trashed_dataset(churn, "customers"), trashed_run(churn)
    legal_holds.place(by, project=churn, reason=WHY)
    assert (dataset_trash.expire(), trash.expire()) == ({"versions": 0, "datasets": 0}, 0)
    for attempt in (
        lambda: trash.remove_run(by, run=run), lambda: trash.empty(by, project=churn),
        lambda: dataset_trash.remove(by, dataset=dataset), lambda: projects.archive(by, project=churn),
    ):  # fmt: skip
        with pytest.raises(Conflict) as refused:
            attempt()
        assert refused.value.code == "legal_hold"
    assert Run.objects.filter(pk=run.pk).exists()
    assert dataset.versions.exists()
    churn.refresh_from_db()
    assert churn.archived_at is None


def test_files_of_a_run_stay(churn, ana):
    run = make_run(make_experiment(churn))
    legal_holds.place(actor(ana), project=churn, reason=WHY)
    with pytest.raises(Conflict, match="legal hold"):
        artifacts.remove(actor(ana), owner=run, path="")


def test_the_trash_says_why_a_run_stays(churn, ana, client):
    trashed_run(churn)
    legal_holds.place(actor(ana), project=churn, reason=WHY)
    client.force_login(ana)
    assert "kept by a legal hold" in client.get("/p/churn/trash/").content.decode()


def test_lifted_it_lets_go(churn, ana):
    trashed_dataset(churn, "customers")
    hold = legal_holds.place(actor(ana), project=churn, reason=WHY)
    legal_holds.lift(actor(ana), hold=hold, reason="The case is closed.")
    assert dataset_trash.expire() == {"versions": 1, "datasets": 1}
    with pytest.raises(Conflict, match="lifted already"):
        legal_holds.lift(actor(ana), hold=hold, reason="The case is closed.")
    told = Event.objects.filter(verb__startswith="hold.").order_by("seq").values_list("verb", "reason")
    assert list(told) == [("hold.placed", WHY), ("hold.lifted", "The case is closed.")]


def test_one_hold_a_place_and_a_reason(churn, ana):
    by = actor(ana)
    with pytest.raises(Invalid) as short:
        legal_holds.place(by, project=churn, reason="because")
    assert (short.value.field, short.value.limit) == ("reason", 10)
    legal_holds.place(by, project=churn, reason=WHY)
    legal_holds.place(by, project=churn, dataset=trashed_dataset(churn, "customers"), reason=WHY)
    with pytest.raises(Conflict, match="the whole project stands already"):
        legal_holds.place(by, project=churn, reason=WHY)


@pytest.mark.parametrize("role", ["viewer", "scientist", "manager", "ops"])
def test_only_admins_place_and_lift(churn, ana, role):
    hold = legal_holds.place(actor(ana), project=churn, reason=WHY)
    other = actor(make_user("bo", role=role, project=churn))
    for attempt in (
        lambda: legal_holds.place(other, project=churn, reason=WHY),
        lambda: legal_holds.lift(other, hold=hold, reason=WHY),
    ):
        with pytest.raises(Forbidden):
            attempt()
    assert LegalHold.objects.standing().count() == 1


def test_a_session_left_open_lifts_nothing(churn, ana):
    hold = legal_holds.place(actor(ana), project=churn, reason=WHY)
    left_open = Actor.for_user(ana, authenticated_at=timezone.now() - timedelta(hours=1))
    with pytest.raises(Forbidden) as asked:
        legal_holds.lift(left_open, hold=hold, reason="The case is closed.")
    assert asked.value.code == "step_up_required"


def test_by_page(churn, ana, client):
    client.force_login(ana)
    trashed_dataset(churn, "customers")
    wrong = client.post(PAGE, {"reason": "because"})
    assert wrong.status_code == 422
    assert "needs at least 10 characters" in wrong.content.decode()
    dataset = Dataset.objects.get()
    client.post(PAGE, {"dataset": dataset.pk, "reason": WHY})
    hold = LegalHold.objects.get()
    shown = client.get(PAGE).content.decode()
    assert "Dataset customers" in shown
    assert WHY in shown
    assert client.post(f"{PAGE}{hold.pk}/lift/", {"reason": "no"}).status_code == 422
    client.post(f"{PAGE}{hold.pk}/lift/", {"reason": "The case is closed."})
    assert not LegalHold.objects.standing().exists()
    assert "The case is closed." in client.get(PAGE).content.decode()


def test_another_project_s_dataset_is_not_offered(churn, ana, client):
    client.force_login(ana)
    theirs = trashed_dataset(make_project("other"), "secret")
    assert client.post(PAGE, {"dataset": theirs.pk, "reason": WHY}).status_code == 422


def test_by_rest(churn, ana):
    trashed_dataset(churn, "customers")
    caller = Client(headers={"Authorization": f"Bearer {make_token(ana, churn, ['read', 'admin'])}"})

    def post(path, **body):
        return caller.post(API + path, body, content_type="application/json")

    assert (post("", reason=WHY, dataset="nowhere").status_code, post("", reason="short").status_code) == (400, 400)
    made = post("", reason=WHY, dataset="Customers")
    assert (made.status_code, made.json()["dataset"], made.json()["lifted_at"]) == (201, "customers", None)
    assert post("", reason=WHY, dataset="customers").status_code == 409
    assert post(f"{made.json()['id']}/lift/", reason="The case is closed.").json()["lifted_by"] == "ana"
    [listed] = caller.get(API).json()["results"]
    assert listed["lift_reason"] == "The case is closed."


def test_the_time_machine_tells_which_stood(churn, ana, client):
    hold = legal_holds.place(actor(ana), project=churn, reason=WHY)
    legal_holds.lift(actor(ana), hold=hold, reason="The case is closed.")
    start = timezone.now() - timedelta(days=10)
    LegalHold.objects.filter(pk=hold.pk).update(placed_at=start, lifted_at=start + timedelta(days=2))
    caller = Client(headers={"Authorization": f"Bearer {make_token(ana, churn, ['read', 'admin'])}"})

    def stood(days: int) -> list[str]:
        at = (start + timedelta(days=days, minutes=1)).strftime("%Y-%m-%dT%H:%M")
        return [row["reason"] for row in caller.get(API, {"as_of": at}).json()["legal_holds"]]

    assert [stood(-1), stood(1), stood(3)] == [[], [WHY], []]
    client.force_login(ana)
    shown = client.get(PAGE, {"as_of": (start + timedelta(days=1)).strftime("%Y-%m-%d")}).content.decode()
    assert "As it was on" in shown
    assert WHY in shown
