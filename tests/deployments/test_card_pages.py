"""Pages and routes of the model card."""

import json
import subprocess
import sys
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from deployments import tasks
from deployments.models import DrawnPaper, PaperVersion
from deployments.proof import papers
from deployments.services import cards, drawings, prints
from mlportal.lib import lease
from tests.deployments.test_api import Api
from tests.deployments.test_pages import browser
from tests.factories.deployments import make_request, make_version, result

LIMITS = "Weak for **new** customers. <script>alert(1)</script>"
CARD = "/p/churn/models/churn/v/1/card/"
SECTIONS = ["details", "use", "data", "training", "evaluation", "limits", "approvals", "maintenance"]
FAIR = [{"column": "plan", "four_fifths": True, "selection_ratio": {"candidate": 0.9}, "groups": [
    {"value": "plus", "rows": 60, "baseline": None, "candidate": {
        "selection_rate": {"value": 0.3, "low": 0.2, "high": 0.4}, "tpr": {"value": 0.8, "low": 0.7, "high": 0.9},
        "fpr": {"value": 0.1, "low": 0.05, "high": 0.2}, "accuracy": {"value": 0.9, "low": 0.8, "high": 0.95}},
}]}]  # fmt: skip
SEGMENTS = [{"column": "plan", "value": "basic", "rows": 40, "metrics": {
    "roc_auc": {"candidate": 0.85, "baseline": None, "difference": None, "low": None, "high": None}}}]  # fmt: skip


@pytest.fixture
def version(team):
    return make_version(team)


def test_the_page_shows_records_writers_and_what_is_missing(team, version):
    cards.write(team.scientist, version=version, texts={"limitations": LIMITS})
    make_request(team, version=version, found=result(segments=SEGMENTS, fairness=FAIR))
    page = browser(team, "viewer").get(CARD).content.decode()
    assert "Weak for <strong>new</strong> customers. &lt;script&gt;" in page
    assert "by churn-scientist" in page
    assert "plan = plus" in page
    assert "0.3 (0.2 to 0.4)" in page
    assert "Nobody has written: Caveats and recommendations." in page
    assert "Edit card" not in page
    assert "Edit card" in browser(team, "scientist").get(CARD).content.decode()
    assert CARD in browser(team, "viewer").get("/p/churn/models/churn/v/1/").content.decode()


def test_a_card_that_nobody_wrote_on_shows_the_records(team, version):
    answer = browser(team, "viewer").get(CARD)
    assert answer.status_code == 200
    assert "Nobody has written: " in answer.content.decode()


def test_an_editor_previews_saves_and_compares(team, version):
    person = browser(team, "scientist")
    sent = {"level": "model", "seen": "0", "text-limitations": LIMITS, "do": "preview"}
    preview = person.post(f"{CARD}edit/", sent)
    assert preview.status_code == 200
    assert "Weak for <strong>new</strong>" in preview.content.decode()
    assert cards.read(team.viewer, version=version)["about"]["card"] == 0
    assert person.post(f"{CARD}edit/", {**sent, "do": "save"}).status_code == 303
    assert cards.read(team.viewer, version=version)["about"]["card"] == 1
    stale = person.post(f"{CARD}edit/", {**sent, "do": "save", "text-limitations": "Other."})
    assert stale.status_code == 409
    assert "Other." in stale.content.decode()
    changed = person.get(f"{CARD}?number=1&since=0").content.decode()
    assert "What changed" in changed
    assert "6 Limitations" in changed
    wrong = person.post(f"{CARD}edit/", {**sent, "seen": "1", "do": "save", "text-limitations": "a\u202eb"})
    assert wrong.status_code == 422
    assert 'aria-invalid="true"' in wrong.content.decode()
    own = person.get(f"{CARD}edit/?level=version").content.decode()
    assert "For the model: Weak for" in own
    assert browser(team, "viewer").get(f"{CARD}edit/").status_code == 403
    assert person.get(f"{CARD}?number=99").status_code == 404


