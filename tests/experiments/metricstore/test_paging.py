"""Every order pages through every run exactly once, forward and back, whatever is equal, missing or no number."""

import random

import pytest

from experiments import metricstore
from experiments.metricstore import Context, Order, Question, Scope, finding
from experiments.metricstore.orders import ATTRIBUTES
from experiments.models import Run
from experiments.services import runs as service
from projects.models import User
from tests.factories.experiments import make_experiment, make_run, writer
from tests.factories.projects import make_project, make_user

pytestmark = pytest.mark.django_db
RUNS = 45
NAN, INF = float("nan"), float("inf")
ORDERS = [
    *(Order("attribute", name) for name in ATTRIBUTES),
    *(Order("metric", "auc", agg=agg) for agg in ("last", "min", "max", "step:1")),
    Order("metric", "never"),
    Order("metric", "never", agg="step:0"),
    Order("param", "depth"),
    Order("tag", "team"),
]


def label(order):
    return f"{order.kind}-{order.key}-{order.agg}"


@pytest.fixture
def experiment():
    """Runs that share values, lack them, or have NaN and infinities; some failed, some are deleted."""
    experiment, drawn = make_experiment(make_project()), random.Random(7)
    users: list[User] = [make_user("ana", project=experiment.project), make_user("ben", project=experiment.project)]
    for at in range(RUNS):
        params = {"depth": drawn.choice(["4", "4.0", "10", "deep", ""])} if at % 4 else {}
        tags = {"team": drawn.choice(["a", "b", ""])} if at % 3 else {}
        run = make_run(experiment, f"r{drawn.randrange(6)}", params=params, tags=tags)
        if at % 5:
            values = [drawn.choice([0.5, 0.5, -0.0, 1e-300, NAN, INF, -INF]) for _ in range(drawn.randint(1, 3))]
            metricstore.append(run.pk, metrics=[("auc", value, 1, step) for step, value in enumerate(values)])
        started = 1_760_000_000_000 + drawn.randrange(4)
        state = drawn.choice(["finished", "finished", "failed", "queued", "running"])
        ended = started + drawn.randrange(3) if state in ("finished", "failed") and drawn.random() < 0.8 else None
        Run.objects.filter(pk=run.pk).update(
            started_ms=started, ended_ms=ended, state=state, created_by=drawn.choice([None, *users])
        )
        if at % 11 == 0:
            run.refresh_from_db()
            service.delete(writer(experiment.project), run=run) if state != "running" else None
    return experiment


@pytest.mark.parametrize("order", ORDERS, ids=label)
@pytest.mark.parametrize("few", [-1, 10**6], ids=["walk", "from an index"])
def test_an_order_pages_through_every_run_once(experiment, monkeypatch, order, few):
    for name, value in (("FEW", few), ("FIRST_WINDOW", 7), ("FIRST_CHECK", 7), ("SORTED_WINDOW", 7)):
        monkeypatch.setattr(finding, name, value)
    drawn = random.Random(few)
    for text, lifecycle in (("", "active"), ("", "deleted"), ("auc>0.1", "active"), ("not depth=4", "active")):
        wanted = set(metricstore.numbers(question(experiment, text, order, lifecycle)))
        for descending in (True, False):
            for settled in (True, False):
                asked = Order(order.kind, order.key, descending, settled_first=settled, agg=order.agg)
                limit = drawn.choice([1, 2, 5, 13, RUNS])
                check(question(experiment, text, asked, lifecycle), limit, wanted)


def question(experiment, text, order, lifecycle):
    return Question(Context(Scope.of(experiment.pk), 0), metricstore.parse(text), order, lifecycle)


def check(asked, limit, wanted):
    pages = [metricstore.search(asked, limit=limit)]
    while pages[-1].after:
        assert len(pages) <= len(wanted)
        pages.append(metricstore.search(asked, limit=limit, after=pages[-1].after))
    seen = [pk for page in pages for pk in page.run_ids]
    assert (len(seen), set(seen)) == (len(wanted), wanted)
    back = pages[-1]
    for page in reversed(pages[:-1]):
        back = metricstore.search(asked, limit=limit, before=back.before)
        assert back.run_ids == page.run_ids
    assert back.before == ""
    assert seen == metricstore.search(asked, limit=1000).run_ids
