"""Pages and routes of the technical file."""

import io
import zipfile

from django.db import connection
from django.test.utils import CaptureQueriesContext

from deployments.models import TechnicalFile
from deployments.services import cards, technical_files
from tests.deployments.test_api import Api
from tests.deployments.test_pages import browser
from tests.factories.deployments import make_request, make_version

FILE = "/p/churn/models/churn/v/1/technical-file/"
ISSUES = "/p/churn/models/churn/technical-files/"
ROUTE = "models/churn/versions/1/technical-file/"


def issue(team, version):
    made = technical_files.issue(team.manager, version=version)
    assert technical_files.work(made.pk, worker="test")
    return TechnicalFile.objects.get(pk=made.pk)


def test_the_page_shows_sections_sources_gaps_and_how_much_is_filled(team):
    version = make_version(team)
    page = browser(team, "manager").get(FILE).content.decode()
    for number, title in ((1, "General description"), (5, "Risk management"), (9, "After it is in use")):
        assert f"{number}. {title}" in page
    assert f'href="/p/churn/runs/{version.run_id}/"' in page
    assert "fields filled" in page
    assert "Nobody has written this: How risks are found, judged and treated." in page
    assert "Export</button>" in page
    reader = browser(team, "viewer").get(FILE).content.decode()
    assert "Export</button>" not in reader
    assert FILE in browser(team, "viewer").get("/p/churn/models/churn/v/1/").content.decode()


def test_export_is_asked_shown_with_progress_and_downloaded(team):
    make_version(team)
    person = browser(team, "manager")
    assert person.post(FILE).status_code == 303
    page = person.get(FILE).content.decode()
    assert 'hx-trigger="every 2s"' in page
    assert "<progress" in page
    made = TechnicalFile.objects.get()
    assert person.get(f"{ISSUES}1/download/").status_code == 409
    technical_files.work(made.pk, worker="test")
    done = person.get(f"{FILE}issues/").content.decode()
    assert "Download issue 1" in done
    assert "hx-trigger" not in done
    answer = person.get(f"{ISSUES}1/download/")
    assert answer["Content-Disposition"] == 'attachment; filename="churn-v1-technical-file-1.zip"'
    assert "technical-file.pdf" in zipfile.ZipFile(io.BytesIO(answer.content)).namelist()
    assert browser(team, "viewer").post(FILE).status_code == 403


def test_issues_are_read_as_they_were_and_compared(team):
    version = make_version(team)
    issue(team, version)
    cards.write(team.scientist, version=version, texts={"intended_purpose": "Rank customers who may leave."})
    issue(team, version)
    person = browser(team, "viewer")
    assert "Nobody has written: Intended use." in person.get(f"{ISSUES}1/").content.decode()
    page = person.get(f"{ISSUES}2/?since=1").content.decode()
    assert "Possible substantial modification since issue 1." in page
    assert "The intended purpose has changed." in page
    assert "1 Intended use" in page
    assert person.get(f"{ISSUES}2/?since=9").status_code == 404
    assert person.get(f"{ISSUES}3/").status_code == 404
    same = person.get(f"{ISSUES}1/?since=1").content.decode()
    assert "No sign of a substantial modification" in same


def test_an_editor_writes_previews_and_is_told_of_mistakes(team):
    version = make_version(team)
    person = browser(team, "scientist")
    sent = {"level": "model", "seen": "0", "text-provider": "**Ours** Ltd.", "do": "preview"}
    assert "<strong>Ours</strong>" in person.post(f"{FILE}edit/", sent).content.decode()
    assert person.post(f"{FILE}edit/", {**sent, "do": "save"}).status_code == 303
    assert "<strong>Ours</strong> Ltd." in person.get(FILE).content.decode()
    assert person.post(f"{FILE}edit/", {**sent, "do": "save", "text-provider": "x"}).status_code == 409
    wrong = person.post(f"{FILE}edit/", {**sent, "seen": "1", "do": "save", "text-provider": "x" * 20_001})
    assert wrong.status_code == 422
    assert "at most 20,000 are allowed" in wrong.content.decode()
    assert "1(a) Provider" in person.get(f"{FILE}edit/?level=version").content.decode()
    assert browser(team, "manager").get(f"{FILE}edit/").status_code == 403
    assert version.papers.count() == 0


def test_the_routes(team):
    version = make_version(team)
    api = Api(team, "scientist", "read", "write", "register")
    read = api.get(ROUTE).json()
    assert list(read) == ["format", "kind", "title", "about", "sections", "front"]
    assert list(read["about"]["facts"]) == ["purpose", "dataset", "dataset_sha256", "algorithm", "metrics"]
    assert [part["number"] for part in read["sections"]] == [str(number) for number in range(1, 10)]
    written = api.send("patch", ROUTE, {"texts": {"provider": "Ours Ltd."}}).json()
    assert written["about"]["written"] == 1
    made = api.send("post", f"{ROUTE}issues/", {}, **{"Idempotency-Key": "a"})
    assert (made.status_code, made.json()["state"], made.json()["number"]) == (202, "queued", 1)
    again = api.send("post", f"{ROUTE}issues/", {}, **{"Idempotency-Key": "a"})
    assert again.json() == made.json()
    technical_files.work(TechnicalFile.objects.get().pk, worker="test")
    issue(team, version)
    row = api.get("models/churn/technical-files/1/").json()
    assert (row["state"], row["asked"] > row["filled"] > 10, len(row["file_sha256"])) == ("succeeded", True, 64)
    assert list(row) == [
        "id", "number", "version", "state", "progress", "phase", "failure", "sha256", "file_sha256", "size_bytes",
        "filled", "asked", "issued_by", "asked_at", "issued_at", "kept_until",
    ]  # fmt: skip
    assert api.get("models/churn/technical-files/1/download/").content[:2] == b"PK"
    assert [row["number"] for row in api.get(f"{ROUTE}issues/").json()["results"]] == [2, 1]
    found = api.get("models/churn/technical-files/2/difference/", since="1").json()
    assert (found["from"], found["to"], found["substantial"]) == (1, 2, [])
    assert api.get("models/churn/technical-files/2/difference/").status_code == 400
    assert api.get("models/churn/technical-files/7/").status_code == 404
    assert Api(team, "viewer", "read").send("post", f"{ROUTE}issues/").status_code == 403
    assert Api(team, "scientist", "read").send("patch", ROUTE, {"texts": {"provider": "x"}}).status_code == 403


def test_more_rows_ask_no_more(team):
    version = make_version(team)
    person = browser(team, "viewer")
    counts = []
    for turn in range(3):
        make_request(team, version=version, place=("production", "staging", "production")[turn], evaluated=turn < 2)
        technical_files.issue(team.manager, version=version)
        TechnicalFile.objects.update(state="failed")
        version.promotion_requests.filter(state="pending").update(state="withdrawn")
        if turn in (0, 2):
            with CaptureQueriesContext(connection) as found:
                assert person.get(FILE).status_code == 200
            counts.append(len(found))
    assert counts[0] == counts[1]
