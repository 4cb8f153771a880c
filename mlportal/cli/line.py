"""Commands of a model's way over REST: train, runs, register, promote, decide."""

import argparse
import sys
from typing import Any

from mlportal.cli.client import ENDED, MAX_ROWS, common, portal
from mlportal.cli.errors import FAILED, REFUSED, Failure
from mlportal.cli.output import show, table


def add_commands(commands: Any) -> None:
    """Declare the commands."""
    _add_train(commands)
    runs = commands.add_parser("runs", help="list runs, newest first")
    runs.add_argument("--experiment", default="", help="name or number; default: all experiments")
    runs.add_argument("--filter", default="", metavar="CONDITIONS", help="as on the page: 'auc>0.8 algorithm:ridge'")
    runs.add_argument("--sort", default="", help="a metric, parameter or attribute; a leading - for descending")
    runs.add_argument("--limit", type=int, default=MAX_ROWS)
    common(runs)
    runs.set_defaults(run=run_runs)
    register = commands.add_parser("register", help="make a run's model a version of a registered model")
    register.add_argument("run_id", metavar="RUN", type=int)
    register.add_argument("--model", required=True)
    common(register)
    register.set_defaults(run=run_register)
    promote = commands.add_parser("promote", help="ask for a model version to serve in an environment")
    promote.add_argument("version", metavar="MODEL[@NUMBER]", help="default number: the newest")
    promote.add_argument("--to", default="production", metavar="ENVIRONMENT")
    promote.add_argument("--reason", required=True)
    promote.add_argument("--wait", action="store_true", help="until it is measured; exit with 1 when a gate blocks it")
    promote.add_argument("--timeout", type=float, default=600)
    common(promote)
    promote.set_defaults(run=run_promote)
    decide = commands.add_parser("decide", help="decide a promotion request of somebody else")
    decide.add_argument("request", type=int)
    decide.add_argument("verdict", choices=["approve", "reject", "changes"])
    decide.add_argument("--comment", default="")
    decide.add_argument("--read", action="append", default=[], metavar="GATE", help="an advisory gate you have read")
    common(decide)
    decide.set_defaults(run=run_decide)


def _add_train(commands: Any) -> None:
    train = commands.add_parser("train", help="launch a training job")
    train.add_argument("--dataset", required=True, metavar="NAME[@NUMBER]", help="default number: the newest ready one")
    train.add_argument("--target", required=True)
    train.add_argument("--algorithm", required=True)
    train.add_argument("--task", default="classification", choices=["classification", "regression"])
    train.add_argument("--experiment", default="default")
    train.add_argument("--name", default="", help="name of the run")
    train.add_argument("--features", default="", help="comma-separated; default: all but the target")
    train.add_argument("--test-share", type=float, default=0.25)
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--folds", type=int, default=0, help="cross-validation; 0 is none")
    train.add_argument("--stratify", action=argparse.BooleanOptionalAction, default=None)
    train.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a hyper-parameter; repeat")
    train.add_argument("--wait", action="store_true", help="until it ends; exit with 1 unless it succeeds")
    train.add_argument("--timeout", type=float, default=3600)
    common(train)
    train.set_defaults(run=run_train)


