"""Reports: blocks, what stays live, what is frozen, and the file that needs no network."""

import base64
import json
import re
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client

from experiments.models import Artifact, ImportanceStudy, Report, Run
from experiments.queries import environments
from experiments.services import artifacts, reports
from experiments.views import standalone
from mlportal.lib.errors import Conflict, Invalid, TooLarge
from projects.models import Event
from tests.factories.experiments import log, make_experiment, make_run, writer
from tests.factories.projects import make_project, make_token, make_user

pytestmark = pytest.mark.django_db
P = "/p/churn"


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def experiment(project):
    found = make_experiment(project)
    for i in range(3):
        log(make_run(found, f"r{i}", params={"depth": str(i)}), "roc_auc", [0.5, 0.6 + i / 10])
    return found


@pytest.fixture
def web(project):
    client = Client()
    client.force_login(make_user("ana", role="scientist", project=project))
    return client


@pytest.fixture
def report(project, experiment):
    asked = {"experiment": experiment.pk, "state": "q=depth>=0"}
    content = [
        {"id": "t1", "kind": "text", "text": "# Why\n<script>alert(1)</script>"},
        {"id": "c1", "kind": "chart", "chart": "curves", "metric": "roc_auc", **asked},
        {"id": "r1", "kind": "runs", **asked},
        {"id": "d1", "kind": "table", **asked},
    ]
    return reports.create(writer(project), project=project, title="Spring", content=content)


def listed(web, report):
    page = web.get(f"{P}/reports/{report.pk}/").content.decode()
    return re.findall(r'<th scope="row"><a href="/p/churn/runs/\d+/">\d+ (r\w+|late)</a></th>', page)


def test_a_live_report_follows_its_question_and_a_frozen_one_does_not(web, project, experiment, report):
    log(make_run(experiment, "late", params={"depth": "9"}), "roc_auc", [0.99])
    assert listed(web, report) == ["late", "r2", "r1", "r0"]
    page = web.get(f"{P}/reports/{report.pk}/").content.decode()
    assert "<h2>Why</h2>" in page  # below the title of the page, as nothing else heads a block of text
    labels = re.findall(r'aria-label="(Block [^"]+)"', page)
    assert labels == ["Block 1: Text", "Block 2: Metric curves", "Block 3: Runs", "Block 4: Differences"]
    assert re.search(r'<th scope="col" class="n base"><a href="/p/churn/runs/\d+/" title="late">', page)
    frozen = reports.freeze(writer(project), report=report)
    before = frozen.frozen
    log(make_run(experiment, "later", params={"depth": "9"}), "roc_auc", [0.999])
    Run.objects.filter(name="r1").update(name="renamed")
    assert listed(web, report) == ["late", "r2", "r1", "r0"]
    frozen.refresh_from_db()
    assert (frozen.frozen, len(frozen.frozen_digest)) == (before, 64)
    points = web.get(f"{P}/reports/{report.pk}/blocks/c1/").json()
    assert [r["name"].split()[1] for r in points["data"]["runs"]] == ["late", "r2", "r1", "r0"]
    verbs = Event.objects.filter(target_type="report").order_by("seq").values_list("verb", flat=True)
    assert list(verbs) == ["report.created", "report.frozen"]


@pytest.mark.parametrize("do", ["text", "remove", "rename", "freeze", "up"])
def test_frozen_reports_refuse_every_change(web, project, report, do):
    reports.freeze(writer(project), report=report)
    kept = Report.objects.values().get()
    web.post(f"{P}/reports/{report.pk}/change/", {"do": do, "block": "t1", "text": "x", "title": "y"})
    assert Report.objects.values().get() == kept
    with pytest.raises(Conflict):
        reports.change(writer(project), report=report, title="other")


def test_frozen_values_that_were_changed_behind_the_portal_are_noticed(web, project, report):
    reports.freeze(writer(project), report=report)
    Report.objects.update(frozen="[]")
    answer = web.get(f"{P}/reports/{report.pk}/blocks/c1/")
    assert (answer.status_code, "does not have its digest" in answer.content.decode()) == (409, True)