def test_the_kept_card_is_beside_the_decision(team, version):
    cards.write(team.scientist, version=version, texts={"limitations": LIMITS})
    request = make_request(team, version=version)
    cards.write(team.scientist, version=version, texts={"limitations": "Changed."})
    person = browser(team, "manager")
    assert (
        f"/p/churn/promotions/{request.pk}/card/" in person.get(f"/p/churn/promotions/{request.pk}/").content.decode()
    )
    page = person.get(f"/p/churn/promotions/{request.pk}/card/").content.decode()
    assert "Weak for <strong>new</strong>" in page
    assert "Changed." not in page
    answer = Api(team, "viewer", "read").get(f"promotions/{request.pk}/card/").json()
    evidence = Api(team, "viewer", "read").get(f"promotions/{request.pk}/evidence/").json()
    assert evidence["card"] == {"number": 1, "sha256": answer["sha256"]}
    assert (answer["number"], len(answer["sha256"]), answer["card"]["about"]["promotion"]) == (1, 64, request.pk)


def test_the_routes_read_write_list_and_compare(team, version):
    api = Api(team, "scientist", "read", "register")
    path = "models/churn/versions/1/card/"
    body = {"texts": {"limitations": LIMITS, "caveats": "Ask a person."}}
    made = api.send("patch", path, body).json()
    assert list(made) == ["format", "kind", "title", "about", "sections", "front"]
    assert [part["key"] for part in made["sections"]] == SECTIONS
    field = next(item for item in made["sections"][5]["fields"] if item["key"] == "limitations")
    at = field.pop("changed_at")
    assert at.startswith("20")
    assert field == {
        "key": "limitations", "label": "Limitations", "kind": "text", "value": LIMITS, "hand_written": True,
        "by": "churn-scientist", "source": {"label": "Card 1 of model churn", "href": CARD}, "gap": "", "who": "",
    }  # fmt: skip
    api.send("patch", path, {"texts": {"caveats": "Ask two."}, "level": "version", "seen": 1})
    rows = api.get(f"{path}versions/").json()["results"]
    assert [(row["number"], row["level"], row["changed"]) for row in rows] == [
        (2, "version", ["caveats"]), (1, "model", ["limitations", "caveats"]),
    ]  # fmt: skip
    found = api.get(f"{path}difference/", **{"from": "1", "to": "2"}).json()["changes"]
    assert [(row["key"], row["change"], row["before"], row["after"]) for row in found] == [
        ("caveats", "changed", "Ask a person.", "Ask two.")
    ]
    assert api.get(path, number="1").json()["about"]["card"] == 1
    assert api.get(path, number="x").status_code == 400
    assert api.get(f"{path}difference/", to="9").status_code == 404
    assert api.send("patch", path, {"texts": {"poem": "x"}}).json()["limit"][0] == "intended_purpose"
    assert api.send("patch", path, {**body, "seen": 1}).status_code == 409
    assert Api(team, "scientist", "read").send("patch", path, body).status_code == 403
    assert api.send("patch", "models/churn/versions/9/card/", body).status_code == 404


@pytest.mark.parametrize("form", ["html", "json"])
def test_files_load_nothing_and_run_nothing(team, version, form):
    cards.write(team.scientist, version=version, texts={"limitations": LIMITS})
    answer = browser(team, "viewer").get(f"{CARD}files/{form}/")
    assert answer["Content-Disposition"] == f'attachment; filename="churn-v1-card-1.{form}"'
    text = answer.content.decode()
    if form == "html":
        assert "<script" not in text
        assert "src=" not in text
        assert "default-src 'none'" in text
        assert "Weak for <strong>new</strong>" in text
    else:
        read = json.loads(text)
        assert papers.completeness(read) == papers.completeness(cards.read(team.viewer, version=version))


def test_a_worker_draws_the_pdf_once_for_all_who_ask(team, version):
    cards.write(team.scientist, version=version, texts={"limitations": LIMITS})
    person, api, path = browser(team, "viewer"), Api(team, "scientist", "read"), f"{CARD}files/pdf/"
    waits = person.get(path)
    assert (waits.status_code, "Waits for a worker" in waits.content.decode()) == (202, True)
    told = api.get("models/churn/versions/1/card/files/pdf/")
    assert (told.status_code, told.json()["state"], told["Retry-After"]) == (202, "queued", "1")
    part = person.get(path, headers={"HX-Request": "true"}).content.decode()
    assert 'hx-trigger="every 1s"' in part
    assert "<html" not in part
    tasks.draw_paper(DrawnPaper.objects.get().pk)
    ready = person.get(path, headers={"HX-Request": "true"}).content.decode()
    assert (f'href="{path}"' in ready, "hx-trigger" in ready) == (True, False)
    for answer in (person.get(path), api.get("models/churn/versions/1/card/files/pdf/")):
        assert (answer["Content-Type"], answer.content[:5]) == ("application/pdf", b"%PDF-")
        assert answer["Content-Disposition"] == 'attachment; filename="churn-v1-card-1.pdf"'
    cards.write(team.scientist, version=version, texts={"limitations": "Others."})
    assert person.get(path).status_code == 202
    assert person.get(f"{path}?number=1").content[:5] == b"%PDF-"  # what it says was drawn before
    assert person.get(f"{CARD}files/exe/").status_code == 400


