"""What a client logs through the MLflow protocol, looked at in a real browser."""

import json
import re
import struct
import urllib.request
import zlib
from urllib.parse import quote

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

START = 1_760_000_000_000
CPU = "system/cpu_utilization_percentage"
TABLE = {"columns": ["class", "iou"], "data": [["road", 0.9], ["car", None]]}
UUID = "01234567-89ab-cdef-0123-45678{:07d}"


def png(shade: int) -> bytes:
    """A grey square of 8 by 8."""
    rows = b"".join(b"\x00" + bytes([shade]) * 8 for _ in range(8))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


class Door:
    """The calls a client makes."""

    def __init__(self, url: str, token: str) -> None:
        self.root, self.token = f"{url}/p/vision", token

    def _send(self, method: str, path: str, body: bytes) -> bytes:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        asked = urllib.request.Request(f"{self.root}/{path}", data=body, method=method, headers=headers)
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return answer.read()

    def call(self, path: str, /, **body) -> dict:
        """POST one call of the protocol."""
        return json.loads(self._send("POST", f"api/2.0/mlflow/{path}", json.dumps(body).encode()) or b"{}")

    def file(self, run: dict, path: str, data: bytes) -> None:
        """Upload one file of a run."""
        place = run["info"]["artifact_uri"].removeprefix("mlflow-artifacts:/")
        self._send("PUT", f"api/2.0/mlflow-artifacts/artifacts/{quote(f'{place}/{path}')}", data)


def log_run(door: Door, experiment: str, name: str, *, parent: str = "", level: float = 0.0) -> dict:
    """A run with curves, the machine, images, a table, data and a note."""
    tags = [
        {"key": "mlflow.runName", "value": name}, {"key": "mlflow.note.content", "value": "# Why\n\nTo see **more**."},
        {"key": "mlflow.loggedArtifacts", "value": json.dumps([{"path": "rows.json", "type": "table"}])},
    ]  # fmt: skip
    tags += [{"key": "mlflow.parentRunId", "value": parent}] if parent else []
    run = door.call("runs/create", experiment_id=experiment, start_time=START, tags=tags)["run"]
    points = [
        {"key": key, "value": value + level, "timestamp": START + step * 1000, "step": step}
        for step in range(20)
        for key, value in (("val/iou", step / 30), ("train/loss", 1 / (step + 1)), (CPU, 40.0))
    ]  # fmt: skip
    number = run["info"]["run_id"]
    door.call("runs/log-batch", run_id=number, metrics=points, params=[{"key": "lr", "value": str(level + 0.1)}])
    for step in (0, 10):
        stem = f"images/pred+step+{step}+timestamp+{START + step}+{UUID.format(step)}"
        door.file(run, f"{stem}.png", png(40 + 8 * step))
    door.file(run, "rows.json", json.dumps(TABLE).encode())
    dataset = {"name": "drive", "digest": "abc123", "source_type": "s3", "source": json.dumps({"uri": "s3://d/m"})}
    door.call("runs/log-inputs", run_id=number, datasets=[{"dataset": dataset, "tags": []}])
    door.call("runs/update", run_id=number, status="FINISHED", end_time=START + 60_000)
    return run


@pytest.fixture(scope="module")
def place(stage):
    """The experiment and the parent of a family of runs that a client logged."""
    door = Door(stage.portal.url, stage.values["client_token"])
    experiment = door.call("experiments/create", name="vision/roads v2")["experiment_id"]
    parent = log_run(door, experiment, "sweep")
    for at in (1, 2):
        log_run(door, experiment, f"trial-{at}", parent=parent["info"]["run_id"], level=at / 10)
    return experiment, parent


@pytest.fixture(scope="module")
def pia(sign_in):
    """A signed-in window."""
    return sign_in("pia")


@pytest.fixture(autouse=True)
def no_trouble(pia):
    yield
    trouble, pia.trouble = pia.trouble, []
    assert not trouble


def test_the_printed_address_leads_to_the_run_and_its_pictures_move(place, pia):
    experiment, parent = place
    pia.go(f"/p/vision/#/experiments/{experiment}/runs/{parent['info']['run_id']}")
    expect(pia.page.get_by_role("heading", level=1)).to_contain_text("sweep")
    for words in ("Curves", "System metrics", "Images", "Tables", "Datasets", "Child runs"):
        expect(pia.page.get_by_role("heading", name=words)).to_be_visible()
    expect(pia.page.locator(".prose strong")).to_have_text("more")
    slider = pia.page.get_by_label("Step of pred")
    slider.focus()
    pia.page.keyboard.press("ArrowLeft")
    expect(pia.page.get_by_alt_text("pred at step 0")).to_be_visible()
    pia.until("document.querySelector('.steps img').naturalWidth === 8")
    pia.page.evaluate("scrollTo(0, 0)")  # away from under the bar at the top
    pia.look("client-run")


def test_a_family_opens_in_place(place, pia):
    pia.go(f"/p/vision/experiments/{place[0]}/")
    pia.page.get_by_role("link", name="2 children").click()
    expect(pia.page.locator("tr.child")).to_have_count(2)
    assert "open=" in pia.page.url
    pia.look("client-runs")


def test_runs_are_compared_with_their_pictures(place, pia):
    pia.go(f"/p/vision/experiments/{place[0]}/compare/")
    expect(pia.page.locator(".sidebyside img")).to_have_count(3)
    first = pia.page.get_by_label("Step of pred").first
    first.focus()
    pia.page.keyboard.press("Home")
    expect(pia.page.get_by_alt_text("pred at step 0")).to_have_count(3)
    pia.look("client-compare")


def test_files_and_experiments_are_fit_to_look_at(place, pia):
    pia.go("/p/vision/experiments/")
    expect(pia.page.get_by_role("link", name="vision/roads v2")).to_be_visible()
    pia.look("client-experiments")
    pia.page.get_by_role("link", name="vision/roads v2").click()
    pia.page.get_by_role("link", name=re.compile(r"^\d+$")).first.click()
    pia.page.get_by_role("link", name="rows.json").first.click()
    expect(pia.page.get_by_role("cell", name="road")).to_be_visible()
    pia.look("client-table")
