"""Commands that use a portal over REST: sign in, datasets, predictions, alerts. Training and models: ``line``."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from mlportal.cli import credentials
from mlportal.cli.errors import FAILED, REFUSED, Failure
from mlportal.cli.output import show, table
from mlportal.cli.rest import Portal

MAX_ROWS = 50
ENDED = {"succeeded", "failed", "cancelled", "timed_out"}


def common(parser: argparse.ArgumentParser) -> None:
    """Add the options that every command of this kind has."""
    parser.add_argument("--project", default="", help="default: the one given at sign-in")
    parser.add_argument("--json", action="store_true", help="print the portal's answer as JSON")


def portal(given: Any) -> Portal:
    """Return the portal this command is for."""
    return Portal(credentials.load(given.project))


def add_commands(commands: Any) -> None:
    """Declare the commands."""
    login = commands.add_parser("login", help="keep the address and a token of a portal")
    login.add_argument("url")
    login.add_argument("--token", required=True, help="mlp_...; - reads it from standard input")
    common(login)
    login.set_defaults(run=run_login)
    _add_dataset(commands)
    predict = commands.add_parser("predict", help="ask an endpoint")
    predict.add_argument("endpoint")
    predict.add_argument("--records", default="-", help="JSON file with one record or a list; - is standard input")
    common(predict)
    predict.set_defaults(run=run_predict)
    alerts = commands.add_parser("alerts", help="list alerts")
    alerts.add_argument("--state", default="open", help="open (default), acknowledged, silenced, resolved or all")
    alerts.add_argument("--fail-on-open", action="store_true", help="exit with 1 when there is one")
    alerts.add_argument("--limit", type=int, default=MAX_ROWS)
    common(alerts)
    alerts.set_defaults(run=run_alerts)
    acknowledge = commands.add_parser("acknowledge", help="say that somebody looks after an alert")
    acknowledge.add_argument("alert", type=int)
    acknowledge.add_argument("--comment", default="")
    common(acknowledge)
    acknowledge.set_defaults(run=run_acknowledge)


def _add_dataset(commands: Any) -> None:
    dataset = commands.add_parser("dataset", help="add or list datasets").add_subparsers(
        metavar="ACTION", required=True
    )
    add = dataset.add_parser("add", help="upload a file as a new version")
    add.add_argument("file", type=Path)
    add.add_argument("--name", default="", help="default: the file's name without its ending")
    add.add_argument("--description", default="")
    add.add_argument("--wait", action="store_true", help="until it is profiled")
    add.add_argument("--timeout", type=float, default=600)
    common(add)
    add.set_defaults(run=run_dataset_add)
    _add_fetch(dataset)
    listed = dataset.add_parser("list", help="list datasets")
    listed.add_argument("--limit", type=int, default=MAX_ROWS)
    common(listed)
    listed.set_defaults(run=run_dataset_list)


def _add_fetch(dataset: Any) -> None:
    fetch = dataset.add_parser("import", help="have the portal fetch a dataset from elsewhere")
    fetch.add_argument("name")
    source = fetch.add_mutually_exclusive_group(required=True)
    source.add_argument("--url", help="http or https address of a CSV or Parquet file")
    source.add_argument("--s3", metavar="BUCKET/KEY", help="an object, with --connection")
    source.add_argument("--query", help="a SELECT, with --connection; @FILE reads it from a file")
    source.add_argument("--folder", metavar="ROOT/FOLDER", help="Parquet files used where they lie")
    fetch.add_argument("--connection", default="", help="stored connection of the project")
    fetch.add_argument("--description", default="")
    refresh = dataset.add_parser("refresh", help="fetch the source of a version again")
    refresh.add_argument("name", metavar="NAME[@NUMBER]", help="default number: the newest")
    for each, run in ((fetch, run_dataset_import), (refresh, run_dataset_refresh)):
        each.add_argument("--wait", action="store_true", help="until it ended; exit with 1 unless it succeeded")
        each.add_argument("--timeout", type=float, default=3600)
        common(each)
        each.set_defaults(run=run)


def run_login(given: argparse.Namespace) -> int:
    """Check the token and keep it."""
    token = sys.stdin.readline().strip() if given.token == "-" else given.token
    address = given.url.rstrip("/")
    found = Portal(credentials.Credentials(address, token, "")).pages("projects", 100)
    slugs = [project["slug"] for project in found]
    chosen = given.project or (slugs[0] if len(slugs) == 1 else "")
    if given.project and given.project not in slugs:
        raise Failure(f"this token sees no project {given.project!r}; it sees: {', '.join(slugs) or 'none'}", REFUSED)
    place = credentials.save(credentials.Credentials(address, token, chosen))
    text = f"Signed in to {address}" + (f", project {chosen}" if chosen else f"; projects: {', '.join(slugs)}")
    show(given, {"url": address, "project": chosen, "projects": slugs}, f"{text} (kept in {place})")
    return 0


def run_dataset_add(given: argparse.Namespace) -> int:
    """Upload a file; with ``--wait`` fail when it cannot be profiled."""
    if not given.file.is_file():
        raise Failure(f"there is no file {given.file}", REFUSED)
    name = given.name or given.file.name.split(".")[0]
    at = portal(given)
    place = at.path("datasets", name, "versions")
    version = at.upload(place, given.file, filename=given.file.name, description=given.description)
    if given.wait:
        where = at.path("datasets", name, "versions", version["number"])
        version |= at.wait(where, over=lambda row: row["state"] in ENDED, timeout=given.timeout)
    size = f", {version['row_count']:,} rows" if version.get("row_count") is not None else ""
    show(given, version, f"{name} v{version['number']}: {version['state']}{size}")
    if version["state"] == "failed":
        raise Failure(f"{name} v{version['number']} cannot be used: {version.get('failure')}", FAILED)
    return 0


def _source(given: argparse.Namespace) -> tuple[str, dict[str, str]]:
    """Kind and fields of what is to be fetched."""
    if given.url:
        return "url", {"url": given.url}
    if given.query:
        text = _read(Path(given.query[1:])) if given.query.startswith("@") else given.query
        return "postgres", {"query": text}
    first, slash, rest = (given.s3 or given.folder).partition("/")
    if not slash or not rest:
        raise Failure("give BUCKET/KEY or ROOT/FOLDER, with a slash", REFUSED)
    return ("s3", {"bucket": first, "key": rest}) if given.s3 else ("folder", {"root": first, "folder": rest})


def run_dataset_import(given: argparse.Namespace) -> int:
    """Start an import; with ``--wait`` follow it and fail unless it succeeds."""
    at = portal(given)
    kind, spec = _source(given)
    body = {"dataset": given.name, "kind": kind, "spec": spec, "connection": given.connection}
    return _fetched(given, at, at.post(at.path("dataset-imports"), body | {"description": given.description}))


def run_dataset_refresh(given: argparse.Namespace) -> int:
    """Ask the source of a version again."""
    at = portal(given)
    name, _at, number = given.name.partition("@")
    if not number:
        number = at.pages(at.path("datasets", name, "versions"), 1)[0]["number"]
    return _fetched(given, at, at.post(at.path("datasets", name, "versions", str(number).lstrip("v"), "refresh"), {}))


def _fetched(given: argparse.Namespace, at: Portal, found: Any) -> int:
    if given.wait:
        place = at.path("dataset-imports", found["id"])
        found = at.wait(place, over=lambda row: row["state"] in ENDED, timeout=given.timeout)
    made = f", {found['outcome']}: v{found['version']}" if found.get("version") else ""
    show(given, found, f"import {found['id']} of {found['dataset']}: {found['state']}{made}")
    if given.wait and found["state"] != "succeeded":
        raise Failure(f"import {found['id']} {found['state']}: {found.get('failure') or 'no cause given'}", FAILED)
    return 0


def run_dataset_list(given: argparse.Namespace) -> int:
    """List the project's datasets."""
    at = portal(given)
    rows = at.pages(at.path("datasets"), given.limit)
    show(given, rows, table(["name", "description"], [[row["name"], row.get("description")] for row in rows]))
    return 0


