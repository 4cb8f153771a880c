"""Imports from an address, S3, PostgreSQL and a folder: real servers, the real pipeline."""

import json
import os
from contextlib import suppress

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.db import connection
from django.db import connection as database
from django.test import Client
from django.utils import timezone

from mlportal.lib.errors import Conflict, Invalid, Missing
from projects import pipeline
from projects.models import Connection, DatasetImport, DatasetVersion, Event
from projects.pipeline import split_rows
from projects.services import connections, imports, splits, tables
from tests.factories.datasets import CHURN
from tests.factories.projects import actor, make_project, make_token, make_user
from tests.lib.test_download import served

pytestmark = [pytest.mark.django_db, pytest.mark.slow]
PASSWORD = "hunter2 of the store"


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def ana(project):
    return actor(make_user("ana", role="scientist", project=project))


@pytest.fixture
def admin(project):
    return actor(make_user("adam", role="admin", project=project))


def run(found: DatasetImport) -> DatasetImport:
    """Do an import as a worker does, and the profiling after it."""
    pipeline.import_dataset(found.pk, worker="test")
    found.refresh_from_db()
    if found.outcome == "created":
        pipeline.profile_version(found.version_id, worker="test")
        found.refresh_from_db()
    return found


def file_of(content: bytes, etag: str = '"one"'):
    def plan(handler) -> None:
        if handler.headers.get("If-None-Match") == etag:
            handler._answer(304, b"")
        else:
            handler._answer(200, content, {"ETag": etag})

    return plan


@pytest.fixture
def allowed(settings):
    settings.OUTBOUND_ALLOW = ["127.0.0.1"]


def url_of(server, path: str) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}/{path}"


def fetch_url(ana, project, url: str) -> DatasetImport:
    return run(imports.start(ana, project=project, name="churn", kind="url", spec={"url": url}, description="Who left"))


def test_an_address_becomes_a_version_that_knows_its_source(ana, project, allowed):
    with served(**{"churn.csv": file_of(CHURN)}) as server:
        url = url_of(server, "churn.csv")
        found = fetch_url(ana, project, url)
    version = found.version
    assert (found.state, found.outcome, found.fetched_bytes) == ("succeeded", "created", len(CHURN))
    assert (version.state, version.row_count, version.source_kind) == ("succeeded", 3, "url")
    assert version.source == {"url": url, "etag": '"one"', "modified": ""}
    assert (version.filename, version.dataset.description, version.created_by) == ("churn.csv", "Who left", ana.user)


def test_refresh_makes_a_version_only_when_the_source_changed(ana, project, allowed):
    with served(**{"churn.csv": file_of(CHURN)}) as server:
        first = fetch_url(ana, project, url_of(server, "churn.csv")).version
        same = run(imports.refresh(ana, version=first))
        assert (same.outcome, same.version) == ("unchanged", first)
        assert server.asked[-1][1]["If-None-Match"] == '"one"'
        server.plans["/churn.csv"] = file_of(CHURN, '"two"')  # another name for the same bytes
        assert run(imports.refresh(ana, version=first)).outcome == "unchanged"
        server.plans["/churn.csv"] = file_of(CHURN + b"c-4,plus,50,1,2024-04-01,true\n", '"three"')
        changed = run(imports.refresh(ana, version=first))
    assert (changed.outcome, changed.version.number, changed.version.row_count) == ("created", 2, 4)
    assert DatasetVersion.objects.count() == 2


