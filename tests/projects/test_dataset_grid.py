"""The grid of rows: sort, filter, columns, pages, export, masks; over real reader processes."""

import io
import subprocess
import threading
from subprocess import PIPE

import pyarrow.parquet as pq
import pytest
from django.test import Client

from mlportal.lib.errors import Forbidden, Invalid, TooMany
from projects.services import grid
from projects.services.grid import Asked
from tests.factories.datasets import profiled
from tests.factories.projects import actor, make_project, make_token, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.slow]
ROWS = "/p/churn/datasets/churn/v/1/rows/"
# ages fall, three are missing, "plan" repeats, one cell would be a formula in a spreadsheet
TABLE = "customer,plan,age,ok\n" + "".join(
    f"{'=c' if at == 7 else 'c'}{at},{'basic' if at % 3 else 'Plus One'},{'' if at in (5, 50, 250) else 300 - at},"
    f"{'true' if at % 2 else 'false'}\n"
    for at in range(260)
)


@pytest.fixture(autouse=True, scope="module")
def _readers():
    yield
    grid.pool().close()


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def version(project):
    return profiled(project, TABLE.encode())


@pytest.fixture
def ana(project):
    return make_user("ana", role="scientist", project=project)


def numbers(by, version, **asked):
    page = grid.rows(by, version=version, asked=Asked(**asked))
    return page.numbers, page.total


def test_rows_in_file_order_before_and_after_the_quick_file_is_made(version, ana, settings, tmp_path):
    settings.GRID_DIR = tmp_path / "grid"
    by = actor(ana)
    first = grid.rows(by, version=version, asked=Asked(start=100, limit=50))
    assert not list(grid.pool().settings.folder.glob("*.arrow"))
    grid.rows(by, version=version, asked=Asked(sort="age"))
    assert grid.rows(by, version=version, asked=Asked(start=100, limit=50)) == first
    grid.pool().close()
    assert (first.numbers[0], first.numbers[-1], first.total) == (100, 149, 260)
    assert first.rows[0] == ["c100", "basic", 200, False]


@pytest.mark.parametrize(("sort", "first", "last"), [("age", [259, 258], [50, 250]), ("-age", [0, 1], [50, 250])])
def test_sorting_walks_all_rows_once_and_back_with_missing_values_last(version, ana, sort, first, last):
    by = actor(ana)
    pages, after = [], None
    for _page in range(3):
        found = numbers(by, version, sort=sort, limit=100, after=after)[0]
        pages.append(found)
        after = found[-1]
    walked = [row for page in pages for row in page]
    assert sorted(walked) == list(range(260))
    assert (walked[:2], walked[-2:]) == (first, last)
    assert numbers(by, version, sort=sort, limit=100, before=pages[2][0])[0] == pages[1]
    assert numbers(by, version, sort=sort, limit=100, before=pages[1][0])[0] == pages[0]


@pytest.mark.parametrize(
    ("q", "total", "first"),
    [
        ("age>290", 9, 0),
        ("age:null", 3, 5),
        ("-age:null", 257, 0),
        ('plan:"Plus One"', 87, 0),
        ("plan~pLUS ok:true", 43, 3),
        ("-plan~plus age<=100", 39, 200),
        ('"c25"', 11, 25),
        ("age!=300", 256, 1),
        ("customer:c1|c2", 2, 1),
    ],
)
def test_filter_counts_all_rows_that_pass(version, ana, q, total, first):
    found, count = numbers(actor(ana), version, q=q)
    assert (count, found[0]) == (total, first)


@pytest.mark.parametrize(
    ("asked", "field"),
    [({"q": "nope>1"}, "q"), ({"sort": "nope"}, "sort"), ({"columns": ("nope",)}, "columns"), ({"limit": 0}, "limit")],
)
def test_wrong_column_or_limit_is_named(version, ana, asked, field):
    with pytest.raises(Invalid) as caught:
        grid.rows(actor(ana), version=version, asked=Asked(**asked))
    assert caught.value.field == field


def test_two_readers_at_once(version, ana):
    by, found = actor(ana), {}
    by.permissions_in(version.dataset.project)
    grid.rows(by, version=version, asked=Asked(sort="age"))

    def read(name: str, **asked: str) -> None:
        request = {"file": str(grid.pool().file(version.parquet_sha256)), "where": []}
        page = {"columns": [2], "sort": 2, "descending": name == "down", "limit": 1, "start": 0}
        found[name] = grid.pool().ask(request | {"page": page})["rows"]

    both = [threading.Thread(target=read, args=(name,)) for name in ("up", "down")]
    for each in both:
        each.start()
    for each in both:
        each.join()
    assert found == {"up": [[259, 41]], "down": [[0, 300]]}


def test_readers_that_died_are_replaced_however_many_they_are(version, ana):
    by = actor(ana)
    grid.rows(by, version=version, asked=Asked(sort="age"))
    readers = grid.pool()
    for child in readers._idle:
        child.kill()
    # They take the question and end: so a killed one looks to whoever asks it a moment too early.
    dying = [
        subprocess.Popen(["sh", "-c", "read line"], stdin=PIPE, stdout=PIPE) for _ in range(readers.settings.readers)
    ]
    readers._idle.extend(dying)
    assert numbers(by, version, sort="age", limit=1) == ([259], 260)


