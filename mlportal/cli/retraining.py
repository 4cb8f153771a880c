"""``mlportal retraining``: set when a model is retrained by itself, and ask why nothing happened."""

import argparse
from typing import Any

from mlportal.cli.client import common, portal
from mlportal.cli.output import show, table

ROWS = ["required", "after_first", "ignored"]
LIMITS = ("monthly_runs", "monthly_cpu_minutes")


def add_commands(commands: Any) -> None:
    """Declare the commands."""
    retraining = commands.add_parser("retraining", help="retraining after alerts: limits, and what alerts came to")
    actions = retraining.add_subparsers(metavar="ACTION", required=True)
    put = actions.add_parser("set", help="switch it on or off for one kind of alert; what is left out is as usual")
    put.add_argument("endpoint")
    put.add_argument("--on", default="drift", choices=["drift", "performance"], metavar="KIND")
    put.add_argument("--off", action="store_true")
    put.add_argument("--cooldown-hours", type=int)
    put.add_argument("--labelled-rows", choices=ROWS, help="whether enough new labelled rows are needed")
    put.add_argument("--monthly-runs", type=int, help="0 for no limit")
    put.add_argument("--monthly-cpu-minutes", type=int, help="0 for no limit")
    put.add_argument("--least-severity", choices=["critical", "high", "medium", "low"])
    put.add_argument("--dataset-name", help="default: the live version's own")
    common(put)
    put.set_defaults(run=run_set)
    listed = actions.add_parser("list", help="what alerts of an endpoint came to, and the guard that held each back")
    listed.add_argument("endpoint")
    listed.add_argument("--limit", type=int, default=20)
    common(listed)
    listed.set_defaults(run=run_list)
    for name, run, words in (
        ("ledger", run_ledger, "what each retraining of a model cost and brought"),
        ("gaps", run_gaps, "what was promised of each version and what came live"),
    ):
        told = actions.add_parser(name, help=words)
        told.add_argument("model")
        told.add_argument("--limit", type=int, default=20)
        common(told)
        told.set_defaults(run=run)


def run_set(given: argparse.Namespace) -> int:
    """Send the settings that were named."""
    at = portal(given)
    named = ("cooldown_hours", "labelled_rows", *LIMITS, "least_severity", "dataset_name")
    values = {name: getattr(given, name) for name in named if getattr(given, name) is not None}
    values |= {name: None for name in LIMITS if values.get(name) == 0}
    made = at.put(at.path("endpoints", given.endpoint, "automations"), {
        "trigger": given.on, "enabled": not given.off, **values,
    })  # fmt: skip
    show(given, made, f"{given.endpoint}: {'off' if given.off else 'on'} for {given.on} alerts")
    return 0


def run_list(given: argparse.Namespace) -> int:
    """List triggers, newest first."""
    at = portal(given)
    rows = at.pages(at.path("endpoints", given.endpoint, "retrainings"), given.limit)
    head = ("alert", "state", "guard", "why", "run", "promotion")
    lines = [[row["alert"], row["state"], row["guard"], row["reason"], row["run"], row["promotion"]] for row in rows]
    show(given, rows, table(head, lines))
    return 0


def run_ledger(given: argparse.Namespace) -> int:
    """List retrainings with their effect, newest first."""
    at = portal(given)
    rows = at.pages(at.path("models", given.model, "retrainings"), given.limit)
    head = ("alert", "state", "brought", "decision", "before", "after", "effect", "cpu s")
    lines = [
        [row["alert"], row["state"], row["brought"], row["promotion_state"], row["before"].get("value"),
         row["after"].get("value"), row["effect"], row["cpu_seconds"]]
        for row in rows
    ]  # fmt: skip
    show(given, rows, table(head, lines))
    return 0


def run_gaps(given: argparse.Namespace) -> int:
    """List the gap of each version."""
    at = portal(given)
    rows = at.pages(at.path("models", given.model, "gaps"), given.limit)
    head = ("version", "endpoint", "metric", "promised", "value", "low", "high", "labelled", "verdict")
    show(given, rows, table(head, [[row[name] for name in head] for row in rows]))
    return 0
