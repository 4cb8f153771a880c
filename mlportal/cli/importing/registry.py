"""The registry: models, versions with their numbers, stages, aliases.

A server numbers versions itself and never uses a number twice. So where the source has a gap (a version deleted there)
a placeholder takes the number; placeholders are deleted once the model's last version is in, not before: the highest
number that is visible tells a killed import where it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from mlportal.cli.importing.context import Context
from mlportal.cli.importing.marks import CREATED, OURS, PLACEHOLDER, SOURCE, VERSION
from mlportal.cli.importing.shells import PREFIX, pairs, unpaired
from mlportal.cli.importing.target import PAGE, Refused
from mlportal.cli.importing.things import Registered, Trouble, Version

MAX_GAP = 1000
FREE = "s3://deleted-before-the-import/placeholder"  # an address outside the portal, which nobody checks or opens
STAY_LOCAL = ("", "file")
FORBIDDEN = 403


@dataclass
class Numbers:
    """Which numbers a model has in the portal."""

    by_source: dict[str, int] = field(default_factory=dict)
    placeholders: list[int] = field(default_factory=list)
    highest: int = 0


def copy(here: Context) -> None:
    """Copy all registered models."""
    for model, versions in here.source.registered():
        try:
            _model(here, model)
            numbers = _numbers(here, model.name)
            _versions(here, model.name, versions, numbers)
            _aliases(here, model, versions, numbers)
            has = _numbers(here, model.name)
        except (Trouble, Refused) as problem:
            here.tally.differs(f"registered model {model.name}: {problem}")
            has = Numbers()
        _count(here, model, versions, has)


def _count(here: Context, model: Registered, versions: list[Version], has: Numbers) -> None:
    missing = [version.number for version in versions if _identity(version) not in has.by_source]
    with here.tally.lock:
        for side, count in (("source", len(versions)), ("target", len(versions) - len(missing))):
            here.tally.versions[side][0] += 1
            here.tally.versions[side][1] += count
    if missing:
        here.tally.differs(f"registered model {model.name}: versions {', '.join(map(str, missing))} are missing")
    for version in versions:
        number = has.by_source.get(_identity(version), version.number)
        if number != version.number:
            here.tally.note(f"registered model {model.name}: version {version.number} of the source is {number} here")


def _identity(version: Version) -> str:
    """Tell a version from one with the same number of a model with the same name in another source."""
    return f"{version.number} {version.run or version.model or version.source}"


def _model(here: Context, model: Registered) -> None:
    body = {"name": model.name, "description": model.description, "tags": pairs(model.tags)}
    try:
        here.door.post("registered-models/create", body)
    except Refused as refused:
        if refused.code != "RESOURCE_ALREADY_EXISTS":
            raise
        _complete(here, model)


def _complete(here: Context, model: Registered) -> None:
    """Add what a model that is there already lacks; what it has stays."""
    there = here.door.get("registered-models/get", name=model.name)["registered_model"]
    if model.description and not there.get("description"):
        body = {"name": model.name, "description": model.description}
        here.door.post("registered-models/update", body, "PATCH")
    has = unpaired(there.get("tags"))
    for key, value in model.tags.items():
        if key not in has:
            here.door.post("registered-models/set-tag", {"name": model.name, "key": key, "value": value})


def _numbers(here: Context, name: str) -> Numbers:
    numbers = Numbers()
    for answer in _search(here, name):
        number, tags = int(answer["version"]), unpaired(answer.get("tags"))
        numbers.highest = max(numbers.highest, number)
        if PLACEHOLDER in tags:
            numbers.placeholders.append(number)
        elif VERSION in tags:
            numbers.by_source[tags[VERSION]] = number
    return numbers


def _search(here: Context, name: str) -> Iterator[dict[str, Any]]:
    quote = '"' if "'" in name else "'"
    token = ""
    while True:
        condition = f"name={quote}{name}{quote}"
        answer = here.door.get("model-versions/search", filter=condition, max_results=PAGE, page_token=token)
        yield from (version for version in answer.get("model_versions") or [] if version["name"] == name)
        token = answer.get("next_page_token") or ""
        if not token:
            return


def _versions(here: Context, name: str, versions: list[Version], numbers: Numbers) -> None:
    """Copy a model's versions in order; after one that fails the others wait, so that it can still get its number."""
    for version in versions:
        if not _try_version(here, name, version, numbers) and not here.options.skip_versions:
            here.tally.note(f"registered model {name}: later versions wait for it; --skip-versions gives it up")
            return
    _sweep(here, name, numbers)


def _try_version(here: Context, name: str, version: Version, numbers: Numbers) -> bool:
    try:
        identity = _identity(version)
        if identity not in numbers.by_source:
            body = _body(here, name, version)
            _fill(here, name, version.number, numbers)
            number = _create(here, name, body, identity)
            numbers.by_source[identity] = number
            numbers.highest = max(numbers.highest, number)
        _stage(here, name, version, numbers.by_source[identity])
    except (Trouble, Refused) as problem:
        here.tally.differs(f"registered model {name}, version {version.number}: {problem}")
        return False
    return True