def test_blocks_are_added_moved_changed_and_removed_by_plain_forms(web, report, experiment):
    url = f"{P}/reports/{report.pk}/change/"
    web.post(url, {"do": "up", "block": "d1"})
    web.post(url, {"do": "down", "block": "t1"})
    web.post(url, {"do": "edit", "block": "t1", "text": "new"})
    web.post(url, {"do": "remove", "block": "r1"})
    web.post(url, {"do": "ask", "what": "scatter", "experiment": experiment.pk, "q": "depth>1"})
    report.refresh_from_db()
    assert [(b["id"], b["kind"]) for b in report.blocks[:3]] == [("c1", "chart"), ("t1", "text"), ("d1", "table")]
    assert report.blocks[1]["text"] == "new"
    assert (report.blocks[3]["chart"], report.blocks[3]["state"]) == ("scatter", "q=depth%3E1")
    web.post(url, {"do": "delete"})
    assert not Report.objects.exists()


@pytest.mark.parametrize(
    ("block", "field"),
    [
        ({"kind": "video"}, "blocks.0.kind"),
        ({"kind": "text", "html": "x"}, "blocks.0"),
        ({"kind": "text", "text": 3}, "blocks.0.text"),
        ({"kind": "runs", "experiment": 999}, "blocks.0.experiment"),
        ({"kind": "text", "text": "x" * 50_001}, "blocks.0.text"),
    ],
)
def test_wrong_blocks_are_refused_by_name(project, report, block, field):
    with pytest.raises(Invalid) as refused:
        reports.change(writer(project), report=report, content=[block])
    assert refused.value.field == field


def test_a_report_has_a_bound(project, report):
    with pytest.raises(TooLarge):
        reports.change(writer(project), report=report, content=[{"kind": "text", "text": ""}] * 51)


def test_parts_of_a_comparison_go_into_a_report(web, experiment):
    asked = {"state": "q=depth>0&smooth=50", "part": ["curves", "table"], "title": "From compare"}
    place = web.post(f"{P}/experiments/churn-gbm/compare/report/", asked)["Location"]
    made = Report.objects.get(title="From compare")
    assert place == f"{P}/reports/{made.pk}/"
    assert [(b["kind"], b.get("metric")) for b in made.blocks] == [("chart", "roc_auc"), ("table", None)]
    assert made.blocks[0]["state"] == "q=depth%3E0&smooth=50"
    web.post(f"{P}/experiments/churn-gbm/compare/report/", {"state": "", "part": "runs", "report": made.pk})
    made.refresh_from_db()
    assert [b["kind"] for b in made.blocks] == ["chart", "table", "runs"]


def test_the_file_loads_nothing_and_shows_hostile_text_as_text(web, experiment):
    log(make_run(experiment, "</script><img src=x>", params={"depth": "7"}), "roc_auc", [0.95])
    page = web.get(f"{P}/experiments/churn-gbm/compare/export/?q=depth>=0&file=1")
    text = page.content.decode()
    assert page["Content-Disposition"] == 'attachment; filename="churn-gbm-compare.html"'
    own = text.replace(standalone.library(), "")
    assert re.findall(r'(?:src|href)="[^#"][^"]*"', own) == []
    assert "<img" not in own
    assert "url(" not in own.split("</style>")[0]
    said = web.get(f"{P}/experiments/churn-gbm/compare/export/?q=depth>=0").content.decode()
    assert re.search(r"Download, 1\.\d MB", said)


