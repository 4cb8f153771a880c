"""Rows and logs that change under a reader's eyes: what is focused, ticked and scrolled stays, a dead line is told."""

import itertools
import json
import re
import subprocess
import sys
import urllib.request
from contextlib import contextmanager

import pytest
from playwright.sync_api import expect

from tests.portal.running import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
RUNS = "/p/churn/experiments/live/?cols=m~auc"
AT_END = """(() => {
  const box = document.getElementById('console');
  return box.scrollHeight - box.scrollTop - box.clientHeight < 24;
})()"""
STEPS = itertools.count(7)  # the newest step is what a row shows, in whatever order the tests run


def call(stage, method: str, path: str, body: object) -> None:
    """One REST call."""
    asked = urllib.request.Request(
        f"{stage.portal.url}/api/v1/projects/churn/{path}", data=json.dumps(body).encode(), method=method,
        headers={"Authorization": f"Bearer {stage.values['token']}", "Content-Type": "application/json"},
    )  # fmt: skip
    with urllib.request.urlopen(asked, timeout=30) as answer:
        answer.read()


def log(stage, value: float) -> None:
    """Another value of the running run."""
    step = next(STEPS)
    metric = {"key": "auc", "value": value, "timestamp": 1_760_000_100_000 + step, "step": step}
    call(stage, "POST", f"runs/{stage.values['live']}/log-batch/", {"metrics": [metric]})


@contextmanager
def training(stage):
    """What lets the training that is at work say (level, text)s."""
    environment = stage.portal.environment | {"DJANGO_SETTINGS_MODULE": "mlportal.settings"}
    command = [sys.executable, "-m", "tests.e2e.stage", stage.values["working"]]
    with subprocess.Popen(command, env=environment, cwd=ROOT, stdin=subprocess.PIPE, text=True) as told:

        def say(*lines: tuple[str, str]) -> None:
            told.stdin.write(json.dumps(lines) + "\n")
            told.stdin.flush()

        yield say
        told.stdin.close()
        assert told.wait(60) == 0


def open_line(person) -> None:
    """Wait until the page listens."""
    person.until("document.querySelector('[data-live-stream]').dataset.liveState === 'open'")


def test_a_changed_row_keeps_focus_scroll_and_ticks(person, stage):
    person.page.set_viewport_size({"width": 1000, "height": 420})
    person.go(RUNS)
    page = person.page
    open_line(person)
    row = page.locator(f"#run-{stage.values['live']}")
    other = page.locator("table.runs tbody tr:nth-of-type(12)")
    other.get_by_role("checkbox").check()
    other.locator("th a").first.focus()
    wrap = page.locator(".tblwrap.tall")
    wrap.evaluate("box => { box.scrollTop = 150; }")
    top, across = wrap.evaluate("box => [box.scrollTop, box.scrollLeft]"), page.evaluate("scrollY")
    log(stage, 0.8765)
    expect(row).to_contain_text(re.compile("0.876|0.877"))
    expect(other.locator("th a").first).to_be_focused()
    expect(other.get_by_role("checkbox")).to_be_checked()
    assert wrap.evaluate("box => [box.scrollTop, box.scrollLeft]") == top
    assert page.evaluate("scrollY") == across
    expect(page.locator("#selbar [data-n]")).to_have_text("1")


def test_new_rows_wait_behind_a_link(person, stage):
    person.page.set_viewport_size({"width": 1440, "height": 900})
    person.go(RUNS)
    page = person.page
    open_line(person)
    first = page.locator("table.runs tbody tr").first.get_attribute("id")
    total = page.locator("[data-total-of=runs]")
    before = int(total.inner_text())
    call(stage, "POST", "runs/", {"experiment": "live", "name": "late", "start": True})
    expect(page.get_by_role("link", name=re.compile("1 new run"))).to_be_visible()
    expect(total).to_have_text(str(before + 1))
    assert page.locator("table.runs tbody tr").first.get_attribute("id") == first
    page.get_by_role("link", name=re.compile("1 new run")).click()
    expect(page.locator("table.runs tbody")).to_contain_text("late")


def test_a_dead_line_is_told_of_and_recovers(person, stage):
    person.go(RUNS)
    page = person.page
    open_line(person)
    note = page.locator("[data-live-note]")
    person.context.set_offline(True)  # lines that are open stay so: this one is ended by hand below
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(note).to_be_visible()
    expect(note).to_contain_text(re.compile(r"Live paused\. The last news is \d+ s old\."))
    expect(note).to_contain_text(re.compile(r"Next try in \d+ s|Trying now"))
    person.context.set_offline(False)
    note.get_by_role("button", name="Try now").click()
    expect(note).not_to_be_visible()
    log(stage, 0.4321)
    expect(page.locator(f"#run-{stage.values['live']}")).to_contain_text("0.432")


def test_a_log_is_followed_until_somebody_scrolls_up(person, stage):
    person.page.set_viewport_size({"width": 1440, "height": 900})
    person.go(f"/p/churn/runs/{stage.values['working']}/")
    page = person.page
    console, follow = page.get_by_role("log", name="Job log"), page.get_by_role("switch", name="Follow")
    open_line(person)
    person.until(AT_END)
    with training(stage) as say:
        say(("info", "epoch 60 of 99"))
        expect(console).to_contain_text("epoch 60 of 99")
        person.until(AT_END)  # the newest line is in sight
        console.evaluate("box => { box.scrollTop = 0; }")
        expect(follow).not_to_be_checked()
        say(("warning", "the loss rises"), ("info", "epoch 61 of 99"))
        expect(console).to_contain_text("epoch 61 of 99")
        assert console.evaluate("box => box.scrollTop") == 0  # who reads is not carried off
        follow.check()
        person.until(AT_END)
        page.reload()
        page.get_by_role("group", name="Level").get_by_role("link", name="Warnings 1").click()
        expect(console.locator(".ln")).to_have_count(1)
        open_line(person)
        say(("info", "epoch 62 of 99"), ("warning", "the loss is no number"))
        expect(console.locator(".ln")).to_have_count(2)  # of what comes, too, only warnings
        expect(console).to_contain_text("the loss is no number")
    find = page.get_by_role("searchbox", name="Find in the log")
    find.fill("RISES")
    find.press("Enter")
    expect(console.locator(".ln")).to_have_count(1)
    expect(console).to_contain_text("the loss rises")