def test_page_shows_filter_chips_sort_state_and_pages(version, ana):
    client = Client()
    client.force_login(ana)
    page = client.get(ROWS, {"q": "age>10 plan:basic", "sort": "-age", "rows": "50"}).content.decode()
    assert "of 170" in page
    assert "Rows 1 to 50" in page
    assert 'aria-sort="descending"' in page
    assert 'aria-label="Remove age&gt;10"' in page
    assert "after=" in page
    second = client.get(ROWS, {"q": "age>10 plan:basic", "sort": "-age", "rows": "50", "after": "76", "n": "51"})
    assert "Rows 51 to 100" in second.content.decode()
    assert "before=" in second.content.decode()


def test_page_says_what_is_wrong_and_keeps_the_words(version, ana):
    client = Client()
    client.force_login(ana)
    answer = client.get(ROWS, {"q": "age>old"})
    assert answer.status_code == 422
    page = answer.content.decode()
    assert "age holds numbers. At character 5, near &#x27;old&#x27;." in page
    assert 'value="age&gt;old"' in page
    assert client.get(ROWS, {"q": "age>400"}).content.decode().count("No row passes") == 1
    said = client.get(f"{ROWS}?from=last&rows=7").content.decode()
    assert "from: &#x27;last&#x27; is no number of a row." in said
    assert "rows: &#x27;7&#x27; is no size of a page (50, 100, 200); 100 rows are shown." in said


def test_export_of_filtered_rows_as_csv_and_parquet(version, ana):
    client = Client()
    client.force_login(ana)
    answer = client.get(f"{ROWS}export/", {"q": "age>290", "sort": "age", "col": ["customer", "age"]})
    lines = b"".join(answer.streaming_content).decode().splitlines()
    assert lines[0] == "customer,age"
    assert (lines[1], len(lines)) == ("c9,291", 10)
    assert lines[3] == "'=c7,293"
    answer = client.get(f"{ROWS}export/", {"format": "parquet", "q": "age:null"})
    table = pq.read_table(io.BytesIO(b"".join(answer.streaming_content)))
    assert table.column_names == ["customer", "plan", "age", "ok"]
    assert table.column("customer").to_pylist() == ["c5", "c50", "c250"]


def test_only_so_many_exports_at_once(version, ana):
    by = actor(ana)
    running = [grid.export(by, version=version, asked=Asked(), form="csv") for _ in range(2)]
    try:
        with pytest.raises(TooMany):
            grid.export(by, version=version, asked=Asked(), form="csv")
    finally:
        for each in running:
            b"".join(each)
    assert b"".join(grid.export(by, version=version, asked=Asked(), form="csv")).count(b"\n") == 261


def test_marked_columns_are_masked_for_those_who_may_not_edit(version, ana, project):
    version.dataset.marks = {"customer": "personal"}
    version.dataset.save()
    vera = actor(make_user("vera", role="viewer", project=project))
    page = grid.rows(vera, version=version, asked=Asked(limit=1))
    assert (page.rows, page.masked) == ([["•••", "Plus One", 300, False]], frozenset({"customer"}))
    for asked in (Asked(q="customer:c1"), Asked(sort="customer")):
        with pytest.raises(Forbidden):
            grid.rows(vera, version=version, asked=asked)
    lines = b"".join(grid.export(vera, version=version, asked=Asked(), form="csv")).splitlines()
    assert lines[1] == b"masked,Plus One,300,false"
    assert grid.rows(actor(ana), version=version, asked=Asked(limit=1)).rows[0][0] == "c0"


def test_downloads_and_profile_of_marked_columns(version, project):
    version.dataset.marks = {"plan": "secret"}
    version.dataset.save()
    client = Client()
    client.force_login(make_user("vera", role="viewer", project=project))
    place = "/p/churn/datasets/churn/v/1/"
    assert client.get(f"{place}download/").status_code == 403
    copy = client.get(f"{place}download/", {"format": "parquet"})
    assert set(pq.read_table(io.BytesIO(b"".join(copy.streaming_content))).column("plan").to_pylist()) == {"masked"}
    assert b"Plus One" not in client.get(place).content
    assert b"Plus One" not in client.get(f"{place}rows/").content


def test_api_sorts_filters_goes_on_and_exports(version, ana, project):
    headers = {"authorization": f"Bearer {make_token(ana, project, ['read', 'write'])}"}
    place = "/api/v1/projects/churn/datasets/churn/versions/1/"
    client = Client(headers=headers)
    first = client.get(f"{place}preview/", {"q": "ok:true", "sort": "age", "limit": 3, "column": ["customer"]}).json()
    assert (first["rows"], first["total"], first["next_after"]) == ([["c259"], ["c257"], ["c255"]], 130, 255)
    more = client.get(f"{place}preview/", {"q": "ok:true", "sort": "age", "limit": 1, "after": 255}).json()
    assert more["numbers"] == [253]
    wrong = client.get(f"{place}preview/", {"sort": "nope"}).json()
    assert (wrong["status"], wrong["field"], wrong["got"]) == (400, "sort", "nope")
    assert client.get(f"{place}preview/", {"sort": "age", "offset": 5}).json()["field"] == "offset"
    answer = client.get(f"{place}rows/export/", {"q": "age:null", "format": "csv"})
    assert b"".join(answer.streaming_content).count(b"\n") == 4
