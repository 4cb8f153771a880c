"""What a person waits for on the large pages, in a real browser, against the budgets of the interface.

``python -m tests.benchmarks.pages_in_browser [sqlite | postgres]`` fills a portal of its own;
``python -m tests.benchmarks.pages_in_browser URL NAME PASSWORD PROJECT...`` asks one that ``mlportal fixture`` filled.
Printed are the first row on the screen, a comparison of 1,000 runs drawn, and of the table of 200 rows the page as
sent, the processor time of the browser's main thread, and the heap of its scripts: the median of some rounds, the
limit, and their ratio; a missed limit fails the command. The server's share alone is measured by
``tests.benchmarks.pages``.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

from tests.benchmarks.budgets import settle, verdict
from tests.benchmarks.filled import chosen, filled
from tests.e2e.browser import Person, launch, until

ROUNDS = 5
Weigh = Callable[[CDPSession, Callable[[str], float]], list[float]]
ROW = "document.querySelector('table.runs tbody tr')?.checkVisibility() === true"
DRAWN = """[...document.querySelectorAll('[data-chart], .pc')].length > 0 &&
  [...document.querySelectorAll('[data-chart], .pc')].every((each) =>
    each.ariaBusy !== 'true' || each.getBoundingClientRect().top >= innerHeight)"""


def main(url: str, name: str, password: str, projects: Sequence[str]) -> None:
    """Print one table a project."""
    with sync_playwright() as playwright:
        browser = launch(playwright)
        person = Person(browser, url)
        person.sign_in(name, password)
        for slug in projects:
            measure(browser, person, slug)


def measure(browser: Browser, person: Person, slug: str) -> None:
    """Print the rows of one project."""
    table = f"{person.url}/p/{slug}/experiments/everything/"
    person.page.goto(table)
    words = person.page.locator(".pagehead .meta b").first.inner_text()
    first = 1.5 if words == "10,000+" else 1.0  # the page counts to 10,000
    print(f"[{slug}: {words} runs, load {os.getloadavg()[0]:.1f}]")
    show("first row on screen, s", shown(person.page, table, ROW), first)
    show("first row, sorted by a metric, s", shown(person.page, f"{table}?sort=-metrics.auc", ROW), first)
    compare = f"{table}compare/?q=metrics.auc+%3E%3D+0"
    show("comparison of up to 1,000 runs drawn, s", shown(person.page, compare, DRAWN), 2.0)
    [main_thread] = weighed(browser, person, compare, DRAWN, lambda wire, _sent: [metric(wire, "TaskDuration")])
    show("... its main thread, s", main_thread, 0.8)
    sent, main_thread, heap = weighed(browser, person, f"{table}?limit=200", ROW, _table)
    show("200 rows: HTML as sent, KB", sent, 35)
    show("200 rows: main thread, s", main_thread, 0.4)
    show("200 rows: heap of scripts, MB", heap, 5)


def shown(page: Page, address: str, truth: str) -> float:
    """Median of the seconds until an expression is true, with what is kept for a year in the cache."""
    taken = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        page.goto(address, wait_until="commit")
        until(page, truth, seconds=60)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


@contextmanager
def opened(
    browser: Browser, person: Person, address: str, truth: str
) -> Iterator[tuple[CDPSession, Callable[[str], float]]]:
    """Open a page in a window of its own; what it still does on its own a second later is its cost as well."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, storage_state=person.context.storage_state())
    page = context.new_page()
    wire = context.new_cdp_session(page)
    wire.send("Network.enable")
    wire.send("Performance.enable", {"timeDomain": "threadTicks"})  # the thread's own time, not that of its neighbours
    kinds: dict[str, str] = {}
    sizes: dict[str, float] = {}
    wire.on("Network.responseReceived", lambda got: kinds.update({got["requestId"]: got["type"]}))
    wire.on("Network.loadingFinished", lambda got: sizes.update({got["requestId"]: got["encodedDataLength"]}))
    page.goto(address)
    until(page, truth, seconds=60)
    page.wait_for_timeout(1000)
    yield wire, lambda wanted: sum(sizes.get(key, 0) for key, kind in kinds.items() if kind == wanted)
    context.close()


def weighed(browser: Browser, person: Person, address: str, truth: str, weigh: Weigh) -> list[float]:
    """Median of each number that is read of a page, opened anew each time."""
    rounds = []
    for _ in range(ROUNDS):
        with opened(browser, person, address, truth) as (wire, sent):
            rounds.append(weigh(wire, sent))
    return [statistics.median(found) for found in zip(*rounds, strict=True)]


def _table(wire: CDPSession, sent: Callable[[str], float]) -> list[float]:
    """Bytes in KB, main thread in s and heap in MB of a page."""
    main_thread = metric(wire, "TaskDuration")
    wire.send("HeapProfiler.collectGarbage")
    return [sent("Document") / 1000, main_thread, metric(wire, "JSHeapUsedSize") / 1e6]


def metric(wire: CDPSession, name: str) -> float:
    """One number of the browser about this page."""
    found = wire.send("Performance.getMetrics")["metrics"]
    return float(next(each["value"] for each in found if each["name"] == name))


def show(what: str, value: float, limit: float) -> None:
    """Print a line."""
    print(f"{what:44}{value:9.2f}{limit:9.2f}{value / limit:7.2f}{verdict(what, value, limit)}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 4:
        main(*sys.argv[1:4], sys.argv[4:])
    else:
        with filled(chosen()) as made:
            main(made.portal.url, made.owner, made.login.password, made.projects)
    settle()