def test_a_signed_address_is_sealed(ana, project, allowed):
    with served(**{"churn.csv": file_of(CHURN)}) as server:
        found = fetch_url(ana, project, url_of(server, "churn.csv?X-Signature=open-sesame"))
        assert server.asked[0][0] == "/churn.csv?X-Signature=open-sesame"
        assert run(imports.refresh(ana, version=found.version)).outcome == "unchanged"
    assert found.version.source["url"].endswith("/churn.csv?…")
    everything = json.dumps([list(Event.objects.values()), list(DatasetImport.objects.values())], default=str)
    assert "open-sesame" not in everything
    assert "open-sesame" not in json.dumps(list(DatasetVersion.objects.values()), default=str)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8080/x", "http://[::1]/x", "http://169.254.169.254/latest/", "file:///etc/passwd",
        "gopher://example.org/", "http://localhost/x", "http://example.org:25/", "https://u:p@example.org/",
    ],
)  # fmt: skip
def test_addresses_inside_are_refused_before_anything_starts(ana, project, url):
    with pytest.raises(Invalid) as caught:
        imports.start(ana, project=project, name="churn", kind="url", spec={"url": url})
    assert caught.value.field == "url"
    assert DatasetImport.objects.count() == 0


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (lambda h: h._answer(404, b""), "The server answered 404 Not Found."),
        (lambda h: h._answer(302, b"", {"Location": "http://10.0.0.1/"}), "url leads to an internal address"),
        (file_of(b"\x89PNG\r\n\x1a\n...."), "The file is a PNG image, whatever its name says."),
        (file_of(b""), "The file is empty"),
    ],
)
def test_what_is_no_table_fails_with_a_sentence_and_no_version(ana, project, allowed, plan, words):
    with served(file=plan) as server:
        found = fetch_url(ana, project, url_of(server, "file"))
    assert (found.state, found.version) == ("failed", None)
    assert words in found.failure
    assert DatasetVersion.objects.count() == 0


def test_cancel_ends_a_queued_import_and_refuses_an_ended_one(ana, project, allowed):
    found = imports.start(ana, project=project, name="a", kind="url", spec={"url": "https://example.org/a.csv"})
    assert imports.cancel(ana, found=found).state == "cancelled"
    assert pipeline.import_dataset(found.pk, worker="test") == "not claimed"
    with pytest.raises(Conflict):
        imports.cancel(ana, found=found)


@pytest.mark.django_db(transaction=True)
def test_cancel_stops_a_running_fetch(ana, project, allowed):
    def endless(handler) -> None:
        DatasetImport.objects.update(cancel_requested_at=timezone.now())
        connection.close()
        handler.send_response(200)
        handler.end_headers()
        with suppress(OSError):
            while handler.wfile.write(b"1,2\n" * 1000):
                pass

    with served(file=endless) as server:
        found = fetch_url(ana, project, url_of(server, "file"))
    assert (found.state, found.version, DatasetVersion.objects.count()) == ("cancelled", None, 0)


# --- S3 --------------------------------------------------------------------------------------------


def test_an_object_is_fetched_signed_and_the_secret_stays_sealed(ana, admin, project, allowed):
    with served(**{"lake/exports/churn.csv": file_of(CHURN)}) as server:
        facts = {"endpoint": url_of(server, "").rstrip("/"), "region": "eu-west-1", "access_key": "AKID"}
        connections.create(admin, project=project, name="lake", kind="s3", facts=facts, secret=PASSWORD)
        spec = {"bucket": "lake", "key": "exports/churn.csv"}
        found = run(imports.start(ana, project=project, name="churn", kind="s3", spec=spec, connection="lake"))
        assert run(imports.refresh(ana, version=found.version)).outcome == "unchanged"
        server.plans["/lake/exports/churn.csv"] = file_of(CHURN + b"c-4,plus,50,1,2024-04-01,true\n", '"two"')
        following = run(imports.refresh(ana, version=found.version)).version
        assert (following.number, run(imports.refresh(ana, version=following)).outcome) == (2, "unchanged")
    sent = server.asked[0][1]["Authorization"]
    assert sent.startswith("AWS4-HMAC-SHA256 Credential=AKID/")
    assert "/eu-west-1/s3/aws4_request" in sent
    assert (found.outcome, found.version.source_kind, found.version.source["connection"]) == ("created", "s3", "lake")
    rows = [list(model.objects.values()) for model in (Event, DatasetImport, Connection, DatasetVersion)]
    assert PASSWORD not in json.dumps(rows, default=str)


# --- PostgreSQL ------------------------------------------------------------------------------------


