"""One project with a row of everything, and the values that address them."""

from dataclasses import dataclass, field
from datetime import timedelta

import pyarrow as pa
import pyarrow.parquet as pq
from django.utils import timezone

from deployments import gates
from deployments.cards import annex
from deployments.cards.records import load
from deployments.models import (
    Batch,
    Delegation,
    Endpoint,
    ModelVersion,
    PersonSearch,
    Reproduction,
    Rollout,
    TechnicalFile,
    Trial,
)
from experiments.models import Experiment, Folder, FolderRole, SavedView
from experiments.services import artifacts, bulk, reports
from mlportal.lib import blobs
from monitoring.models import Alert, AlertRoute, Incident, Silence
from projects.models import (
    AccessRequest,
    ApiToken,
    Channel,
    Check,
    CheckRun,
    CheckSet,
    Comment,
    Connection,
    Dataset,
    DatasetImport,
    DatasetVersion,
    Delivery,
    Event,
    Group,
    GroupGrant,
    GroupMapping,
    GroupMember,
    LegalHold,
    Membership,
    Project,
    ProjectRemoval,
    ServiceOwner,
    Session,
    SplitRecipe,
    User,
)
from projects.permissions import Role
from tests.factories import experiments, monitoring
from tests.factories.deployments import Team, make_live, make_request, make_team, make_version
from tests.factories.jobs import make_job
from tests.factories.projects import make_token, make_user

PROJECT = "churn"
SPEC = {"target": "churned", "features": ["age", "plan"], "algorithm": "dummy"}

AGE = {
    "nulls": 0, "distinct": 4, "histogram": {"edges": [28.0, 44.0, 60.0], "counts": [2, 2]}, "top": [],
    "quantiles": {"0": 28.0, "0.01": 28.0, "0.05": 28.0, "0.25": 30.0, "0.5": 38.0, "0.75": 50.0, "0.95": 60.0,
                  "0.99": 60.0, "1": 60.0},
    "mean": 41.0, "std": 14.5, "min": 28.0, "max": 60.0, "warnings": [],
}  # fmt: skip


def words(distinct: int, values: list[str]) -> dict[str, object]:
    """Profile of a column of words."""
    return {
        "nulls": 0, "distinct": distinct, "histogram": None, "quantiles": None, "mean": None, "std": None, "min": None,
        "max": None, "top": [{"value": value, "count": 1} for value in values], "warnings": [],
    }  # fmt: skip


@dataclass
class World:
    """The project, its people and the words that fill address patterns."""

    project: Project
    people: dict[str, User] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)


def make_world() -> World:
    """Build it with rows only: no worker, no file but a small table."""
    team = make_team(PROJECT)
    world = World(
        project=team.project,
        values={"p": PROJECT, "projects": PROJECT, "projects/project": PROJECT, "workspaces": PROJECT},
    )
    for role in Role:
        world.people[role.value] = team.people[role.value]
    world.people["outsider"] = make_user("outsider")
    world.people["site"] = make_user("site", is_site_admin=True)
    world.people["everyone"] = make_user("everyone", is_site_admin=True)
    for role in Role:
        Membership.objects.create(project=team.project, user=world.people["everyone"], role=role)
    _people(world)
    _dataset(world)
    _runs(world)
    _marks(world)
    _deployments(world, team)
    _persons(world)
    _monitoring(world)
    world.values["events"] = str(Event.objects.filter(project=team.project).latest("seq").seq)
    return world