def _fill(here: Context, name: str, number: int, numbers: Numbers) -> None:
    """Take the numbers between the highest one and this one."""
    if number - numbers.highest > MAX_GAP:
        raise Trouble(f"{number - numbers.highest} numbers before it are missing, more than {MAX_GAP}")
    while numbers.highest + 1 < number:
        tags = pairs({PLACEHOLDER: "yes", SOURCE: here.source.name})
        answer = here.door.post("model-versions/create", {"name": name, "source": FREE, "tags": tags})
        numbers.highest = int(answer["model_version"]["version"])
        numbers.placeholders.append(numbers.highest)


def _create(here: Context, name: str, body: dict[str, Any], identity: str) -> int:
    look = lambda: _numbers(here, name).by_source.get(identity)  # noqa: E731
    return here.door.make("model-versions/create", body, look, lambda answer: int(answer["model_version"]["version"]))


def _sweep(here: Context, name: str, numbers: Numbers) -> None:
    for number in numbers.placeholders:
        here.door.post("model-versions/delete", {"name": name, "version": str(number)}, "DELETE")


def _body(here: Context, name: str, version: Version) -> dict[str, Any]:
    tags = {key: value for key, value in version.tags.items() if not key.startswith(OURS)}
    tags |= {VERSION: _identity(version), SOURCE: here.source.name}
    if version.created:
        tags[CREATED] = datetime.fromtimestamp(version.created / 1000, UTC).isoformat(timespec="milliseconds")
    # Not every client tells the model apart from the source that names it.
    named = version.model or version.source.removeprefix("models:/")
    run, model = here.runs.get(version.run), here.models.get(named)
    body = {
        "name": name,
        "source": _source(here, version),
        "run_id": run.id if run else "",
        "model_id": model.id if model else "",
        "run_link": version.link,
        "description": version.description,
        "tags": pairs(tags),
    }
    return {key: value for key, value in body.items() if value not in ("", [])}


def _source(here: Context, version: Version) -> str:
    """Say where the version's files lie in the portal."""
    source = version.source.removeprefix("file://").rstrip("/")
    scheme, _colon, rest = source.partition(":") if ":/" in source else ("", "", source)
    if scheme == "runs":
        identity, _slash, below = rest.lstrip("/").partition("/")
        return f"{PREFIX}/{_root(here, identity, version)}/{below}".rstrip("/")
    if scheme == "models":
        return _model_source(here, version, rest.lstrip("/"))
    place, below = source, ""
    while place and place not in here.roots:
        place, _slash, last = place.rpartition("/")
        below = f"/{last}{below}"
    if place:
        return f"{PREFIX}/{_root(here, here.roots[place], version)}{below}"
    if scheme in ("", "mlflow-artifacts") and "/" in source:
        raise Trouble(f"its files at {version.source} belong to no run that was copied (deleted ones: --deleted)")
    if scheme:
        here.tally.note(f"some versions name files elsewhere ({scheme}://…): the address is kept, the files stay there")
    return version.source


def _root(here: Context, identity: str, version: Version) -> str:
    found = here.runs.get(identity) or here.models.get(identity)
    if found is None:
        raise Trouble(f"its run {version.run or identity} was not copied (deleted ones: --deleted)")
    return found.root


def _model_source(here: Context, version: Version, rest: str) -> str:
    if rest in here.models:
        return f"models:/{here.models[rest].id}"
    if version.model in here.models:
        return f"models:/{here.models[version.model].id}"
    if "/" in rest:
        return version.source
    raise Trouble(f"its model {rest} was not copied")


def _stage(here: Context, name: str, version: Version, number: int) -> None:
    """Put the label of a stage on a version; where the portal governs it, leave a tag and a remark."""
    if version.stage in ("", "None"):
        return
    there = here.door.get("model-versions/get", name=name, version=number)["model_version"]
    if there.get("current_stage") == version.stage or unpaired(there.get("tags")).get(f"{OURS}stage") == version.stage:
        return
    place = {"name": name, "version": str(number)}
    try:
        body = place | {"stage": version.stage, "archive_existing_versions": False}
        here.door.post("model-versions/transition-stage", body)
    except Refused as refused:
        if refused.status != FORBIDDEN:
            raise
        here.door.post("model-versions/set-tag", place | {"key": f"{OURS}stage", "value": version.stage})
        here.tally.note(f"{name}, version {number}: the stage {version.stage} is kept as a tag only. {refused}")


def _aliases(here: Context, model: Registered, versions: list[Version], numbers: Numbers) -> None:
    here_by_number = {str(version.number): numbers.by_source.get(_identity(version)) for version in versions}
    for alias, number in model.aliases.items():
        there = here_by_number.get(str(number))
        if there is None:
            continue
        try:
            here.door.post("registered-models/alias", {"name": model.name, "alias": alias, "version": str(there)})
        except Refused as refused:
            if refused.status != FORBIDDEN:
                raise
            here.tally.note(f"{model.name}, version {there}: the alias {alias} was not set. {refused}")