@pytest.fixture
def store(admin, project, settings):
    """A connection to the throw-away server over TCP; a proxy gives its socket a port."""
    if database.vendor != "postgresql":
        pytest.skip("needs the throw-away PostgreSQL")
    from tests.projects.forwarding import forwarded

    socket = os.environ.get("PGHOST") or database.settings_dict["HOST"]
    with forwarded(socket) as port:
        settings.OUTBOUND_ALLOW = [f"127.0.0.1:{port}"]
        facts = {
            "host": "127.0.0.1", "port": port, "database": database.settings_dict["NAME"],
            "user": os.environ.get("PGUSER", "postgres"), "sslmode": "prefer",
        }  # fmt: skip
        yield connections.create(admin, project=project, name="store", kind="postgres", facts=facts, secret=PASSWORD)


def query(ana, project, text: str) -> DatasetImport:
    started = imports.start(
        ana, project=project, name="rows", kind="postgres", spec={"query": text}, connection="store"
    )
    return run(started)


def test_a_query_becomes_a_typed_version(ana, project, store):
    text = (
        "SELECT g AS n, g * 0.5::numeric AS half, 'word ' || g AS w, g % 2 = 0 AS even, "
        "timestamptz '2026-01-01 00:00+02' + g * interval '1 day' AS at, "
        "CASE WHEN g > 3 THEN g END AS late FROM generate_series(1, 12000) g ORDER BY g;"
    )
    found = query(ana, project, text)
    version = found.version
    assert (found.outcome, found.fetched_rows, version.row_count) == ("created", 12_000, 12_000)
    assert [column["kind"] for column in version.schema] == ["id", "numeric", "text", "boolean", "datetime", "integer"]
    first = pq.read_table(tables.paths(version)[0]).slice(0, 1).to_pylist()[0]
    assert (first["n"], first["half"], first["w"], first["even"], first["late"]) == (1, 0.5, "word 1", False, None)
    assert first["at"].isoformat() == "2026-01-01T22:00:00"
    assert version.source["query"] == text.rstrip(";")
    assert run(imports.refresh(ana, version=version)).outcome == "unchanged"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("DELETE FROM projects_user RETURNING id", "The database refused the query"),
        ("SELECT 1; COMMIT; CREATE TABLE stolen (a int)", "cannot insert multiple commands"),
        ("SELECT nextval('projects_user_id_seq')", "read-only transaction"),
        ("SELECT * FROM nowhere", 'relation "nowhere" does not exist'),
        ("SELECT 1 AS a, 2 AS a", "The query gives two columns named 'a'; name one with AS."),
        ("SELECT 1 AS a WHERE false", "The query gives no rows."),
    ],
)
def test_a_query_can_only_read_and_says_what_is_wrong(ana, project, store, text, words):
    found = query(ana, project, text)
    assert found.state == "failed"
    assert words in found.failure


def test_a_query_is_bounded_in_rows_and_time(ana, project, store, settings):
    settings.IMPORT_ROWS = 100
    assert query(ana, project, "SELECT g FROM generate_series(1, 6000) g").failure == (
        "The query gives more than 100 rows."
    )
    settings.IMPORT_SECONDS = 1
    slow = query(ana, project, "SELECT pg_sleep(60)")
    assert slow.state in ("timed_out", "failed")
    assert "1 second" in slow.failure or "statement timeout" in slow.failure


# --- folders ---------------------------------------------------------------------------------------


@pytest.fixture
def lake(settings, tmp_path):
    folder = tmp_path / "lake" / "sales" / "2026"
    folder.mkdir(parents=True)
    for month in (1, 2):
        pq.write_table(pa.table({"n": [month, month + 10], "w": ["a", "b"]}), folder / f"{month:02}.parquet")
    settings.DATA_ROOTS = [f"lake={tmp_path / 'lake'}"]
    return folder


def by_reference(ana, project, folder: str = "sales/2026") -> DatasetImport:
    spec = {"root": "lake", "folder": folder}
    return run(imports.start(ana, project=project, name="sales", kind="folder", spec=spec))


def test_a_folder_is_listed_profiled_and_not_copied(ana, project, lake):
    version = by_reference(ana, project).version
    assert (version.state, version.row_count, version.parquet_sha256, version.sha256) == ("succeeded", 4, "", "")
    assert [file["name"] for file in version.manifest] == ["01.parquet", "02.parquet"]
    assert tables.paths(version, whole=True) == [lake / "01.parquet", lake / "02.parquet"]
    merged = tables.one_file(version, lake.parent / "merged")
    assert pq.read_table(merged).column("n").to_pylist() == [1, 11, 2, 12]
    assert run(imports.refresh(ana, version=version)).outcome == "unchanged"


