"""Viewers of stored files: text by pages, JSON as a tree, PDF, and folders as zips."""

import io
import json
import re
import tracemalloc
import zipfile

import pytest
from django.test import Client

from experiments.services import artifacts, folder_zip
from experiments.views import json_tree, text_pages
from tests.factories.experiments import make_experiment, make_run, writer
from tests.factories.projects import make_project, make_user

pytestmark = pytest.mark.django_db
BASE = "/p/churn"


@pytest.fixture
def run():
    return make_run(make_experiment(make_project()))


@pytest.fixture
def web(run):
    client = Client()
    client.force_login(make_user("ana", role="viewer", project=run.project))
    return client


def put(run, path, data, media_type="text/plain"):
    return artifacts.store(
        writer(run.project), owner=run, path=path, stream=io.BytesIO(data), media_type=media_type, kind="file"
    )


def show(web, run, path, query=""):
    answer = web.get(f"{BASE}/runs/{run.pk}/artifacts/{path}{query}")
    assert answer.status_code == 200
    return answer.content.decode()


def test_a_long_text_is_read_page_by_page_with_its_line_numbers(web, run, monkeypatch):
    monkeypatch.setattr(text_pages, "PAGE_BYTES", 100)
    lines = [f"line {n} é" for n in range(1, 61)]
    put(run, "train.log", "\n".join(lines).encode())
    seen, at = [], "0"
    while at:
        page = show(web, run, "train.log", f"?at={at}")
        seen += re.findall(r'id="L(\d+)">.*?<code>([^<]*)</code>', page)
        found = re.search(r'rel="next" href="\?at=(\d+)"', page)
        at = found[1] if found else ""
    assert seen == [(str(n), line) for n, line in enumerate(lines, 1)]


@pytest.mark.parametrize("at", ["999999999", "1", "x"])
def test_any_place_in_a_text_can_be_asked_for(web, run, at):
    put(run, "a.txt", b"one\ntwo\nthree\n")
    assert "<code>" in show(web, run, "a.txt", f"?at={at}")


def test_an_empty_text_and_bytes_that_are_no_text(web, run):
    put(run, "empty.txt", b"")
    put(run, "binary.txt", b"a\x00b\xff")
    assert "codelines" in show(web, run, "empty.txt")
    assert "not UTF-8" in show(web, run, "binary.txt")


def test_json_is_a_tree_and_its_words_stay_text(web, run):
    put(run, "a.json", json.dumps({"deep": {"list": [1, None, "<b>x"]}, "s": "y" * 999}).encode(), "application/json")
    page = show(web, run, "a.json")
    assert "3 items" in page
    assert "&lt;b&gt;x" in page
    assert "<b>x" not in page
    assert "y" * 301 not in page


def test_a_tree_is_bounded_in_nodes_and_depth():
    def count(node):
        return 1 + sum(count(child) for child in node.children)

    wide = json_tree.tree(json.dumps({str(n): list(range(50)) for n in range(5000)}).encode())
    assert count(wide) <= json_tree.MOST_NODES + 1
    assert wide.left_out == 5000 - len(wide.children)
    deep = json_tree.tree(b"[" * 200 + b"1" + b"]" * 200)
    levels = 0
    while deep.children:
        deep, levels = deep.children[0], levels + 1
    assert (levels, deep.left_out) == (json_tree.MOST_DEPTH, 1)
    assert json_tree.tree(b"{broken") is None
    assert json_tree.tree(b"3") is None


def test_a_pdf_is_shown_in_a_frame_by_the_browser(web, run):
    put(run, "a.pdf", b"%PDF-1.7 x", "application/pdf")
    assert f'src="{BASE}/runs/{run.pk}/raw/a.pdf?as=pdf"' in show(web, run, "a.pdf")
    answer = web.get(f"{BASE}/runs/{run.pk}/raw/a.pdf?as=pdf")
    assert (answer["Content-Type"], answer["X-Content-Type-Options"]) == ("application/pdf", "nosniff")
    assert answer["Content-Disposition"].startswith("inline")
    assert "default-src 'none'" in answer["Content-Security-Policy"]


def test_what_only_says_that_it_is_a_pdf_is_sent_to_be_saved(web, run):
    put(run, "a.pdf", b"<script>alert(1)</script>", "application/pdf")
    assert "<iframe" not in show(web, run, "a.pdf")
    answer = web.get(f"{BASE}/runs/{run.pk}/raw/a.pdf?as=pdf")
    assert answer["Content-Disposition"].startswith("attachment")


def unzipped(answer):
    data = b"".join(answer.streaming_content)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return {info.filename: archive.read(info) for info in archive.infolist()}


def test_a_folder_is_sent_as_a_zip_with_what_lies_below_it(web, run):
    for path in ("a.txt", "model/x.txt", "model/deep/y.txt", "models/z.txt"):
        put(run, path, path.encode())
    whole = web.get(f"{BASE}/runs/{run.pk}/zip/")
    assert (whole["Content-Type"], whole["X-Content-Type-Options"]) == ("application/zip", "nosniff")
    assert sorted(unzipped(whole)) == ["a.txt", "model/deep/y.txt", "model/x.txt", "models/z.txt"]
    assert unzipped(web.get(f"{BASE}/runs/{run.pk}/zip/?folder=model")) == {
        "x.txt": b"model/x.txt", "deep/y.txt": b"model/deep/y.txt",
    }  # fmt: skip
    assert f'href="{BASE}/runs/{run.pk}/zip/?folder=model"' in show(web, run, "model/")
    assert web.get(f"{BASE}/runs/{run.pk}/zip/?folder=nowhere").status_code == 404


def test_a_zip_names_what_is_not_stored_and_no_path_leads_out_of_it(run):
    kept = put(run, "a.txt", b"a")
    lost = put(run, "b.txt", b"b")
    lost.sha256 = "0" * 64
    kept.path = "../../up\\..\\a.txt"
    data = b"".join(folder_zip.stream([kept, lost]))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.namelist() == ["up/a.txt", "_missing.txt"]
        assert b"b.txt" in archive.read("_missing.txt")


def test_a_zip_needs_little_memory_and_gives_its_place_back(web, run):
    several = [put(run, f"{n}.bin", bytes(24 * 2**20), "application/octet-stream") for n in range(4)]
    tracemalloc.start()
    try:
        assert sum(len(part) for part in folder_zip.stream(several)) > 96 * 2**20
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 12 * 2**20
    held = [folder_zip.stream(several) for _ in range(folder_zip.AT_ONCE)]
    assert web.get(f"{BASE}/runs/{run.pk}/zip/").status_code == 429
    next(held[0])
    for each in held:
        each.close()
    assert sum(len(part) for part in web.get(f"{BASE}/runs/{run.pk}/zip/").streaming_content) > 96 * 2**20
