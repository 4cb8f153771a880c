"""What the server needs for the large pages, against their budgets.

``python -m tests.benchmarks.pages [sqlite | postgres]`` fills a portal of its own; ``MLPORTAL_DATA_DIR=… python -m
tests.benchmarks.pages PROJECT...`` measures projects that ``mlportal fixture`` filled. Requests go through Django in
this process, with all middlewares and no network; it loads the portal as the server's own processes do, where garbage
is not looked for among a quarter of a million objects that stay. Printed are the 95th percentile, its ratio to the
budget, the median processor time, which other work on the machine disturbs less, and the number of queries; a missed
budget fails the command.
"""

import os
import re
import statistics
import sys
import time
from collections.abc import Sequence
from html import unescape
from urllib.parse import urljoin

from mlportal import preload
from tests.benchmarks.budgets import missed, settle, verdict
from tests.benchmarks.filled import chosen, filled

ROUNDS = 21  # so that one slow request in them is not yet the 95th percentile
_NEXT = re.compile(r'rel="next" href="([^"]+)"')


def main(projects: Sequence[str]) -> None:
    """Print one table a project."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mlportal.settings")
    os.environ.setdefault("MLPORTAL_LOG_LEVEL", "ERROR")
    preload.load()
    from django.conf import settings
    from django.test import Client

    from experiments.models import Experiment, Run
    from projects.models import Project, User

    settings.ALLOWED_HOSTS = ["*"]
    client = Client()
    for slug in projects:
        project = Project.objects.get(slug=slug)
        client.force_login(User.objects.get(pk=project.created_by_id))
        place = Experiment.objects.get(project=project, name="everything")
        size = Run.objects.filter(experiment=place).count()
        print(f"[{slug}: {size:,} runs, load {os.getloadavg()[0]:.1f}]{'':24}p95 ms  budget  ratio  cpu ms  queries")
        for name, address, budget in pages(client, project, place, size):
            print(line(client, name, address, budget), flush=True)


def pages(client, project, place, size):
    """Name, address and budget in ms of each page."""
    table = 200 if size <= 12_000 else 500
    root, page = f"/p/{project.slug}", f"/p/{project.slug}/experiments/{place.address}/"
    deep = _page_100(client, page)
    at_step = f"{page}?sort=metrics.auc%40step:1+DESC&cols=m~auc@step:1,m~loss@step:1"
    print(f"values at a step of two metrics: read in {_read(client, at_step):.1f} s of processor time")
    return [
        ("runs table", page, table),
        ("... 200 rows", f"{page}?limit=200", table),
        ("... sorted by a metric", f"{page}?sort=-metrics.auc", table),
        ("... filtered", f"{page}?q=metrics.auc+%3E+0.9", table),
        ("... filtered on a param, sorted", f"{page}?q=params.depth+%3D+'7'&sort=-metrics.auc", table),
        ("... filter that keeps 0.1 %", f"{page}?q=metrics.auc+%3E+0.999&sort=-metrics.auc", table),
        ("... page 100", deep, table),
        ("... sorted by the value at a step", at_step, table),
        ("... grouped by a param", f"{page}?group=p~depth&cols=m~auc", table),
        ("... grouped, the value at a step", f"{page}?group=p~depth&cols=m~auc&agg=step:1", table),
        ("compare 1,000 runs", f"{page}compare/?q=metrics.auc+%3E%3D+0", 2000),
        ("experiments list", f"{root}/experiments/", 200),
        ("dataset list", f"{root}/datasets/", 200),
        ("project home", f"{root}/", 200),
    ]


def _read(client, address: str) -> float:
    """Ask a page that needs values at a step until all are read; return the processor time that it took."""
    began = time.process_time()
    while "being read" in client.get(address).content.decode():
        pass
    return time.process_time() - began


def _page_100(client, page: str) -> str:
    """Go on from page to page by the links, as a person would."""
    address = page
    for _ in range(99):
        following = _NEXT.search(client.get(address).content.decode())
        if following is None:
            break
        address = urljoin(page, unescape(following[1]))
    return address


def line(client, name: str, address: str, budget: float) -> str:
    """Ask a page some times."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as asked:
        answer = client.get(address)
    queries = len(asked)
    if answer.status_code != 200:
        missed.append(f"{name.strip()} answered {answer.status_code}")
        return f"{name:44} answered {answer.status_code}"
    taken, used = [], []
    for _ in range(ROUNDS):
        began, cpu = time.perf_counter(), time.process_time()
        client.get(address)
        taken.append(1000 * (time.perf_counter() - began))
        used.append(1000 * (time.process_time() - cpu))
    slow = sorted(taken)[int(0.95 * ROUNDS)]
    ratio, said = slow / budget, verdict(name, slow, budget)
    return f"{name:44}{slow:8.0f}{budget:8.0f}{ratio:7.2f}{statistics.median(used):8.0f}{queries:9}{said}"


if __name__ == "__main__":
    if set(sys.argv[1:]) - {"sqlite", "postgres"}:
        main(sys.argv[1:])
    else:
        with filled(chosen()) as made:
            os.environ.update(made.portal.environment)
            main(made.projects)
    settle()
