"""Pages of training jobs: what they say in each state, the launch form, rights, query counts."""

import re
from typing import Any

import pytest
from django.test import Client

from experiments.models import TrainingJob
from experiments.services import attempts
from mlportal.lib.lease import WorkState
from projects.models import Project
from tests.factories.jobs import make_job, make_scientist, make_version
from tests.factories.projects import make_project, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def scientist(project: Project) -> Client:
    client = Client()
    client.force_login(make_scientist(project))
    return client


def text(answer: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def form_values(answer: Any, **changes: Any) -> dict[str, Any]:
    """The values a scientist would send from the launch page."""
    form = answer.context["form"]
    values = {"from": answer.context["from"], "sent": "1"}
    for field in form:
        value = field.value()
        if value not in (None, "", [], False):
            values[field.html_name] = "on" if value is True else value
    values.update(changes)
    return {name: value for name, value in values.items() if value is not None}


NEW = "/p/churn/jobs/new/"


class TestLaunch:
    def test_without_data_it_says_where_to_go(self, scientist: Client) -> None:
        answer = scientist.get(NEW)
        assert answer.status_code == 200
        assert "There is no data to train on yet" in text(answer)

    def test_starts_from_the_newest_version_with_its_last_column_as_target(
        self, project: Project, scientist: Client
    ) -> None:
        make_version(project)
        form = scientist.get(NEW).context["form"]
        assert (form["target"].value(), form["task"].value(), form["algorithm"].value()) == (
            "species",
            "classification",
            "random_forest",
        )

    def test_numeric_target_suggests_regression(self, project: Project, scientist: Client) -> None:
        make_version(project)
        form = scientist.get(NEW + "?target=petal_w").context["form"]
        assert (form["task"].value(), "stratify" in form.fields) == ("regression", False)

    def test_sent_form_launches_what_it_shows(self, project: Project, scientist: Client) -> None:
        make_version(project)
        page = scientist.get(NEW)
        values = form_values(page, **{"hyper_parameters.n_estimators": "50", "seed": "9", "experiment": "first"})
        answer = scientist.post(NEW, values)
        job = TrainingJob.objects.get()
        assert (answer.status_code, answer["Location"]) == (302, f"/p/churn/jobs/{job.pk}/")
        assert (job.spec["hyper_parameters"]["n_estimators"], job.spec["seed"]) == (50, 9)
        assert (job.spec["features"], job.spec["stratify"], job.run.experiment.name) == (None, True, "first")
        assert job.run.name == "random-forest-n_estimators=50"

    def test_chosen_columns_are_sent(self, project: Project, scientist: Client) -> None:
        make_version(project)
        values = form_values(scientist.get(NEW), features_from="some", features=["petal_l", "petal_w"])
        scientist.post(NEW, values)
        assert TrainingJob.objects.get().spec["features"] == ["petal_l", "petal_w"]

    def test_unticked_stratify_is_sent_as_false(self, project: Project, scientist: Client) -> None:
        make_version(project)
        scientist.post(NEW, form_values(scientist.get(NEW), stratify=None))
        assert TrainingJob.objects.get().spec["stratify"] is False

    @pytest.mark.parametrize(
        ("name", "value", "message"),
        [
            ("test_share", "1.5", "test_share must be a number from 0.01 to 0.9. It was 1.5."),
            ("seed", "x", "seed must be a whole number from 0 to 4,294,967,295. It was &quot;x&quot;."),
            (
                "hyper_parameters.n_estimators",
                "1000000000",
                "n_estimators must be a whole number from 1 to 2,000. It was 1000000000.",
            ),
            ("wall_minutes", "0", "wall_seconds must be a whole number from 10 to 604,800"),
            ("experiment", "x" * 501, "experiment"),
        ],
    )
    def test_fault_stands_at_its_field_and_values_stay(
        self, project: Project, scientist: Client, name: str, value: str, message: str
    ) -> None:
        make_version(project)
        answer = scientist.post(NEW, form_values(scientist.get(NEW), **{name: value}))
        page = answer.content.decode()
        assert answer.status_code == 422
        assert message in page
        assert list(answer.context["form"].errors) == [name]
        assert answer.context["form"][name].value() == value
        assert f'href="#id_{name}"' in page
        assert TrainingJob.objects.count() == 0

    def test_refresh_changes_the_parameters_and_launches_nothing(self, project: Project, scientist: Client) -> None:
        make_version(project)
        values = form_values(scientist.get(NEW), algorithm="k_neighbors", refresh="algorithm")
        answer = scientist.post(NEW, values)
        assert answer.status_code == 200
        rows = [row.rule.name for row in answer.context["form"].parameter_rows]
        assert rows == ["n_neighbors", "weights", "p"]
        assert TrainingJob.objects.count() == 0

    def test_refresh_shows_the_fault_of_the_left_field_only(self, project: Project, scientist: Client) -> None:
        make_version(project)
        values = form_values(scientist.get(NEW), seed="x", test_share="7", refresh="seed")
        assert list(scientist.post(NEW, values).context["form"].errors) == ["seed"]

    def test_copy_marks_what_was_changed(self, project: Project, scientist: Client) -> None:
        job = make_job(project, spec={"algorithm": "random_forest", "hyper_parameters": {"n_estimators": 70}})
        answer = scientist.get(f"{NEW}?from=run:{job.run_id}&hyper_parameters.max_depth=4")
        assert answer.context["changes"] == [("max_depth", "none", "4")]
        changed = [row.rule.name for row in answer.context["form"].parameter_rows if row.changed]
        assert changed == ["max_depth"]
        scientist.post(NEW, form_values(answer))
        copy = TrainingJob.objects.order_by("-pk")[0]
        assert (copy.baseline_id, copy.spec["hyper_parameters"]["n_estimators"]) == (job.run_id, 70)
        assert copy.spec["hyper_parameters"]["max_depth"] == 4

    def test_copy_of_an_unchanged_job_is_the_same_training(self, project: Project, scientist: Client) -> None:
        job = make_job(project, spec={"hyper_parameters": {"C": 0.123456789}, "test_share": 0.25, "folds": 4})
        scientist.post(NEW, form_values(scientist.get(f"{NEW}?from=job:{job.pk}")))
        assert TrainingJob.objects.order_by("-pk")[0].spec == job.spec

    def test_code_does_the_same(self, project: Project, scientist: Client) -> None:
        import json

        make_version(project)
        body = json.loads(scientist.get(NEW).context["body"])
        assert (body["dataset"], body["version"], body["spec"]["algorithm"]) == ("iris", 1, "random_forest")

    @pytest.mark.parametrize("source", ["run:999999", "job:5"])
    def test_unknown_source_is_404(self, project: Project, scientist: Client, source: str) -> None:
        make_version(project)
        assert scientist.get(f"{NEW}?from={source}").status_code == 404

    @pytest.mark.parametrize("role", ["viewer", "manager", "ops"])
    def test_others_may_not_see_it(self, project: Project, role: str) -> None:
        client = Client()
        client.force_login(make_user("eve", role=role, project=project))
        assert client.get(NEW).status_code == 403


class TestPages:
    def test_empty_list_says_what_a_job_is(self, scientist: Client) -> None:
        assert "No training has been launched here" in text(scientist.get("/p/churn/jobs/"))

    def test_list_filters_by_state(self, project: Project, scientist: Client) -> None:
        queued, failed = make_job(project), make_job(project)
        TrainingJob.objects.filter(pk=failed.pk).update(state=WorkState.FAILED)
        listed = scientist.get("/p/churn/jobs/?state=failed").context["jobs"]
        assert [job.pk for job in listed] == [failed.pk]
        listed = scientist.get("/p/churn/jobs/?state=active").context["jobs"]
        assert [job.pk for job in listed] == [queued.pk]

    @pytest.mark.parametrize("count", [1, 3])
    def test_list_costs_the_same_for_any_count(
        self, project: Project, scientist: Client, count: int, django_assert_num_queries: Any
    ) -> None:
        for _ in range(count):
            make_job(project)
        scientist.get("/p/churn/jobs/")
        with django_assert_num_queries(LIST_QUERIES):
            scientist.get("/p/churn/jobs/")

    @pytest.mark.parametrize(
        ("state", "words"),
        [
            ("queued", "Waiting for a worker"),
            ("failed", "The job failed."),
            ("timed_out", "The job took too long."),
            ("cancelled", "Ended at 0%"),
            ("succeeded", "Done"),
        ],
    )
    def test_job_says_its_state(self, project: Project, scientist: Client, state: str, words: str) -> None:
        job = make_job(project)
        failure = "No luck." if state in ("failed", "timed_out") else ""
        TrainingJob.objects.filter(pk=job.pk).update(state=state, failure=failure)
        page = text(scientist.get(f"/p/churn/jobs/{job.pk}/"))
        assert words in page
        assert failure in page

    def test_running_job_shows_phase_metrics_and_log(self, project: Project, scientist: Client) -> None:
        job = make_job(project, spec={"folds": 3})
        held = attempts.begin(job.pk, worker="w/1")
        assert held
        lines = [(1_790_000_000_123, "info", "hello <b>"), (1_790_000_000_456, "warning", "careful")]
        part = attempts.LogPart(first_line=0, lines=lines, warnings=1, errors=0)
        phases = [{"name": "load", "started_ms": 1, "ended_ms": 4201}]
        attempts.report(
            held, metrics=[("cv/accuracy", 0.9375, 1, 1)], log=part, phase="prepare", phases=phases, progress=0.5
        )
        page = text(scientist.get(f"/p/churn/jobs/{job.pk}/"))
        for words in ("50%", "Load data", "4.2 s", "cv/accuracy", "0.9375", "hello &lt;b&gt;", "Warnings 1", "w/1"):
            assert words in page
        assert b"data-live-done" not in scientist.get(f"/p/churn/jobs/{job.pk}/live/").content

    def test_ended_job_stops_asking(self, project: Project, scientist: Client) -> None:
        job = make_job(project)
        TrainingJob.objects.filter(pk=job.pk).update(state=WorkState.SUCCEEDED)
        for part in ("", "live/", "log/"):
            page = scientist.get(f"/p/churn/jobs/{job.pk}/{part}").content.decode()
            assert f"/jobs/{job.pk}/live/" not in page
            assert "log-tail" not in page

    def test_log_part_reads_on_and_filters(self, project: Project, scientist: Client) -> None:
        job = make_job(project)
        held = attempts.begin(job.pk, worker="w/1")
        assert held
        lines = [(1000 + n, "warning" if n == 3 else "info", f"line {n}") for n in range(5)]
        attempts.report(held, log=attempts.LogPart(first_line=0, lines=lines, warnings=1, errors=0))
        base = f"/p/churn/jobs/{job.pk}/log/"
        found = scientist.get(base + "?after=2").context
        assert ([line.number for line in found["lines"]], found["next"]) == ([2, 3, 4], 5)
        assert [line.number for line in scientist.get(base + "?level=warning").context["lines"]] == [3]
        assert [line.number for line in scientist.get(base + "?find=LINE 4").context["lines"]] == [4]
        assert scientist.get(base + "?after=x").status_code == 400
        whole = scientist.get(f"/p/churn/jobs/{job.pk}/log.txt")
        assert (
            b"".join(whole.streaming_content).decode().splitlines()[3] == "1970-01-01T00:00:01.003+00:00 warning line 3"
        )

    def test_stop_and_retry(self, project: Project, scientist: Client) -> None:
        job = make_job(project)
        assert scientist.post(f"/p/churn/jobs/{job.pk}/cancel/").status_code == 302
        assert TrainingJob.objects.get(pk=job.pk).state == "cancelled"
        assert scientist.post(f"/p/churn/jobs/{job.pk}/cancel/").status_code == 302
        assert scientist.post(f"/p/churn/jobs/{job.pk}/retry/").status_code == 302
        assert TrainingJob.objects.count() == 2

    def test_viewer_sees_but_has_no_buttons(self, project: Project) -> None:
        job = make_job(project)
        client = Client()
        client.force_login(make_user("eve", role="viewer", project=project))
        page = text(client.get(f"/p/churn/jobs/{job.pk}/"))
        assert "Waiting for a worker" in page
        assert " Stop " not in page
        assert client.post(f"/p/churn/jobs/{job.pk}/cancel/").status_code == 403

    def test_outsider_gets_404(self, project: Project) -> None:
        job = make_job(project)
        client = Client()
        client.force_login(make_user("eve"))
        assert [client.get(f"/p/churn/jobs/{part}").status_code for part in ("", f"{job.pk}/", "new/")] == [404] * 3

    def test_job_of_another_project_is_404(self, project: Project, scientist: Client) -> None:
        other = make_project("other")
        job = make_job(other, dataset_version=make_version(other))
        assert scientist.get(f"/p/churn/jobs/{job.pk}/").status_code == 404


LIST_QUERIES = 6