def test_the_file_holds_evaluations_images_and_tables(web, experiment, monkeypatch):
    made = [make_run(experiment, name, params={"depth": "9"}) for name in ("one", "two")]
    for at, run in enumerate(made):
        stored = {
            "roc.json": {"curves": [{"class": "yes", "auc": 0.9, "fpr": [0.0, 1.0], "tpr": [0.0, 1.0]}]},
            "confusion_matrix.json": {"labels": ["no", "yes"], "matrix": [[8, at], [1, 9]]},
        }  # fmt: skip
        for path, content in stored.items():
            store(run, path, json.dumps(content).encode(), "application/json")
        store(run, "roc_curve_plot.png", b"\x89PNG" + bytes(60), "image/png")
        store(run, "rows.csv", b"name,n\n" + b"".join(b"</td>,%d\n" % n for n in range(30)), "text/csv")
    address = f"{P}/experiments/churn-gbm/compare/export/?runs={made[0].pk},{made[1].pk}"
    text = web.get(f"{address}&file=1").content.decode()
    own = text.replace(standalone.library(), "")
    assert json.loads(re.search(r'id="d-evaluations">(.*?)</script>', own)[1])["roc"]["lines"][0]["y"] == [0.0, 1.0]
    assert own.count('<caption class="vh">Confusion matrix of run') == 2
    assert own.count('data-figure="ROC"') == 1
    picture = base64.b64encode(b"\x89PNG" + bytes(60)).decode()
    assert own.count(f'src="data:image/png;base64,{picture}"') == 2
    assert (own.count("&lt;/td&gt;</td>"), own.count("first 20 rows</span>")) == (40, 2)
    assert re.findall(r'(?:src|href)="(?!data:image/png)[^#"][^"]*"', own) == []
    monkeypatch.setattr("experiments.views.compare_file.IMAGE_BYTES", 100)
    assert web.get(f"{address}&file=1").content.decode().count(f"base64,{picture}") == 1
    assert "1 image is left out: together they may have 100" in web.get(address).content.decode()
    wanted = {"state": address.partition("?")[2], "part": ["matrices", "runs"], "title": "Matrices"}
    web.post(f"{P}/experiments/churn-gbm/compare/report/", wanted)
    report = Report.objects.get(title="Matrices")
    web.post(f"{P}/reports/{report.pk}/change/", {"do": "freeze"})
    Artifact.objects.filter(path="confusion_matrix.json").delete()
    for page in (f"{P}/reports/{report.pk}/", f"{P}/reports/{report.pk}/export/"):
        assert web.get(page).content.decode().count('<caption class="vh">Confusion matrix of run') == 2


def store(run, path, content, media_type):
    artifacts.store(writer(run.project), owner=run, path=path, stream=[content], media_type=media_type)


def test_the_data_of_a_comparison_as_csv(web, experiment):
    lines = b"".join(web.get(f"{P}/experiments/churn-gbm/compare/data.csv?q=depth>0").streaming_content).decode()
    assert [line.split(",")[1:] for line in lines.split()] == [
        ["name", "state", "params.depth", "metrics.roc_auc"], ["r2", "queued", "2", "0.8"], ["r1", "queued", "1", "0.7"]
    ]  # fmt: skip


def test_packages_and_code_differ_in_the_table(web, project, experiment):
    made = list(Run.objects.order_by("pk"))[:2]
    for run, version in zip(made, ("1.5.0", "1.6.1"), strict=True):
        files = {"model/environment.json": json.dumps({"python": "3.11.7", "libraries": {"scikit_learn": version}})}
        for path, content in files.items():
            artifacts.store(writer(project), owner=run, path=path, stream=[content.encode()])
    page = web.get(f"{P}/experiments/churn-gbm/compare/?runs={made[0].pk},{made[1].pk}").content.decode()
    assert re.search(r"Packages</th>.*?scikit-learn.*?1\.5\.0.*?1\.6\.1", page, re.DOTALL)
    assert environments.read("r/requirements.txt", "Numpy==2.1.0\npandas[x]>=2 ; python_version>'3'\n-r other\n") == {
        "numpy": "2.1.0", "pandas": ">=2"
    }  # fmt: skip


