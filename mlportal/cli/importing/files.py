"""Files of runs and models: sent one by one through a temporary file, compared by path and size."""

from __future__ import annotations

from mlportal.cli.importing.context import Context
from mlportal.cli.importing.things import File, Trouble, is_safe


def copy(here: Context, source: str, target: str) -> tuple[int, int, list[str]]:
    """Send what is missing below a folder; return how many files and bytes the source has, and what differs."""
    wanted = here.source.files(source) if source else []
    unsafe = [file for file in wanted if not is_safe(file.path)]
    files = [file for file in wanted if is_safe(file.path)]
    problems = [f"file {file.path!r}: its name leads out of its folder; it is left out" for file in unsafe]
    if not files:
        return len(wanted), 0, problems
    there = here.door.files(target)
    for file in files:
        if file.size is None or there.get(file.path) != file.size:
            _send(here, source, target, file, there)
    there = here.door.files(target)
    problems += [problem for file in files if (problem := _difference(file, there))]
    return len(wanted), sum(file.size or 0 for file in files), problems


def _send(here: Context, source: str, target: str, file: File, there: dict[str, int]) -> None:
    with here.source.fetched(source, file) as local:
        size = local.stat().st_size
        if file.size is not None and size != file.size:
            raise Trouble(f"file {file.path}: {file.size} bytes were announced, {size} came")
        file.size = size
        if there.get(file.path) != size:
            here.door.upload(f"{target}/{file.path}", local)
            here.progress.add(size=size)


def _difference(file: File, there: dict[str, int]) -> str:
    if file.path not in there:
        return f"file {file.path}: missing in the portal"
    if there[file.path] != file.size:
        return f"file {file.path}: {file.size} bytes in the source, {there[file.path]} in the portal"
    return ""


def count(here: Context, source: str) -> tuple[int, int]:
    """Return number and known bytes of files, without sending any."""
    files = here.source.files(source) if source else []
    return len(files), sum(file.size or 0 for file in files)
