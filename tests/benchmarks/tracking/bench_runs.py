"""What tracking costs, as ratios to the bare database work measured in the same run.

Not part of `make test`. Run on both databases: ``scripts/bench tracking``.
"""

import gzip
import json
import math
import random
import time
import zlib
from statistics import median

import pytest
from django.db import connection, transaction
from django.test import Client

from experiments import metricstore, queries
from experiments.metricstore import Context, Order, Question, Scope, codec, keys
from experiments.models import MetricChunk, Run, RunMetric, RunParam
from tests.factories.experiments import make_experiment, make_run
from tests.factories.projects import make_project, make_token, make_user

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
METRICS = [f"metric_{i}" for i in range(10)]
PARAMS = [f"param_{i}" for i in range(10)]
BATCHES = {
    "10 metrics": [(f"metric_{i}", 0.5 + i, 1_760_000_000_000, 7) for i in range(10)],
    "1,000 metrics (10 keys x 100 steps)": [
        (f"metric_{i % 10}", i / 7, 1_760_000_000_000 + i, i // 10) for i in range(1000)
    ],
    "1,000 metrics (1,000 keys)": [(f"wide_{i}", i / 7, 1_760_000_000_000, 7) for i in range(1000)],
}  # fmt: skip
# How many times the bare insert of the same bytes, in one committed transaction, each way may cost.
LIMITS = {
    "10 metrics": (4, 30),
    "1,000 metrics (10 keys x 100 steps)": (10, 40),
    "1,000 metrics (1,000 keys)": (12, 45),
}


def timed(action, rounds, warm=3):
    """Seconds of each call after a few that do not count."""
    for _ in range(warm):
        action()
    out = []
    for _ in range(rounds):
        start = time.perf_counter()
        action()
        out.append(time.perf_counter() - start)
    return out


def ms(seconds):
    """The best round, and the median in brackets: on a shared machine only the best repeats."""
    return f"{min(seconds) * 1000:.2f} ms ({median(seconds) * 1000:.1f})"


def say(text):
    print(f"[{connection.vendor}] {text}", flush=True)


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def experiment(project):
    return make_experiment(project)


@pytest.mark.parametrize("name", BATCHES)
def test_log_batch_against_the_bare_insert(project, experiment, name):
    batch, run, bare_run = BATCHES[name], make_run(experiment), make_run(experiment)
    user = make_user("ana", role="scientist", project=project)
    headers = {"Authorization": f"Bearer {make_token(user, project, ['write'])}"}
    body = json.dumps({"metrics": [{"key": k, "value": v, "timestamp": t, "step": s} for k, v, t, s in batch]})
    url, client = f"/api/v1/projects/churn/runs/{run.pk}/log-batch/", Client(raise_request_exception=True)
    from experiments.metricstore.limits import columns

    with transaction.atomic():
        ids = keys.ids({m[0] for m in batch})
    packed = codec.pack_block(columns(batch, ids))

    def bare():
        with transaction.atomic():
            MetricChunk.objects.create(
                run=bare_run, experiment=experiment, points=len(batch), first_step=0, last_step=7, data=packed
            )

    def store():
        metricstore.append(run.pk, metrics=batch)

    def door():
        assert client.post(url, body, content_type="application/json", headers=headers).status_code == 200

    bare_s, store_s, door_s = timed(bare, 120), timed(store, 120), timed(door, 120)
    base = min(bare_s)
    ratios = (min(store_s) / base, min(door_s) / base)
    say(f"log-batch {name}: bare insert {ms(bare_s)}, store {ms(store_s)} = {ratios[0]:.1f}x, "
        f"whole request {ms(door_s)} = {ratios[1]:.1f}x, limit of the store {LIMITS[name]}x")  # fmt: skip
    assert ratios[0] <= LIMITS[name]


def build(experiment, count, seed=1):
    """Fill an experiment with runs of 10 parameters and 10 metrics, beside the services, for speed."""
    mixed = random.Random(seed)
    with transaction.atomic():
        ids = keys.ids([*METRICS, *PARAMS])
    for start in range(0, count, 2000):
        size = min(2000, count - start)
        now = Run.objects.count()
        made = Run.objects.bulk_create(
            Run(
                project=experiment.project, experiment=experiment, name=f"run {start + i}", state="finished",
                params=json.dumps({p: str(mixed.randrange(20)) for p in PARAMS}), created_at="2026-10-01T00:00:00Z",
                started_ms=1_760_000_000_000 + (now + i) * 1000, ended_ms=1_760_000_060_000 + (now + i) * 1000,
            )
            for i in range(size)
        )  # fmt: skip
        metrics, params = [], []
        for run in made:
            document = json.loads(run.params)
            metrics += [
                RunMetric(
                    run=run, key_id=ids[m], experiment=experiment,
                    value=mixed.random(), is_nan=False, step=9, stamp_ms=9,
                )
                for m in METRICS
            ]  # fmt: skip
            params += [
                RunParam(run=run, key_id=ids[p], experiment=experiment, value=v, number=float(v))
                for p, v in document.items()
            ]  # fmt: skip
        RunMetric.objects.bulk_create(metrics, batch_size=2000)
        RunParam.objects.bulk_create(params, batch_size=2000)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


SEARCHES = {
    "filter on metric and param, order by metric": ("metric_0>0.5 param_0>=10", Order("metric", "metric_1")),
    "filter that keeps 0.3 %": ("metric_0>0.997", Order("metric", "metric_1")),
    "an or of two that keep 0.3 % each": ("metric_0>0.997 or metric_2>0.997", Order("metric", "metric_1")),
    "no filter, newest first": ("", metricstore.NEWEST_FIRST),
    "no filter, best first, failed last": ("", Order("metric", "metric_1", settled_first=True)),
}
GROWTH_LIMIT = 0.2
# Up to some 4,000 runs the size of a condition is still counted whole, so the first step up costs a little more.
NOISE = 0.25


def exponent(small, large, factor=10):
    return math.log(min(large) / min(small), factor)


def test_search_grows_little_from_1_000_to_10_000_runs(project):
    small, large = make_experiment(project, "small"), make_experiment(project, "large")
    build(small, 1000)
    build(large, 10_000)
    bare = {}
    for experiment in (small, large):
        ids = list(Run.objects.filter(experiment=experiment).values_list("pk", flat=True)[:100])
        bare[experiment] = timed(lambda i=ids: list(Run.objects.filter(pk__in=i).values_list("pk", "params")), 60)
    for name, (text, order) in SEARCHES.items():
        times = {}
        for experiment in (small, large):
            question = Question(Context(Scope.of(experiment.pk), 0), metricstore.parse(text), order)
            times[experiment] = timed(lambda q=question: metricstore.search(q, limit=100), 60)
        grew = exponent(times[small], times[large])
        ratio = min(times[large]) / min(bare[large])
        say(f"search, {name}: 1,000 runs {ms(times[small])}, 10,000 runs {ms(times[large])}, exponent {grew:+.2f} "
            f"(limit {GROWTH_LIMIT}), {ratio:.1f}x reading 100 rows by id")  # fmt: skip
        assert grew <= GROWTH_LIMIT + NOISE


def test_the_runs_table_at_1_000_and_10_000_runs(project):
    small, large = make_experiment(project, "small"), make_experiment(project, "large")
    make_experiment(project, "empty")
    build(small, 1000)
    build(large, 10_000)
    client = Client()
    client.force_login(make_user("ana", role="scientist", project=project))
    for query in ("", "?q=metric_0>0.5+param_0>=10&sort=metric_1+DESC", "?limit=200"):

        def get(name, query=query):
            return client.get(f"/p/churn/experiments/{name}/{query}")

        times = {name: timed(lambda name=name: get(name), 15) for name in ("small", "large", "empty")}
        packed = len(gzip.compress(get("large").content)) / 1000
        grew = exponent(times["small"], times["large"])
        say(
            f"runs table {query or '(first page)'}: page without runs {ms(times['empty'])}, 1,000 runs "
            f"{ms(times['small'])}, 10,000 runs {ms(times['large'])}, exponent {grew:+.2f} (limit {GROWTH_LIMIT}), "
            f"{packed:.0f} KB gzip (limit 35)"
        )
        assert grew <= GROWTH_LIMIT + NOISE
        assert packed <= 35
        assert min(times["large"]) <= 0.2


def test_history_of_a_million_points(experiment):
    for total in (100_000, 1_000_000):
        run = make_run(experiment)
        for start in range(0, total, 1000):
            batch = [
                ("loss", math.exp(-step / total), 1_760_000_000_000 + step, step) for step in range(start, start + 1000)
            ]
            metricstore.append(run.pk, metrics=batch)
            if (start // 1000) % 64 == 63:
                metricstore.fold(run.pk)
        metricstore.fold(run.pk)
        chunks = MetricChunk.objects.filter(run=run)

        def inflate(rows=chunks):
            return sum(len(zlib.decompress(bytes(data)[8:])) for data in rows.values_list("data", flat=True))

        bare = timed(inflate, 7, warm=1)
        whole = timed(lambda r=run: metricstore.series(r.pk, "loss"), 7, warm=1)
        thin = timed(lambda r=run: metricstore.series(r.pk, "loss", at_most=1000), 7, warm=1)
        stored = sum(len(bytes(c.data)) for c in chunks)
        ratio = min(thin) / min(bare)
        say(f"history of {total:,} points: read and inflate {ms(bare)}, whole {ms(whole)}, thinned to 1,000 {ms(thin)} "
            f"= {ratio:.1f}x (limit 5), {stored / total:.1f} bytes a point")  # fmt: skip
        assert metricstore.series(run.pk, "loss").total == total
        assert ratio <= 5


def test_search_right_after_200_calls_to_8_runs(experiment):
    runs = [make_run(experiment) for _ in range(8)]
    question = Question(
        Context(Scope.of(experiment.pk), 0), metricstore.parse("metric_0>0"), Order("metric", "metric_0")
    )
    times = []
    for round_ in range(12):
        for call in range(200):
            run = runs[call % 8]
            metricstore.append(run.pk, metrics=[(m, 1.0 + call, 1, round_ * 200 + call) for m in METRICS])
        start = time.perf_counter()
        assert len(metricstore.search(question).run_ids) == 8
        times.append(time.perf_counter() - start)
    again = timed(lambda: metricstore.search(question), 40)
    say(f"search right after 200 calls to 8 runs {ms(times)}, again {ms(again)}")
    assert queries.facts_of(metricstore.search(question).run_ids)[0].value("metric_0") == 200.0
