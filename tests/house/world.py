"""One project with a row of everything, and the values that address them."""

from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq

from deployments.services import endpoints, policies, registry
from experiments.services import artifacts
from mlportal.lib import blobs
from monitoring.services import alerts
from projects.models import Dataset, DatasetVersion, Membership, Project, User
from projects.permissions import Permission, Role
from projects.services import channels
from tests.factories import deployments, experiments, monitoring
from tests.factories.projects import make_project, make_user, system

PROJECT = "churn"


@dataclass
class World:
    """The project, its people and the words that fill address patterns."""

    project: Project
    people: dict[str, User] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)


def make_world() -> World:
    """Build it with rows only: no worker, no file but a small table."""
    project = make_project(PROJECT)
    world = World(project=project, values={"p": PROJECT, "projects": PROJECT, "projects/project": PROJECT})
    for role in Role:
        world.people[role] = make_user(role.value, role=role, project=project)
    world.people["outsider"] = make_user("outsider")
    world.people["site"] = make_user("site", is_site_admin=True)
    _dataset(world)
    _runs(world)
    _monitoring(world)
    _deployments(world)
    return world


def _dataset(world: World) -> None:
    table = pa.table(
        {"age": [31.0, 45.0, 28.0, 60.0], "plan": ["a", "b", "a", "c"], "churned": [True, False, True, False]}
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    stored = blobs.put_bytes(sink.getvalue().to_pybytes())
    owner = world.people["scientist"]
    dataset = Dataset.objects.create(project=world.project, name="people", name_key="people", created_by=owner)
    DatasetVersion.objects.create(
        dataset=dataset, number=1, sha256=stored.sha256, parquet_sha256=stored.sha256, size_bytes=stored.size_bytes,
        filename="people.parquet", format="parquet", state="succeeded", row_count=4, column_count=3, progress=1.0,
        created_by=owner,
        schema=[
            {"name": "age", "kind": "numeric", "dtype": "double", "nullable": False},
            {"name": "plan", "kind": "categorical", "dtype": "string", "nullable": False},
            {"name": "churned", "kind": "boolean", "dtype": "bool", "nullable": False},
        ],
        profile={"columns": []},
    )  # fmt: skip
    world.values |= {"datasets": "people", "v": "1", "versions": "1"}


def _runs(world: World) -> None:
    experiment = experiments.make_experiment(world.project, "first")
    run = experiments.make_run(experiment, params={"depth": "3"}, tags={"team": "a"})
    experiments.log(run, "auc", [0.7, 0.8])
    artifacts.store(
        experiments.writer(world.project), run=run, path="notes.txt", stream=[b"hello"], media_type="text/plain"
    )
    world.values |= {
        "runs": str(run.pk), "experiments": "first", "artifacts": "notes.txt", "tags": "team", "members": str(
            Membership.objects.filter(project=world.project).order_by("pk").values_list("pk", flat=True)[0]
        ),
    }  # fmt: skip


def _monitoring(world: World) -> None:
    monitor = monitoring.make_monitor(world.project)
    rule = monitoring.make_rule(world.project)
    window = monitoring.make_window(monitor)
    (alert,) = alerts.settle(
        monitoring.watcher(world.project), rule=rule, window=window, outcome="breach",
        samples=[monitoring.sample("critical")],
    )  # fmt: skip
    editor = system(world.project, Permission.CHANNEL_EDIT)
    channel = channels.create(
        editor, project=world.project, name="Team", kind="email", recipients=["team@example.org"]
    ).channel
    delivery = channels.send_test(editor, channel=channel)
    world.values |= {
        "monitors": str(monitor.pk), "windows": str(window.pk), "rules": str(rule.pk), "alert-rules": str(rule.pk),
        "alerts": str(alert.pk), "alerts/action": "acknowledge", "channels": str(channel.pk), "channels/action": "test",
        "new/kind": "webhook", "deliveries": str(delivery.pk),
    }  # fmt: skip


def _deployments(world: World) -> None:
    """Two versions that were live, a rollback with its review, an open request and proposed rules."""
    people = {role.value: world.people[role] for role in Role}
    people["scientist2"] = make_user("asker", role="scientist", project=world.project)
    team = deployments.Team(world.project, people)
    for _turn in range(2):
        endpoint = deployments.make_live(team)
    made = endpoints.rollback(team.ops, endpoint=endpoint, reason="Errors doubled after the switch.")
    request = deployments.make_request(team)
    make_user("second-admin", role="admin", project=world.project)
    place = deployments.environment(team, "staging")
    proposal = policies.change(team.admin, environment=place, min_approvals=2)
    registry.set_alias(team.scientist, version=request.version, name="best")
    world.values |= {
        "models": "churn", "promotions": str(request.pk), "endpoints": endpoint.name, "deployments": endpoint.name,
        "reviews": str(made.number), "environments": "staging", "policies/environment": "staging",
        "policies/number": str(proposal.number), "policy": str(proposal.number), "aliases": "best",
    }  # fmt: skip