def _people(world: World) -> None:
    make_token(world.people["viewer"], world.project, ["read"])
    asked = AccessRequest.objects.create(
        asked_for=PROJECT, project=world.project, user=world.people["outsider"], role="viewer", reason="To look.",
        expires_at=timezone.now() + timedelta(days=1),
    )  # fmt: skip
    world.values |= {"access": str(asked.pk), "access-requests": str(asked.pk)}
    hold = LegalHold.objects.create(project=world.project, reason="A letter.", placed_by=world.people["admin"])
    world.values["legal-holds"] = str(hold.pk)
    removal = ProjectRemoval.objects.create(
        project=world.project, name=world.project.name, reason="It is over.", asked_by=world.people["site"],
        due_at=timezone.now() + timedelta(days=30), record_sha256=blobs.put_bytes(b"a record").sha256,
    )  # fmt: skip
    world.values["removals"] = str(removal.pk)
    group = Group.objects.create(name="Risk team", name_key="risk team", created_by=world.people["site"])
    person = GroupMember.objects.create(group=group, user=world.people["viewer"])
    grant = GroupGrant.objects.create(group=group, project=world.project, role="viewer")
    mapping = GroupMapping.objects.create(group=group, provider="corp", external_name="risk")
    world.values |= {
        "groups": str(group.pk), "members/member": str(person.pk), "group-roles": str(grant.pk),
        "mappings": str(mapping.pk), "group-mappings": str(mapping.pk),
    }  # fmt: skip
    account = make_user("churn.ci", role="viewer", project=world.project, service_project=world.project)
    ServiceOwner.objects.create(account=account, person=world.people["viewer"], named_by=world.people["admin"])
    make_token(account, world.project, ["read"])
    world.values |= {
        "service-accounts": str(account.pk), "service-accounts/username": account.username,
        "tokens/token": str(ApiToken.objects.get(user=account).pk),
    }  # fmt: skip
    member = Membership.objects.filter(project=world.project, role="viewer").order_by("pk")[0]
    token = str(ApiToken.objects.get(user=world.people["viewer"]).pk)
    handle = Session.objects.create(
        session_key="0" * 40, handle="0" * 20, expire_date=timezone.now() + timedelta(days=1),
        user=world.people["viewer"],
    ).handle  # fmt: skip
    world.values |= {
        "sessions": handle, "members": str(member.pk), "account/tokens": token, "tokens": token,
        "users": "outsider", "users/action": "deactivate",
        "action": "deactivate", "set-up": "not-the-secret",
        "new/kind": "email",
        "2.0/rest": "nothing", "3.0/rest": "nothing",
    }  # fmt: skip