def run_predict(given: argparse.Namespace) -> int:
    """Send records to an endpoint and print its answer."""
    text = sys.stdin.read() if given.records == "-" else _read(Path(given.records))
    try:
        content = json.loads(text)
    except ValueError as error:
        raise Failure(f"the records are no JSON: {error}", REFUSED) from None
    records = content.get("records", [content]) if isinstance(content, dict) else content
    at = portal(given)
    answer = at.post(at.path("endpoints", given.endpoint, "predict"), {"records": records})
    lines = [json.dumps(row.get("prediction"), ensure_ascii=False) for row in answer["predictions"]]
    show(given, answer, "\n".join(lines))
    return 0


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"cannot read {path}: {error}", REFUSED) from None


def run_alerts(given: argparse.Namespace) -> int:
    """List alerts; with ``--fail-on-open`` an open one fails the command."""
    at = portal(given)
    rows = at.pages(at.path("alerts"), given.limit, state=given.state)
    columns = ("id", "severity", "state", "title", "endpoint")
    show(given, rows, table(columns, [[row.get(name) for name in columns] for row in rows]))
    is_open = any(row["state"] != "resolved" for row in rows)
    return FAILED if given.fail_on_open and is_open else 0


def run_acknowledge(given: argparse.Namespace) -> int:
    """Acknowledge an alert."""
    at = portal(given)
    alert = at.post(at.path("alerts", given.alert, "acknowledge"), {"note": given.comment})
    show(given, alert, f"alert {alert['id']}: {alert['state']}, acknowledged by {alert['acknowledged_by']}")
    return 0
