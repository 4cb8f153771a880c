"""Whatever is killed while the checks of a dataset are measured, none of them passes unmeasured."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mlportal.lib.errors import Conflict
from mlportal.lib.lease import TERMINAL
from projects.models import CheckRun, DatasetVersion, Event, Project
from projects.services import checks
from tests.factories.jobs import make_scientist, make_version
from tests.factories.projects import actor, make_project
from tests.faults.plant import Plant, kill_group, plant, wait

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.django_db(transaction=True)]
HOLDS = {"kind": "range", "columns": ["sepal_l"], "min": 0, "max": 100, "severity": "gate"}
ENDLESS = {
    "kind": "sql", "name": "never ends", "severity": "gate",
    "query": "SELECT count(*) AS n FROM range(1000000000000)",
}  # fmt: skip


@pytest.fixture
def works(tmp_path: Path) -> Iterator[Plant]:
    with plant(tmp_path) as made:
        yield made


@pytest.fixture
def project() -> Project:
    return make_project()


def asked(project: Project, *rules: dict[str, object]) -> CheckRun:
    """A queued run of these rules on iris."""
    version = make_version(project)
    by = actor(make_scientist(project))
    checks.save(by, dataset=version.dataset, rules=list(rules))
    return checks.run(by, version=version)


def fresh(run: CheckRun) -> CheckRun:
    return CheckRun.objects.select_related("version__dataset__project").get(pk=run.pk)


def ended(run: CheckRun, *, within: float = 120) -> CheckRun:
    wait(lambda: fresh(run).state in TERMINAL, within, "the end of the checks")
    return fresh(run)


def told(run: CheckRun) -> list[str]:
    rows = Event.objects.filter(verb__in=("checks.passed", "checks.failed"), target_id=run.version_id)
    return list(rows.values_list("verb", flat=True))


def refused(run: CheckRun) -> str:
    """Why a training on the version would be refused."""
    version = DatasetVersion.objects.select_related("dataset__project").get(pk=run.version_id)
    with pytest.raises(Conflict) as caught:
        checks.gate(actor(make_scientist(version.dataset.project)), version=version)
    return caught.value.code


def test_a_worker_killed_while_it_measures_is_replaced_and_the_limit_holds(works: Plant, project: Project) -> None:
    first = works.worker("one", MLPORTAL_CHECK_SQL_SECONDS="60")
    run = asked(project, HOLDS, ENDLESS)
    wait(lambda: fresh(run).phase == "never ends" and fresh(run).state == "running", 90, "the endless check")
    kill_group(first)
    seen = fresh(run)
    assert (seen.verdict, seen.version.check_state, seen.results.count()) == ("", "none", 0)
    assert refused(run) == "checks_running"
    works.worker("two", MLPORTAL_CHECK_SQL_SECONDS="2")
    done = ended(run)
    assert (done.state, done.attempt, done.verdict, done.version.check_state) == ("succeeded", 2, "error", "error")
    assert [one.outcome for one in done.results.order_by("place")] == ["passed", "error"]
    assert (told(run), refused(run)) == (["checks.failed"], "checks_failed")


@pytest.mark.parametrize("point", ["checks.claimed", "checks.measured"])
def test_death_in_a_gap_is_made_good_once(works: Plant, project: Project, point: str) -> None:
    first = works.worker("one", MLPORTAL_FAILPOINT=point)
    run = asked(project, HOLDS)
    wait(lambda: "SIGKILL" in works.words(), 60, f"death at {point}")
    kill_group(first)
    assert (fresh(run).verdict, fresh(run).results.count()) == ("", 0)
    works.worker("two")
    done = ended(run)
    assert (done.state, done.verdict, done.version.check_state) == ("succeeded", "passed", "passed")
    assert (done.results.count(), told(run)) == (1, ["checks.passed"])


def test_checks_that_kill_every_worker_end_unmeasured_and_bar_the_launch(works: Plant, project: Project) -> None:
    works.worker("one", MLPORTAL_FAILPOINT="checks.measured")
    run = asked(project, HOLDS)
    done = ended(run)
    assert (done.state, done.attempt, done.verdict, done.version.check_state) == ("failed", 3, "error", "error")
    assert done.failure == "Interrupted 3 times: the worker stopped answering each time."
    assert (done.results.count(), told(run), refused(run)) == (0, ["checks.failed"], "checks_failed")