def test_a_pdf_of_the_kept_card_is_drawn_too(team, version):
    request, person = make_request(team, version=version), browser(team, "manager")
    path = f"/p/churn/promotions/{request.pk}/card/?format=pdf"
    assert person.get(path).status_code == 202
    drawn = DrawnPaper.objects.get()
    assert drawn.about == {"promotion": request.pk}
    assert drawings.work(drawn.pk, worker="test")
    assert person.get(path).content[:5] == b"%PDF-"


def test_a_failed_drawing_is_told_and_tried_again_later(team, version, monkeypatch):
    person, path = browser(team, "viewer"), f"{CARD}files/pdf/"
    person.get(path)
    drawn = DrawnPaper.objects.get()
    with monkeypatch.context() as quick:
        quick.setattr(prints, "SECONDS", 0.001)
        drawings.work(drawn.pk, worker="test")
    answer = person.get(path)
    assert (answer.status_code, "was not ready after" in answer.content.decode()) == (503, True)
    DrawnPaper.objects.update(ended_at=timezone.now() - drawings.PATIENCE)
    assert person.get(path).status_code == 202
    assert drawings.work(drawn.pk, worker="test")
    DrawnPaper.objects.update(ended_at=timezone.now() - drawings.KEPT)
    tasks.sweep_technical_files()
    assert not DrawnPaper.objects.exists()


def test_a_lost_drawing_goes_to_another_worker(team, version):
    browser(team, "viewer").get(f"{CARD}files/pdf/")
    rows, drawn = DrawnPaper.objects.all(), DrawnPaper.objects.get()
    held = lease.claim(rows, drawn.pk, worker="silent")
    rows.update(lease_until=timezone.now() - timedelta(minutes=5))
    tasks.sweep_technical_files()
    assert drawings.work(drawn.pk, worker="other")
    assert lease.finish(rows, held, state="failed") is False
    drawn.refresh_from_db()
    assert (drawn.state, drawn.document) == ("succeeded", None)


def test_more_history_asks_no_more(team, version):
    person = browser(team, "viewer")
    counts = []
    for turn in range(3):
        cards.write(team.scientist, version=version, texts={"limitations": f"Limits, turn {turn}."})
        if turn in (0, 2):
            with CaptureQueriesContext(
                connection,
            ) as found:
                assert person.get(CARD).status_code == 200
            counts.append(len(found))
    assert counts[0] == counts[1]


def test_the_web_process_loads_no_fonts():
    code = "import django; django.setup(); import deployments.urls, sys; print('fpdf' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={"DJANGO_SETTINGS_MODULE": "mlportal.settings", "PATH": "/usr/bin", "MLPORTAL_DATA_DIR": "/tmp"},
    )  # fmt: skip
    assert done.stdout.strip() == "False"


def test_the_card_as_it_was_says_who_had_written_what(team, version):
    cards.write(team.scientist, version=version, texts={"limitations": "Weak for the young."})
    first = PaperVersion.objects.get()
    cards.write(team.admin, version=version, texts={"limitations": "Weak for the old."}, level="version")
    then = first.written_at.isoformat(timespec="microseconds")
    page = browser(team, "viewer").get(CARD, {"as_of": then}).content.decode()
    assert "Weak for the young." in page
    assert "Weak for the old." not in page
    body = Api(team, "viewer", "read").get("models/churn/versions/1/card/", as_of=then).json()
    told = [(row["part"], row["text"], row["by"], row["for"]) for row in body["card"]]
    assert told == [("Limitations", "Weak for the young.", "churn-scientist", "model")]
    before = Api(team, "viewer", "read").get("models/churn/versions/1/card/", as_of="2020-01-01").json()
    assert before["card"] == []
