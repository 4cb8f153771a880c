"""``mlportal batch``: have a whole dataset version scored, and follow it."""

import argparse
import sys
from typing import Any

from mlportal.cli.client import ENDED, MAX_ROWS, common, portal
from mlportal.cli.errors import FAILED, REFUSED, Failure
from mlportal.cli.line import numbered
from mlportal.cli.output import show, table
from mlportal.cli.rest import Portal


def add_commands(commands: Any) -> None:
    """Declare the commands."""
    batch = commands.add_parser("batch", help="score whole dataset versions")
    actions = batch.add_subparsers(metavar="ACTION", required=True)
    start = actions.add_parser("start", help="score a dataset version; the result is a dataset")
    start.add_argument("dataset", metavar="DATASET[@NUMBER]", help="default number: the newest ready one")
    scorer = start.add_mutually_exclusive_group(required=True)
    scorer.add_argument("--model", metavar="MODEL@NUMBER")
    scorer.add_argument("--endpoint", help="the version that answers there now")
    start.add_argument("--keep", metavar="COLUMNS", help="comma-separated; default: all that the model does not read")
    start.add_argument("--result", default="", metavar="DATASET", help="dataset that gets the scores")
    start.add_argument("--most-refused", type=int, metavar="ROWS", help="rows that may stay without an answer")
    _follow(start)
    start.set_defaults(run=run_start)
    again = actions.add_parser("retry", help="go on with one that failed or took too long")
    again.add_argument("batch", type=int)
    _follow(again)
    again.set_defaults(run=run_retry)
    for name, run, about in (
        ("show", run_show, "show one with its first faults"),
        ("cancel", run_cancel, "stop one; no dataset is made"),
    ):
        one = actions.add_parser(name, help=about)
        one.add_argument("batch", type=int)
        common(one)
        one.set_defaults(run=run)
    listed = actions.add_parser("list", help="list batch scorings, newest first")
    listed.add_argument("--limit", type=int, default=MAX_ROWS)
    common(listed)
    listed.set_defaults(run=run_list)


def _follow(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--wait", action="store_true", help="until it ends; exit with 1 unless it succeeds")
    parser.add_argument("--timeout", type=float, default=3600)
    common(parser)


def run_start(given: argparse.Namespace) -> int:
    """Start a scoring; with ``--wait`` follow it and fail unless it succeeds."""
    dataset, number = numbered(given.dataset)
    body: dict[str, Any] = {"dataset": dataset, "dataset_version": number, "result": given.result}
    if given.endpoint:
        body["endpoint"] = given.endpoint
    else:
        body["model"], body["version"] = numbered(given.model)
        if body["version"] is None:
            raise Failure(f"{given.model!r}: name the version, as in {given.model}@3", REFUSED)
    if given.keep is not None:
        body["keep"] = [name.strip() for name in given.keep.split(",") if name.strip()]
    if given.most_refused is not None:
        body["most_refused"] = given.most_refused
    at = portal(given)
    return _ended(given, at, at.post(at.path("batches"), body))


def run_retry(given: argparse.Namespace) -> int:
    """Go on with one; finished chunks are not scored again."""
    at = portal(given)
    return _ended(given, at, at.post(at.path("batches", given.batch, "retry"), {}))


def run_show(given: argparse.Namespace) -> int:
    """Show one."""
    at = portal(given)
    row = at.get(at.path("batches", given.batch))
    faults = [f"  row {each['row']}, {each['column'] or 'whole row'}: {each['message']}" for each in row["errors"]]
    show(given, row, "\n".join([_words(row), *faults]))
    return 0


def run_cancel(given: argparse.Namespace) -> int:
    """Stop one."""
    at = portal(given)
    row = at.post(at.path("batches", given.batch, "cancel"), {})
    show(given, row, _words(row))
    return 0


def run_list(given: argparse.Namespace) -> int:
    """List them."""
    at = portal(given)
    rows = at.pages(at.path("batches"), given.limit)
    lines = [
        [row["id"], row["state"], f"{row['dataset']} v{row['dataset_version']}", f"{row['model']} v{row['version']}",
         f"{row['rows_done']:,} of {row['rows']:,}"]
        for row in rows
    ]  # fmt: skip
    show(given, rows, table(("id", "state", "data", "scored by", "rows"), lines))
    return 0


def _ended(given: argparse.Namespace, at: Portal, row: Any) -> int:
    if given.wait:
        place = at.path("batches", row["id"])
        row = at.wait(place, over=lambda found: found["state"] in ENDED, timeout=given.timeout, on_change=_tell)
    show(given, row, _words(row))
    if given.wait and row["state"] != "succeeded":
        raise Failure(f"batch {row['id']} {row['state']}: {row['failure'] or 'no cause given'}", FAILED)
    return 0


def _words(row: Any) -> str:
    made = f", {row['result']} v{row['result_version']}" if row["result_version"] else ""
    refused = f", {row['rows_refused']:,} without an answer" if row["rows_refused"] else ""
    return f"batch {row['id']}: {row['state']}, {row['rows_done']:,} of {row['rows']:,} rows{refused}{made}"


def _tell(row: Any) -> None:
    print(f"batch {row['id']}: {row['phase'] or row['state']}", file=sys.stderr)