def _dataset(world: World) -> None:
    table = pa.table(
        {"age": [31.0, 45.0, 28.0, 60.0], "plan": ["a", "b", "a", "c"], "churned": [True, False, True, False]}
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    stored = blobs.put_bytes(sink.getvalue().to_pybytes())
    owner = world.people["scientist"]
    dataset = Dataset.objects.create(project=world.project, name="people", name_key="people", created_by=owner)
    version = DatasetVersion.objects.create(
        dataset=dataset, number=1, sha256=stored.sha256, parquet_sha256=stored.sha256, size_bytes=stored.size_bytes,
        filename="people.parquet", format="parquet", state="succeeded", row_count=4, column_count=3, progress=1.0,
        created_by=owner,
        schema=[
            {"name": "age", "kind": "numeric", "dtype": "double", "nullable": False},
            {"name": "plan", "kind": "categorical", "dtype": "string", "nullable": False},
            {"name": "churned", "kind": "boolean", "dtype": "bool", "nullable": False},
        ],
        profile={"age": AGE, "plan": words(3, ["a", "b", "c"]), "churned": words(2, ["true", "false"])},
    )  # fmt: skip
    rules = [{"key": "age-range", "kind": "range", "severity": "warn", "columns": ["age"], "min": 0}]
    check_set = CheckSet.objects.create(dataset=dataset, number=1, rules=rules, created_by=owner)
    Check.objects.create(dataset=dataset, key="age-range")
    CheckRun.objects.create(
        version=version, check_set=check_set, requested_by=owner, state="succeeded", verdict="passed"
    )
    SplitRecipe.objects.create(
        version=version, name="fixed", name_key="fixed", kind="random", created_by=owner, state="succeeded",
        params={"test_share": 0.25, "validation_share": 0.0, "column": "", "balance": ""}, rows_sha256=stored.sha256,
    )  # fmt: skip
    world.values |= {"datasets": "people", "v": "1", "versions": "1", "checks": "age-range", "splits": "fixed"}
    place = Connection.objects.create(
        project=world.project, name="store", name_key="store", kind="postgres", created_by=owner,
        facts={"host": "db.example.org", "port": 5432, "database": "d", "user": "u", "sslmode": "prefer"},
    )  # fmt: skip
    fetch = DatasetImport.objects.create(
        project=world.project, name="people", kind="url", spec={"url": "https://example.org/a.csv"}, created_by=owner
    )
    now = timezone.now()
    gone = Dataset.objects.create(
        project=world.project, name="gone", name_key="gone", created_by=owner, deleted_at=now, deleted_by=owner
    )
    older = Dataset.objects.create(project=world.project, name="older", name_key="older", created_by=owner)
    old = DatasetVersion.objects.create(
        dataset=older, number=1, sha256="0" * 64, filename="old.csv", state="failed", created_by=owner,
        deleted_at=now, deleted_by=owner,
    )  # fmt: skip
    world.values |= {
        "datasets": "people", "v": "1", "versions": "1", "connections": str(place.pk), "imports": str(fetch.pk),
        "dataset-imports": str(fetch.pk), "datasets/pk": str(gone.pk),
        "versions/pk": str(old.pk), "dataset-versions/pk": str(old.pk), "new/source": "url", "new/store": "postgres",
    }  # fmt: skip


def _runs(world: World) -> None:
    experiment = experiments.make_experiment(world.project, "first")
    run = experiments.make_run(experiment, params={"depth": "3"}, tags={"team": "a"})
    experiments.log(run, "auc", [0.7, 0.8])
    artifacts.store(
        experiments.writer(world.project), owner=run, path="notes.txt", stream=[b"hello"], media_type="text/plain"
    )
    action = bulk.prepare(
        experiments.writer(world.project), project=world.project, kind="tag", chosen=bulk.Chosen(run_ids=[run.pk]),
        given={"key": "seen"},
    )  # fmt: skip
    folder = Folder.objects.create(
        project=world.project, name="2026", name_key="2026", created_at=timezone.now()
    )  # fmt: skip
    held = FolderRole.objects.create(
        project=world.project, folder=folder, folder_name="2026", user=world.people["scientist"], role="ops"
    )  # fmt: skip
    world.values |= {
        "roles/held": str(held.pk), "bulk": str(action.pk), "folders": str(folder.pk),
        "experiments/experiment": str(experiment.pk),
    }  # fmt: skip
    model = experiments.make_logged_model(run)
    artifacts.store(
        experiments.writer(world.project), owner=model, path="notes.txt", stream=[b"hello"], media_type="text/plain"
    )
    report = reports.create(
        experiments.writer(world.project), project=world.project, title="first",
        content=[{"id": "b1", "kind": "text", "text": "hello"}],
    )  # fmt: skip
    world.values |= {
        "reports": str(report.pk),
        "blocks": "b1",
        "runs": str(run.pk),
        "logged-models": model.uuid,
        **{
            f"{step}/file": f"{experiment.pk}/{run.uuid}/artifacts/notes.txt"
            for step in ("artifacts", "create", "complete", "abort", "presigned")
        },
        "from-client": run.uuid,
        "experiments": "first",
        "artifacts": "notes.txt",
        "raw": "notes.txt",
        "tags": "team",
    }


def _marks(world: World) -> None:
    owner = world.people["scientist"]
    run, experiment = world.values["runs"], Experiment.objects.get(name="first")
    said = Comment.objects.create(
        project=world.project, target_type="run", target_id=int(run), author=owner, text="look"
    )
    now = timezone.now()
    SavedView.objects.create(
        project=world.project, experiment=experiment, number=1, name="deep", query="q=depth%3E2", owner=owner,
        shared=True, created_at=now, updated_at=now,
    )  # fmt: skip
    world.values |= {
        "comments": str(said.pk), "things/kind": "run", "things/number": run, "stars/kind": "run", "stars/number": run,
        "views": "1",
    }  # fmt: skip


def _persons(world: World) -> None:
    search = PersonSearch.objects.create(
        project=world.project, ticket="Letter 1", asked_by=world.people["admin"], state="succeeded", result={}
    )
    world.values |= {"persons": str(search.pk)}


def _deployments(world: World, team: Team) -> None:
    endpoint = make_live(team)
    version = endpoint.current_revision.version
    waiting = make_request(team, version=make_version(team, model="second"))
    described = DatasetVersion.objects.get(dataset__name="people")
    DatasetVersion.objects.filter(schema=[]).update(schema=described.schema, profile=described.profile)
    job = make_job(world.project, dataset_version=described, spec=SPEC)
    world.values |= {
        "models": version.model.name, "models/v": str(version.number), "promotions": str(waiting.pk),
        "deployments": endpoint.name, "endpoints": endpoint.name, "environments": endpoint.environment.name,
        "policies": endpoint.environment.name, "policies/number": "1", "policy": "1", "events/seq": "1",
        "aliases": "best", "reviews": "1", "jobs": str(job.pk), "delegations": str(_delegation(world).pk),
        "files": "json", "technical-files": str(_technical_file(version, world)),
        "reproductions": str(_reproduction(version, world)), "batches": str(_batch(version, described, world)),
        "rollouts": str(_rollout(endpoint, world)),
        "trials": str(_trial(endpoint, world)),
    }  # fmt: skip


def _batch(version: ModelVersion, data: DatasetVersion, world: World) -> int:
    return Batch.objects.create(
        project=world.project, version=version, dataset_version=data, name="scores", rows=4,
        created_by=world.people["scientist"],
    ).pk  # fmt: skip


def _technical_file(version: ModelVersion, world: World) -> int:
    document = annex.document(load(version))
    packed = blobs.put_bytes(b"PK")
    made = TechnicalFile.objects.create(
        version=version, model=version.model, number=1, document=document, sha256="d" * 64, state="succeeded",
        file_sha256=packed.sha256, size_bytes=2, filled=1, asked=2, issued_by=world.people["manager"],
    )  # fmt: skip
    return made.number


def _reproduction(version: ModelVersion, world: World) -> int:
    return Reproduction.objects.create(
        version=version, state="succeeded", metric_tolerance=0.001, prediction_tolerance=0.001, signature="c2lnbmVk",
        asked_by=world.people["scientist"],
        document={"verdict": "not_reproduced", "failure": "The training failed.", "recipe": {}},
        ended_at=timezone.now(), verdict="not_reproduced", signed_by=gates.keyring().key_id,
    ).pk  # fmt: skip


def _rollout(endpoint: Endpoint, world: World) -> int:
    return Rollout.objects.create(
        endpoint=endpoint, promotion=endpoint.current_revision.promotion, state="aborted", reason="Too slow to keep.",
        steps=[{"share": 1.0, "minutes": 10, "requests": 500}], salt="0" * 32, planned_by=world.people["ops"],
    ).pk  # fmt: skip


def _trial(endpoint: Endpoint, world: World) -> int:
    return Trial.objects.create(
        endpoint=endpoint, promotion=endpoint.current_revision.promotion, state="stopped", name="Is it better?",
        hypothesis="It is right more often.", metric="correct", minimum_effect=0.01, plan_sha256="0" * 64,
        salt="0" * 32, planned_by=world.people["ops"],
    ).pk  # fmt: skip


def _delegation(world: World) -> Delegation:
    now = timezone.now()
    return Delegation.objects.create(
        project=world.project, giver=world.people["manager"], taker=world.people["ops"], reason="On leave.",
        valid_from=now, until=now + timedelta(days=3),
    )  # fmt: skip


def _monitoring(world: World) -> None:
    monitor = monitoring.make_monitor(world.project, endpoint="watched")
    rule = monitoring.make_rule(world.project)
    alert = Alert.objects.create(
        project=world.project, rule=rule, monitor=monitor, fingerprint="f" * 64, state="firing", title="age drifted",
        endpoint="watched", version="churn v1", value=0.3, limit=0.25, level="critical", severity="critical",
        opened_at=timezone.now(), changed_at=timezone.now(),
    )  # fmt: skip
    window = monitoring.make_window(monitor)
    channel = Channel.objects.create(
        project=world.project, name="desk", name_key="desk", kind="email", recipients=["a@b.org"]
    )
    hook = Channel.objects.create(
        project=world.project, name="hook", name_key="hook", kind="mlflow", url="https://receiver.invalid/",
        verbs=["version.created"],
    )  # fmt: skip
    now = timezone.now()
    route = AlertRoute.objects.create(project=world.project, name="all", channel=channel)
    incident = Incident.objects.create(
        project=world.project, endpoint="watched", title="age drifted", severity="critical", opened_at=now
    )
    Alert.objects.filter(pk=alert.pk).update(incident=incident)
    silence = Silence.objects.create(
        project=world.project, matchers="kind=latency", starts_at=now, ends_at=now + timedelta(hours=1),
        author=alert.project.created_by,
    )  # fmt: skip
    delivery = Delivery.objects.create(
        channel=channel, message_id="msg_1", verb="alert.firing", subject="age drifted", payload={}, next_at=now,
        give_up_at=now,
    )  # fmt: skip
    world.values |= {
        "monitors": str(monitor.pk), "rules": str(rule.pk), "alert-rules": str(rule.pk), "alerts": str(alert.pk),
        "alerts/action": "acknowledge", "predictions": "0199a000-0000-7000-8000-000000000000",
        "windows": str(window.pk), "channels": str(channel.pk), "channels/action": "test",
        "deliveries": str(delivery.pk), "webhooks": str(hook.pk), "alert-routes": str(route.pk),
        "routes": str(route.pk), "incidents": str(incident.pk), "incidents/action": "acknowledge",
        "silences": str(silence.pk),
    }  # fmt: skip
