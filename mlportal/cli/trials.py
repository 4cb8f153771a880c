"""``mlportal trial``: try a version beside what is live, by a plan registered before."""

import argparse
from typing import Any

from mlportal.cli.client import common, portal
from mlportal.cli.output import show

NOT_YET = "not judged: the days and the units of its plan are not reached"
NUMBERS = {"--alpha": float, "--share": float, "--minimum-days": int, "--minimum-units": int}


def add_commands(commands: Any) -> None:
    """Declare the commands."""
    trial = commands.add_parser("trial", help="try a version beside what is live")
    actions = trial.add_subparsers(metavar="ACTION", required=True)
    register = actions.add_parser("register", help="write down what is asked and how it is answered")
    register.add_argument("endpoint")
    register.add_argument("promotion", type=int)
    register.add_argument("--name", required=True)
    register.add_argument("--hypothesis", required=True)
    register.add_argument("--metric", required=True, choices=["correct", "error", "conversion", "latency", "auc", "f1"])
    register.add_argument("--minimum-effect", required=True, type=float, help="smallest difference worth acting on")
    register.add_argument("--positive", help="the ground truth that is a conversion")
    for name, kind in NUMBERS.items():
        register.add_argument(name, type=kind)
    common(register)
    register.set_defaults(run=run_register)
    for word, words in (("start", "freeze the plan and divide the units"), ("show", "show what was found")):
        act = actions.add_parser(word, help=words)
        _of_trial(act)
        act.set_defaults(run=run_start if word == "start" else run_show)
    stop = actions.add_parser("stop", help="decide")
    _of_trial(stop)
    stop.add_argument("decision", choices=["promote", "keep"])
    stop.add_argument("--reason", required=True)
    stop.set_defaults(run=run_stop)


def run_register(given: argparse.Namespace) -> int:
    """Register a trial."""
    names = ("name", "hypothesis", "metric", "minimum_effect", "positive", "alpha", "share", "minimum_days",
             "minimum_units")  # fmt: skip
    body = {name: value for name in names if (value := getattr(given, name)) is not None}
    at = portal(given)
    row = at.post(at.path("endpoints", given.endpoint, "trials"), body | {"promotion": given.promotion})
    show(given, row, _line(row))
    return 0


def run_start(given: argparse.Namespace) -> int:
    """Start a trial."""
    at = portal(given)
    row = at.post(at.path("endpoints", given.endpoint, "trials", given.trial, "start"), {})
    show(given, row, f"{_line(row)}, plan {row['plan_sha256'][:16]}")
    return 0


def run_show(given: argparse.Namespace) -> int:
    """Show a trial with its newest look."""
    at = portal(given)
    row = at.get(at.path("endpoints", given.endpoint, "trials", given.trial))
    looks = at.pages(at.path("endpoints", given.endpoint, "trials", given.trial, "looks"), 1)
    show(given, row | {"looks": looks}, "\n".join([_line(row), *_judged(row), *(_found(look) for look in looks)]))
    return 0


def run_stop(given: argparse.Namespace) -> int:
    """Decide a trial."""
    at = portal(given)
    body = {"decision": given.decision, "reason": given.reason}
    row = at.post(at.path("endpoints", given.endpoint, "trials", given.trial, "stop"), body)
    show(given, row, _line(row))
    return 0


def _of_trial(command: argparse.ArgumentParser) -> None:
    command.add_argument("endpoint")
    command.add_argument("trial", type=int)
    common(command)


def _line(row: dict[str, Any]) -> str:
    decided = f", {row['decision']}" if row["decision"] else ""
    return f"trial {row['id']} {row['name']!r}: {row['state']}{decided}"


def _found(look: dict[str, Any]) -> str:
    units = look["control_units"] + look["treatment_units"]
    told = f"{units} units, split p {look['mismatch_p']:.2g}"
    return told if look["difference"] is None else f"{_difference(look)}, {told}"


def _judged(row: dict[str, Any]) -> list[str]:
    """Of a trial that is judged once, its judgement."""
    if row["metric"] not in ("auc", "f1"):
        return []
    return [f"judged {row['judgement']['at']}: {_difference(row['judgement'])}"] if row["judgement"] else [NOT_YET]


def _difference(found: dict[str, Any]) -> str:
    ends = "no interval yet" if found["low"] is None else f"{found['low']:+.4g} to {found['high']:+.4g}"
    return f"difference {found['difference']:+.4g}, {ends}"
