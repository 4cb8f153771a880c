"""``mlportal rollout``: put a version live by steps, and watch it."""

import argparse
from typing import Any

from mlportal.cli.client import common, portal
from mlportal.cli.errors import FAILED, REFUSED, Failure
from mlportal.cli.output import show, table

PLAIN = {
    "start": "load the version beside what is live", "resume": "go on after a hold",
    "advance": "go to the next step now", "promote": "put the version live for all requests now",
}  # fmt: skip
REASONED = {"pause": "keep the present split", "abort": "give all requests back to what was live"}
MOST = 20


def add_commands(commands: Any) -> None:
    """Declare the commands."""
    rollout = commands.add_parser("rollout", help="put a version live by steps")
    actions = rollout.add_subparsers(metavar="ACTION", required=True)
    plan = actions.add_parser("plan", help="write down how the version of a promotion goes live")
    plan.add_argument("endpoint")
    plan.add_argument("promotion", type=int)
    plan.add_argument("--reason", required=True)
    plan.add_argument("--steps", default="1,5,25,50,100", help="shares in percent (default: 1,5,25,50,100)")
    plan.add_argument("--minutes", type=int, default=10, help="least time of a step")
    plan.add_argument("--requests", type=int, default=500, help="least requests of the version in a step")
    plan.add_argument("--shadow", action="store_true", help="first answer beside, unheard")
    plan.add_argument("--label-margin", type=float, default=0.0, help="how much worse the labelled metric may be")
    plan.add_argument("--start", action="store_true", help="start it at once; the promotion is approved")
    common(plan)
    plan.set_defaults(run=run_plan)
    listed = actions.add_parser("list", help="list rollouts of an endpoint")
    listed.add_argument("endpoint")
    common(listed)
    listed.set_defaults(run=run_list)
    show_ = actions.add_parser("show", help="show a rollout with its newest evaluation; 1 when it was aborted")
    _of_rollout(show_)
    show_.set_defaults(run=run_show)
    for word, words in {**PLAIN, **REASONED}.items():
        act = actions.add_parser(word, help=words)
        _of_rollout(act)
        if word in REASONED:
            act.add_argument("--reason", required=True)
        act.set_defaults(run=run_move, act=word)


def run_plan(given: argparse.Namespace) -> int:
    """Plan a rollout, and start it when asked to."""
    steps = [
        {"share": _share(part), "minutes": given.minutes, "requests": given.requests} for part in given.steps.split(",")
    ]
    body = {
        "promotion": given.promotion, "reason": given.reason, "steps": steps, "shadow": given.shadow,
        "label_margin": given.label_margin,
    }  # fmt: skip
    at = portal(given)
    made = at.post(at.path("endpoints", given.endpoint, "rollouts"), body)
    if given.start:
        made = at.post(at.path("endpoints", given.endpoint, "rollouts", made["id"], "start"), {})
    show(given, made, _line(made))
    return 0


def run_list(given: argparse.Namespace) -> int:
    """List rollouts."""
    at = portal(given)
    rows = at.pages(at.path("endpoints", given.endpoint, "rollouts"), MOST)
    columns = ("id", "version", "state", "share", "note")
    show(given, rows, table(columns, [[row.get(name) for name in columns] for row in rows]))
    return 0


def run_show(given: argparse.Namespace) -> int:
    """Show one rollout and what its newest evaluation found."""
    at = portal(given)
    row = at.get(at.path("endpoints", given.endpoint, "rollouts", given.rollout))
    checks = at.pages(at.path("endpoints", given.endpoint, "rollouts", given.rollout, "checks"), 1)
    columns = ("state", "title", "found", "limit")
    found = [[item[name] for name in columns] for check in checks for item in check["criteria"]]
    show(given, row | {"checks": checks}, "\n".join([_line(row), table(columns, found)] if found else [_line(row)]))
    return FAILED if row["state"] == "aborted" else 0


def run_move(given: argparse.Namespace) -> int:
    """Do one thing to a rollout."""
    at = portal(given)
    body = {"reason": given.reason} if given.act in REASONED else {}
    row = at.post(at.path("endpoints", given.endpoint, "rollouts", given.rollout, given.act), body)
    show(given, row, _line(row))
    return 0


def _of_rollout(command: argparse.ArgumentParser) -> None:
    command.add_argument("endpoint")
    command.add_argument("rollout", type=int)
    common(command)


def _share(text: str) -> float:
    try:
        return round(float(text.strip().rstrip("%")) / 100, 6)
    except ValueError:
        raise Failure(f"{text!r} is no share in percent", REFUSED) from None


def _line(row: dict[str, Any]) -> str:
    note = f": {row['note']}" if row["note"] else ""
    return f"rollout {row['id']} of v{row['version']}: {row['state']}, {100 * row['share']:g} %{note}"
