"""Projects beside that of the stage, each for one file of browser tests: a portal of its own would cost each of them
half a minute of processor."""


def settle() -> dict[str, str]:
    """Make them all and return the token that a client logs with; Django is set up."""
    audited()
    described()
    ruled()
    filtered()
    return {"client_token": logged()}


def audited() -> None:
    """Two versions were in production, the first until the afternoon of 12 March."""
    from datetime import UTC, datetime

    from deployments.models import EndpointInterval
    from tests.factories.deployments import make_live, make_team, make_trained_run, make_version

    team = make_team("audit")
    make_live(team)
    make_live(team, version=make_version(team, run=make_trained_run(team)))
    moves = [datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 12, 15, tzinfo=UTC), None]
    for at, row in enumerate(EndpointInterval.objects.filter(endpoint__project=team.project).order_by("pk")):
        EndpointInterval.objects.filter(pk=row.pk).update(valid_from=moves[at], valid_to=moves[at + 1])


def described() -> None:
    """A version in production whose card says where it is weak."""
    from deployments.services import cards
    from tests.factories.deployments import make_live, make_team

    team = make_team("papers")
    version = make_live(team).current_revision.version
    cards.write(team.scientist, version=version, texts={"limitations": "Weak for customers under 18."})


def ruled() -> None:
    """A registered version, so that there are environments with their first policies."""
    from tests.factories.deployments import make_team, make_version

    make_version(make_team("policy"))


def filtered() -> None:
    """Four runs, and Sam, who may do everything with them."""
    from experiments.services import runs
    from tests.factories import experiments as made
    from tests.factories.projects import make_project, make_user

    project = make_project("filter")
    make_user("sam", role="admin", project=project)
    by, place = made.writer(project), made.make_experiment(project, "sweep")
    for at, solver in enumerate(("saga", "lbfgs", "saga", "newton")):
        run = made.make_run(place, f"r{at}", params={"solver": solver, "depth": str(at)})
        runs.start(by, run=run)
        runs.finish(by, run=run, state="finished")


def logged() -> str:
    """An empty project, and a token of Pia, whose client logs into it."""
    from tests.factories.projects import make_project, make_token, make_user

    project = make_project("vision")
    return make_token(make_user("pia", role="admin", project=project), project, ["read", "write"])