def test_the_api_writes_reads_and_freezes(project, experiment):
    token = make_token(make_user("bot", role="scientist", project=project), project, ["read", "write"])
    api, base = Client(headers={"Authorization": f"Bearer {token}"}), "/api/v1/projects/churn"
    block = {"kind": "runs", "experiment": experiment.pk, "state": "q=depth>1"}
    made = api.post(
        f"{base}/reports/", {"title": "By script", "blocks": [block]}, content_type="application/json"
    ).json()
    shown = api.get(f"{base}/reports/{made['id']}/?values=1").json()["values"]
    assert [row["name"] for row in shown[0]["data"]["rows"]] == ["r2"]
    frozen = api.post(f"{base}/reports/{made['id']}/freeze/").json()
    assert len(frozen["sha256"]) == 64
    refused = api.patch(f"{base}/reports/{made['id']}/", {"title": "x"}, content_type="application/json")
    assert (refused.status_code, refused.json()["code"]) == (409, "report_frozen")
    facts = api.get(f"{base}/experiments/churn-gbm/compare/?part=differences").json()
    assert [r["values"] for r in facts["rows"] if r["name"] == "roc_auc"] == [[0.8, 0.7, 0.6]]
    assert api.get(f"{base}/experiments/churn-gbm/importance/").json()["refusal"].startswith("3 of the runs")


def test_an_importance_block_shows_the_study_that_was_chosen(web, project, experiment):
    made = [
        ImportanceStudy.objects.create(
            project=project, experiment=experiment, key=str(at) * 64, metric="roc_auc", run_ids=[], state="succeeded",
            result={"runs": count, "oob": 0.5, "params": [{"name": f"p{at}", "mean": 0.4, "std": 0.1}]},
            created_at="2026-11-01T10:00:00Z",
        )
        for at, count in enumerate((40, 200))
    ]  # fmt: skip
    block = {"id": "i1", "kind": "chart", "chart": "importance", "experiment": experiment.pk, "state": ""}
    report = reports.create(writer(project), project=project, title="Why", content=[block])
    place = f"{P}/reports/{report.pk}/"
    assert "No study is chosen" in web.get(f"{place}blocks/i1/").json()["problem"]
    page = web.get(f"{place}?edit=1").content.decode()
    assert "ROC AUC over 40 runs, 2026-11-01 10:00 UTC" in page
    web.post(f"{place}change/", {"do": "edit", "block": "i1", "heading": "Why", "study": made[0].pk})
    data = web.get(f"{place}blocks/i1/").json()["data"]
    assert data["label"].startswith("Importance for ROC AUC over 40 runs")
    foreign = ImportanceStudy.objects.create(
        project=project, experiment=make_experiment(project, "other"), key="9" * 64, metric="a", run_ids=[],
        state="succeeded", result=made[0].result, created_at="2026-11-01T10:00:00Z",
    )  # fmt: skip
    for wrong in (foreign.pk, 10**9, "1", True):
        with pytest.raises(Invalid) as refused:
            reports.change(writer(project), report=report, content=[{**block, "study": wrong}])
        assert refused.value.field == "blocks.0.study"


def test_every_module_of_the_file_stands_behind_those_it_imports():
    stood: set[str] = set()
    for name in standalone.MODULES:
        text = (Path(settings.BASE_DIR) / "static" / "js" / f"{name}.js").read_text("utf-8")
        needed = re.findall(r'^import .*?"[./]+(?:[\w-]+/)*([\w-]+)\.js";$', text, re.MULTILINE)
        assert set(needed) <= stood, name
        stood.add(name.rpartition("/")[2])


def test_a_frozen_block_without_values_offers_no_file_of_its_chart(web, project, experiment):
    block = {"id": "i1", "kind": "chart", "chart": "importance", "experiment": experiment.pk, "state": ""}
    report = reports.create(writer(project), project=project, title="Why", content=[block])
    place = f"{P}/reports/{report.pk}/"
    assert "data-figure-act" in web.get(place).content.decode()  # what it shows comes later
    reports.freeze(writer(project), report=report)
    for page in (web.get(place), web.get(f"{place}export/")):
        assert "No study is chosen" in page.content.decode()
        assert 'data-figure-act="png"' not in page.content.decode()
