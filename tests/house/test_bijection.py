"""A day of a team: each acknowledged change is one entry of the audit log, and each entry is one change."""

import pytest

from deployments.services import aliases, endpoints, promotions
from experiments.services import runs
from mlportal.lib.errors import DomainError
from projects.models import Event, ObjectState
from projects.services import accounts, members, projects, signing_in, tokens, verification
from tests.factories.deployments import make_request, make_team, make_trained_run, make_version
from tests.factories.experiments import make_experiment
from tests.factories.projects import PASSWORD, actor

pytestmark = pytest.mark.django_db


class Day:
    """Does one thing after another and keeps what the log said about each."""

    def __init__(self) -> None:
        self.told: list[tuple[str, list[str]]] = []

    def do(self, change, *args, **kwargs):
        before = Event.objects.count()
        try:
            made = change(*args, **kwargs)
        except DomainError:
            made = None
        entries = list(Event.objects.filter(seq__gt=before).order_by("seq").values_list("verb", flat=True))
        self.told.append((change.__name__, entries))
        return made


def test_each_change_is_one_entry_and_each_entry_one_change():
    team, day = make_team(), Day()
    root, project = actor(team.project.created_by), team.project
    version = make_version(team, run=make_trained_run(team))
    request = make_request(team, version=version)
    bo = day.do(accounts.add, root, username="bo", email="bo@example.org").user
    day.do(signing_in.sign_in, "churn-admin", PASSWORD, address="10.0.0.1")
    day.do(signing_in.sign_in, "churn-admin", "wrong password", address="10.0.0.1")
    member = day.do(members.add, team.admin, project=project, user=bo, role="viewer")
    day.do(members.add, team.admin, project=project, user=bo, role="viewer")  # refused: held already
    member = day.do(members.change_role, team.admin, member=member, role="ops")
    day.do(members.remove, team.admin, member=member)
    day.do(members.remove, team.admin, member=member)  # refused: ended already
    new = day.do(tokens.create, team.scientist, project=project, name="ci", scopes=["read"])
    day.do(tokens.revoke, team.scientist, token=new.token)
    day.do(projects.edit, team.admin, project=project, name="Churn and more", description="")
    run = day.do(runs.create, team.scientist, experiment=make_experiment(project), name="r")
    day.do(runs.start, team.scientist, run=run)
    day.do(runs.log_batch, team.scientist, run=run, metrics=[("auc", 0.9, 1, 0)])  # data: no entry
    day.do(runs.finish, team.scientist, run=run, state="finished")
    day.do(aliases.point, team.scientist, version=version, name="champion")
    day.do(aliases.end, team.scientist, model=version.model, name="champion")
    day.do(aliases.end, team.scientist, model=version.model, name="champion")  # refused: gone
    day.do(promotions.decide, team.scientist2, request=request, verdict="approve")  # refused: own request
    day.do(promotions.decide, team.manager, request=request, verdict="approve")
    day.do(promotions.decide, team.manager2, request=request, verdict="approve")  # refused: decided already
    endpoint = version.model.endpoints.get()
    day.do(endpoints.configure, team.ops, endpoint=endpoint, log_mode="hashed")
    day.do(endpoints.disable, team.ops, endpoint=endpoint, reason="Maintenance of the scorer.")
    day.do(endpoints.enable, team.ops, endpoint=endpoint)
    day.do(accounts.deactivate, root, user=bo)
    day.do(accounts.erase, root, user=bo, reason="Asked by letter.")

    assert day.told == [
        ("add", ["user.created"]), ("sign_in", ["user.signed_in"]), ("sign_in", ["user.sign_in_failed"]),
        ("add", ["member.added"]), ("add", []), ("change_role", ["member.changed"]), ("remove", ["member.removed"]),
        ("remove", []), ("create", ["token.created"]), ("revoke", ["token.revoked"]), ("edit", ["project.edited"]),
        ("create", ["run.created"]), ("start", ["run.started"]), ("log_batch", []), ("finish", ["run.finished"]),
        ("point", ["alias.set"]), ("end", ["alias.removed"]), ("end", []), ("decide", []),
        # An approval that the rules let switch at once moves the endpoint and starts its monitor: three changes.
        ("decide", ["promotion.approved", "monitor.bound", "endpoint.switched"]), ("decide", []),
        ("configure", ["endpoint.configured"]), ("disable", ["endpoint.disabled"]), ("enable", ["endpoint.enabled"]),
        ("deactivate", ["user.deactivated"]), ("erase", ["user.erased"]),
    ]  # fmt: skip
    assert verification.verify().code == verification.INTACT
    for state in ObjectState.objects.all():  # what the log says of each object is what the object is
        rows = Event.objects.filter(target_type=state.target_type, target_id=state.target_id).order_by("seq")
        hashes = [(event.before_hash, event.after_hash) for event in rows]
        assert [before for before, _ in hashes[1:]] == [after for _, after in hashes[:-1]]
        assert hashes[-1][1] == state.hash