def value(text: str) -> Any:
    """Return a hyper-parameter's value: none, true, false, a number, or the text itself."""
    words = {"none": None, "null": None, "true": True, "false": False}
    if text.lower() in words:
        return words[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def numbered(text: str) -> tuple[str, int | None]:
    """Split ``name@3`` or ``name@v3``."""
    name, _at, number = text.partition("@")
    if number and not number.removeprefix("v").isdigit():
        raise Failure(f"{text!r}: after @ comes a version number, as in {name}@3", REFUSED)
    return name, int(number.removeprefix("v")) if number else None


def specification(given: argparse.Namespace) -> dict[str, Any]:
    """Return the specification the API takes."""
    pairs = [pair.partition("=") for pair in given.set]
    if wrong := [name for name, equals, _text in pairs if not equals]:
        raise Failure(f"--set {wrong[0]}: give NAME=VALUE", REFUSED)
    features = [name.strip() for name in given.features.split(",") if name.strip()]
    stratify = given.task == "classification" if given.stratify is None else given.stratify
    return {
        "task": given.task,
        "target": given.target,
        "features": features or None,
        "test_share": given.test_share,
        "seed": given.seed,
        "stratify": stratify,
        "folds": given.folds,
        "algorithm": given.algorithm,
        "hyper_parameters": {name: value(text) for name, _equals, text in pairs},
    }


def run_train(given: argparse.Namespace) -> int:
    """Launch a job; with ``--wait`` follow it and fail unless it succeeds."""
    at = portal(given)
    dataset, number = numbered(given.dataset)
    body = {"experiment": given.experiment, "dataset": dataset, "version": number, "name": given.name}
    job = at.post(at.path("jobs"), body | {"spec": specification(given)})
    if given.wait:
        job = at.wait(
            at.path("jobs", job["id"]), over=lambda row: row["state"] in ENDED, timeout=given.timeout, on_change=_tell
        )
    show(given, job, f"job {job['id']}, run {job['run']}: {job['state']}")
    if given.wait and job["state"] != "succeeded":
        raise Failure(f"job {job['id']} {job['state']}: {job.get('failure') or 'no cause given'}", FAILED)
    return 0


def _tell(job: Any) -> None:
    print(f"{job['state']} {job.get('phase') or ''}".rstrip(), file=sys.stderr)


def run_runs(given: argparse.Namespace) -> int:
    """List runs with their primary metric."""
    at = portal(given)
    wanted = [given.experiment] if given.experiment else [row["id"] for row in at.pages(at.path("experiments"), 1000)]
    rows = [
        row
        for experiment in wanted
        for row in at.pages(at.path("runs"), given.limit, experiment=experiment, q=given.filter, sort=given.sort)
    ]
    if not given.sort:
        rows.sort(key=lambda row: -row["id"])
    rows = rows[: given.limit]
    head = ("id", "name", "experiment", "state", "metric", "value")
    show(given, rows, table(head, [[*(row[name] for name in head[:4]), *_metric(row)] for row in rows]))
    return 0


def _metric(row: Any) -> tuple[str, float | None]:
    name = row.get("primary_metric") or ""
    found = (row.get("metrics") or {}).get(name) or {}
    return name, found.get("value")


def run_register(given: argparse.Namespace) -> int:
    """Register a run's model."""
    at = portal(given)
    version = at.post(at.path("models", given.model, "versions"), {"run": given.run_id})
    show(given, version, f"{given.model} v{version['number']} from run {given.run_id}")
    return 0


def run_promote(given: argparse.Namespace) -> int:
    """Ask for a promotion; with ``--wait`` show the gates and fail when one blocks."""
    at = portal(given)
    model, number = numbered(given.version)
    if number is None:
        number = at.pages(at.path("models", model, "versions"), 1)[0]["number"]
    body = {"model": model, "version": number, "environment": given.to, "reason": given.reason}
    request = at.post(at.path("promotions"), body)
    if given.wait:
        place = at.path("promotions", request["id"])
        over = lambda row: row["evaluated"] or row["state"] != "pending"  # noqa: E731
        request = at.wait(place, over=over, timeout=given.timeout)
    gates = request.get("gates") or []
    head = ("gate", "level", "passed", "found")
    text = f"request {request['id']}: {model} v{number} to {given.to}, {request['state']}"
    rows = [[gate["name"], gate["level"], "yes" if gate["passed"] else "no", gate["found"]] for gate in gates]
    show(given, request, f"{text}\n{table(head, rows)}" if rows else text)
    blocked = [gate["name"] for gate in gates if gate["level"] == "blocking" and not gate["passed"]]
    if blocked:
        raise Failure(f"blocked by {', '.join(blocked)}", FAILED)
    return 0


def run_decide(given: argparse.Namespace) -> int:
    """Decide a request."""
    at = portal(given)
    body = {"verdict": given.verdict, "comment": given.comment, "acknowledged": given.read}
    request = at.post(at.path("promotions", given.request, "decide"), body)
    show(given, request, f"request {request['id']}: {request['state']}")
    return 0