def test_rows_of_a_folder_are_shown_sorted_over_all_files(ana, project, lake):
    from projects.services import grid

    version = by_reference(ana, project).version
    page = grid.rows(ana, version=version, asked=grid.Asked(sort="-n", columns=("n",)))
    assert page.rows == [[12], [11], [2], [1]]
    grid.pool().close()


def test_a_folder_can_be_split(ana, project, lake):
    version = by_reference(ana, project).version
    split = splits.save(ana, version=version, name="half", recipe={"kind": "random", "test_share": 0.5})
    assert split_rows.cut_split(split.pk, worker="test") == "succeeded"


def test_a_file_that_changed_is_noticed_at_use_and_refresh_makes_the_next_version(ana, project, lake):
    version = by_reference(ana, project).version
    facts = (lake / "01.parquet").stat()
    pq.write_table(pa.table({"n": [9, 9], "w": ["c", "d"]}), lake / "01.parquet")
    with pytest.raises(Conflict, match="a version never changes"):
        tables.paths(version)
    os.utime(lake / "01.parquet", ns=(facts.st_atime_ns, facts.st_mtime_ns))
    with pytest.raises(Conflict):
        tables.paths(version, whole=True)
    following = run(imports.refresh(ana, version=version))
    assert (following.outcome, following.version.number) == ("created", 2)
    (lake / "02.parquet").unlink()
    with pytest.raises(Conflict, match="is gone"):
        tables.paths(following.version)


@pytest.mark.parametrize("folder", ["../lake", "/etc", "sales/../../etc", "", "nowhere", "sales\\2026"])
def test_folders_outside_the_root_are_refused(ana, project, lake, folder):
    with pytest.raises((Invalid, Missing)):
        imports.start(ana, project=project, name="sales", kind="folder", spec={"root": "lake", "folder": folder})


def test_links_are_refused_and_files_of_other_columns_fail(ana, project, lake):
    (lake.parent / "link").symlink_to(lake)
    with pytest.raises(Invalid, match="symbolic link"):
        imports.start(ana, project=project, name="a", kind="folder", spec={"root": "lake", "folder": "sales/link"})
    (lake / "03.parquet").symlink_to("/etc/passwd")
    assert "symbolic link" in by_reference(ana, project).failure
    (lake / "03.parquet").unlink()
    pq.write_table(pa.table({"other": [1]}), lake / "03.parquet")
    version = by_reference(ana, project).version
    assert (version.state, "has other columns" in version.failure) == ("failed", True)


def test_without_a_root_there_is_none(ana, project):
    with pytest.raises(Missing, match="MLPORTAL_DATA_ROOTS"):
        imports.start(ana, project=project, name="a", kind="folder", spec={"root": "etc", "folder": "a"})


# --- connections -----------------------------------------------------------------------------------


def test_connections_are_made_by_project_admins_and_their_host_is_checked(ana, admin, project):
    facts = {"host": "db.example.org", "database": "d", "user": "u"}
    made = connections.create(admin, project=project, name="db", kind="postgres", facts=facts, secret=PASSWORD)
    assert made.facts == {**facts, "port": 5432, "sslmode": "prefer"}
    assert PASSWORD not in made.sealed_secret
    for host in ("127.0.0.1", "::1", "169.254.169.254", "localhost", "/run/postgresql"):
        with pytest.raises(Invalid) as caught:
            connections.create(
                admin, project=project, name="x", kind="postgres", facts=facts | {"host": host}, secret=""
            )
        assert caught.value.field == "host"
    with pytest.raises(Invalid, match="Another host needs its secret"):
        connections.update(admin, connection=made, facts=facts | {"host": "evil.example.org"})
    with pytest.raises(Conflict, match="already"):
        connections.create(admin, project=project, name="DB", kind="postgres", facts=facts, secret="")
    connections.remove(admin, connection=made)
    assert Connection.objects.get().sealed_secret == ""
    with pytest.raises(Missing):
        imports.start(ana, project=project, name="a", kind="postgres", spec={"query": "SELECT 1"}, connection="db")


