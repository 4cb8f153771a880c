"""Labels from a CSV file, read in pieces so that its size does not matter to memory."""

import csv
import io
from collections.abc import Iterator
from typing import Any, BinaryIO

from mlportal.lib.errors import Invalid, TooLarge
from monitoring.services import predictions
from monitoring.services.predictions import Recorded
from projects.actor import Actor
from projects.models import Project
from projects.permissions import Permission, require

MOST_ROWS = 50_000
BATCH = 5_000
LONGEST_LINE = 2_000
IDS = ("prediction_id", "inference_id")


def record(by: Actor, *, project: Project, file: BinaryIO) -> Recorded:
    """Store the labels of a CSV with a heading line; sending it again, or corrected, replaces what was there.

    Everything is read before the first label is stored, so a wrong line stores nothing.

    Raises
    ------
    Invalid
        Naming the line and the column.
    TooLarge
        With more than 50,000 labels.
    """
    require(by, Permission.PREDICTION_LABEL, project)
    items = []
    for number, item in _items(file):
        predictions.check(item, where=f"line {number}")
        items.append(item)
    if not items:
        raise Invalid("The file holds no label.", field="file")
    pieces = (items[start : start + BATCH] for start in range(0, len(items), BATCH))
    done = [predictions.record_truth(by, project=project, items=piece) for piece in pieces]
    return Recorded(sum(one.matched for one in done), sum(one.waiting for one in done))


def _items(file: BinaryIO) -> Iterator[tuple[int, dict[str, Any]]]:
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    reader = csv.reader(_lines(text))
    try:
        names = [name.strip() for name in next(reader, [])]
        _check_heading(names)
        for number, values in enumerate(reader, start=2):
            if number > MOST_ROWS + 1:
                raise TooLarge(f"A file takes at most {MOST_ROWS:,} labels; split it.", field="file", limit=MOST_ROWS)
            if values:
                yield number, _item(names, values, number)
    except UnicodeDecodeError as error:
        raise Invalid("The file is not UTF-8 text.", field="file") from error
    except csv.Error as error:
        raise Invalid(f"Line {reader.line_num} is not CSV: {error}.", field="file") from error
    finally:
        text.detach()


def _lines(text: io.TextIOWrapper) -> Iterator[str]:
    while line := text.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE:
            raise Invalid(f"A line is longer than {LONGEST_LINE:,} characters.", field="file", limit=LONGEST_LINE)
        yield line


def _check_heading(names: list[str]) -> None:
    unknown = [name for name in names if name not in predictions.FIELDS]
    if unknown or len(set(names)) < len(names):
        told = f"The first line names the columns; {(unknown or names)[0][:50]!r} is unknown or there twice."
        raise Invalid(told, field="file", limit=list(predictions.FIELDS))
    if "label" not in names or not set(names) & set(IDS):
        raise Invalid("The file needs the columns label and prediction_id or inference_id.", field="file")


def _item(names: list[str], values: list[str], number: int) -> dict[str, Any]:
    if len(values) != len(names):
        raise Invalid(f"Line {number} has {len(values)} values, the first line {len(names)}.", field="file")
    return {name: value.strip() for name, value in zip(names, values, strict=True) if value.strip()}