def test_pages_and_api_of_connections_never_show_the_secret(admin, ana, project):
    client = Client()
    client.force_login(admin.user)
    home = "/p/churn/settings/connections/"
    form = {"name": "db", "host": "db.example.org", "port": 5432, "database": "d", "user": "u", "sslmode": "require"}
    refused = client.post(f"{home}new/postgres/", form | {"host": "10.0.0.1", "secret": PASSWORD})
    assert refused.status_code == 422
    assert b"leads to an internal address" in refused.content
    assert PASSWORD.encode() not in refused.content
    assert client.post(f"{home}new/postgres/", form | {"secret": PASSWORD}).status_code == 303
    kept = Connection.objects.get()
    pages = client.get(home).content + client.get(f"{home}{kept.pk}/").content
    assert b"db.example.org" in pages
    assert PASSWORD.encode() not in pages
    api = Client(headers={"authorization": f"Bearer {make_token(admin.user, project, ['admin'])}"})
    answer = api.get(f"/api/v1/projects/churn/connections/{kept.pk}/")
    assert (answer.json()["facts"]["host"], "secret" in answer.content.decode()) == ("db.example.org", False)
    scientist = Client()
    scientist.force_login(ana.user)
    assert scientist.get(home).status_code == 403


# --- pages and API ---------------------------------------------------------------------------------


def test_pages_of_an_import(ana, project, allowed):
    client = Client()
    client.force_login(ana.user)
    assert b"No connection yet" in client.get("/p/churn/datasets/new/postgres/").content
    assert b"MLPORTAL_DATA_ROOTS" in client.get("/p/churn/datasets/new/folder/").content
    assert client.get("/p/churn/datasets/new/ftp/").status_code == 404
    form = {"name": "churn", "url": "http://169.254.169.254/"}
    refused = client.post("/p/churn/datasets/new/url/", form)
    assert refused.status_code == 422
    with served(**{"churn.csv": file_of(CHURN)}) as server:
        url = url_of(server, "churn.csv")
        answer = client.post("/p/churn/datasets/new/url/", form | {"url": url})
        found = DatasetImport.objects.get()
        assert (answer.status_code, answer["Location"]) == (303, f"/p/churn/datasets/imports/{found.pk}/")
        assert b"Waiting for a worker" in client.get(answer["Location"]).content
        run(found)
        page = client.get(answer["Location"]).content.decode()
        assert "churn v1" in page
        assert client.get(f"{answer['Location']}progress/")["HX-Refresh"] == "true"
        again = client.post("/p/churn/datasets/churn/v/1/refresh/")
        assert (again.status_code, DatasetImport.objects.count()) == (303, 2)
    assert url in client.get("/p/churn/datasets/churn/v/1/").content.decode()


def test_api_of_imports(ana, project, allowed):
    api = Client(headers={"authorization": f"Bearer {make_token(ana.user, project, ['read', 'write'])}"})
    place = "/api/v1/projects/churn/dataset-imports/"
    body = {"dataset": "churn", "kind": "url", "spec": {"url": "https://example.org/churn.csv"}}
    made = api.post(place, json.dumps(body), content_type="application/json").json()
    assert (made["state"], made["dataset"], made["version"]) == ("queued", "churn", None)
    stopped = api.post(f"{place}{made['id']}/cancel/").json()
    assert stopped["state"] == "cancelled"
    assert api.get(f"{place}{made['id']}/").json()["state"] == "cancelled"
    assert [row["id"] for row in api.get(place).json()["results"]] == [made["id"]]
    wrong = api.post(place, json.dumps(body | {"spec": {"path": "/etc"}}), content_type="application/json")
    assert (wrong.status_code, wrong.json()["field"]) == (400, "path")
    wrong = api.post(place, json.dumps(body | {"spec": {"url": "file:///etc"}}), content_type="application/json")
    assert (wrong.status_code, wrong.json()["field"]) == (400, "url")
