"""What a stored file looks like on a page: image, table, prose, text, or only a download."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import orjson

from experiments.models import Artifact
from experiments.views import json_tree, text_pages
from mlportal.lib import blobs
from mlportal.lib.errors import DomainError, Missing

LOOK_BYTES = 2**20
TABLE_BYTES = 16 * 2**20
PARQUET_BYTES = 256 * 2**20
PAGE_ROWS = 100
LAST_ROW = 10_000
COLUMNS = 100
CELL_CHARS = 400
PDF = "application/pdf"
PARQUET = "application/vnd.apache.parquet"
DELIMITERS = {"text/csv": ",", "text/tab-separated-values": "\t"}
FRAMED = frozenset({"text/html", "image/svg+xml"})
IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
TEXT_SUFFIXES = frozenset(
    {
        "txt", "log", "md", "json", "jsonl", "yaml", "yml", "toml", "cfg", "ini", "conf", "py", "ipynb", "r", "sh",
        "sql", "js", "ts", "css", "xml", "tex", "rst", "lock", "proto", "properties", "dockerfile", "mlmodel",
    }
)  # fmt: skip
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Cell:
    """One value of a table: text, cut where it is long, or an image of the same owner."""

    text: str
    is_number: bool = False
    rest: str = ""
    image: str = ""
    full: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A page of rows; ``total`` is None where counting would mean reading it all."""

    head: list[str]
    rows: list[list[Cell]]
    offset: int = 0
    total: int | None = None
    is_more: bool = False
    more_columns: int = 0
    numeric: list[bool] = field(default_factory=list)

    @property
    def heads(self) -> list[tuple[str, bool]]:
        """Names of the columns, each with whether it holds numbers."""
        return [(name, at < len(self.numeric) and self.numeric[at]) for at, name in enumerate(self.head)]

    @property
    def first(self) -> int:
        """Number of the first row shown."""
        return self.offset + 1

    @property
    def last(self) -> int:
        """Number of the last row shown."""
        return self.offset + len(self.rows)


def look(
    artifact: Artifact, *, offset: int = 0, limit: int = PAGE_ROWS, address: Callable[[str], str], at: int = 0
) -> Json:
    """Choose the viewer of a file and fill it.

    Parameters
    ----------
    offset, limit : int
        First row of a table, and how many.
    address : callable
        The address of another file of the same owner, for images in tables.
    at : int
        Byte of a text around which its lines are shown.
    """
    media = artifact.media_type
    if media in IMAGES:
        return {"viewer": "image"}
    if media in FRAMED:
        return {"viewer": "frame"}
    if media == PDF and is_pdf(artifact):
        return {"viewer": "pdf"}
    try:
        return _readable(artifact, offset, limit, address, at)
    except Missing as error:
        return {"viewer": "none", "trouble": error.message}
    except (DomainError, UnicodeDecodeError):
        return {"viewer": "none", "trouble": "The file is not UTF-8 text."}
    except (csv.Error, OSError):
        return {"viewer": "none", "trouble": "The table cannot be read."}


def is_text(artifact: Artifact) -> bool:
    """Whether a file is worth showing as text, by its type or its name."""
    name = artifact.path.rpartition("/")[2].lower()
    return artifact.media_type.startswith("text/") or name.rpartition(".")[2] in TEXT_SUFFIXES


def table_of(artifact: Artifact, *, offset: int = 0, limit: int = PAGE_ROWS, address: Callable[[str], str]
             ) -> Table | None:  # fmt: skip
    """Return rows of a table file, None when it is none or too large to be read here."""
    name = artifact.path.lower()
    if artifact.media_type in DELIMITERS:
        return _delimited(artifact, DELIMITERS[artifact.media_type], offset, limit)
    if artifact.media_type == PARQUET or name.endswith(".parquet"):
        return _parquet(artifact, offset, limit)
    if not name.endswith(".json") or artifact.size_bytes > TABLE_BYTES:
        return None
    return _split_json(blobs.read_bytes(artifact.sha256, limit_bytes=TABLE_BYTES), offset, limit, address)


def is_pdf(artifact: Artifact) -> bool:
    """Whether the file begins as a PDF does: nothing else may be shown as one."""
    try:
        with blobs.open_blob(artifact.sha256) as stream:
            return stream.read(5) == b"%PDF-"
    except Missing:
        return False


def _readable(artifact: Artifact, offset: int, limit: int, address: Callable[[str], str], at: int) -> Json:
    if table := table_of(artifact, offset=offset, limit=limit, address=address):
        return {"viewer": "table", "table": table}
    if not is_text(artifact):
        return {"viewer": "none"}
    name, is_small = artifact.path.lower(), artifact.size_bytes <= LOOK_BYTES
    if name.endswith(".md") and is_small:
        return {"viewer": "prose", "text": blobs.read_bytes(artifact.sha256).decode("utf-8")}
    if name.endswith(".json") and is_small and (found := json_tree.tree(blobs.read_bytes(artifact.sha256))):
        return {"viewer": "tree", "tree": found}
    return {"viewer": "text", "text_page": text_pages.read(artifact, at)}


def _delimited(artifact: Artifact, delimiter: str, offset: int, limit: int) -> Table:
    offset = min(offset, LAST_ROW)
    with blobs.open_blob(artifact.sha256) as stream:
        lines = csv.reader(_lines(stream), delimiter=delimiter)
        head = next(lines, [])
        rows = list(islice(lines, offset, offset + limit + 1))
    return _made(head, rows[:limit], offset, None, is_more=len(rows) > limit and offset + limit < LAST_ROW)


def _lines(stream: Any) -> Iterator[str]:
    """Lines of bounded length: a file without line ends must not be read into one."""
    with io.BufferedReader(stream) if not isinstance(stream, io.BufferedIOBase) else stream as raw:
        while line := raw.readline(LOOK_BYTES):
            yield line.decode("utf-8")


def _parquet(artifact: Artifact, offset: int, limit: int) -> Table | None:
    if artifact.size_bytes > PARQUET_BYTES:
        return None
    from pyarrow import ArrowException  # 28 MiB, for those who look at such a file only

    from projects.tabular import preview

    path = blobs.local_path(artifact.sha256)
    try:
        names = preview.page(path, offset=0, limit=0).names
        page = preview.page(path, offset=offset, limit=limit, columns=list(dict.fromkeys(names))[:COLUMNS])
    except ArrowException as error:
        raise OSError("not a Parquet file") from error
    table = _made(page.names, page.rows, offset, page.total, is_more=offset + len(page.rows) < page.total)
    return Table(**{**_as_dict(table), "more_columns": max(0, len(names) - COLUMNS)})


def _split_json(data: bytes, offset: int, limit: int, address: Callable[[str], str]) -> Table | None:
    """Read the table that clients log: ``{"columns": [...], "data": [[...], ...]}``."""
    try:
        told = orjson.loads(data)
    except orjson.JSONDecodeError:
        told = _lenient(data)
    if not isinstance(told, dict) or not isinstance(told.get("columns"), list):
        return None
    rows = told.get("data")
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        return None
    shown = rows[offset : offset + limit]
    names = [str(name) for name in told["columns"]]
    return _made(names, shown, offset, len(rows), is_more=offset + limit < len(rows), address=address)


def _lenient(data: bytes) -> Any:
    try:
        return json.loads(data)  # knows NaN
    except (ValueError, RecursionError):
        return None


def _made(
    head: Sequence[str],
    rows: Sequence[Sequence[object]],
    offset: int,
    total: int | None,
    *,
    is_more: bool,
    address: Callable[[str], str] | None = None,
) -> Table:
    cells = [[cell(value, address) for value in row[:COLUMNS]] for row in rows]
    numeric = [_is_numeric([r[at] for r in cells if at < len(r)]) for at in range(len(head))]
    more = max(0, len(head) - COLUMNS)
    return Table(list(head[:COLUMNS]), cells, offset, total, is_more, more, numeric if cells else [])


def _is_numeric(cells: Sequence[Cell]) -> bool:
    return any(c.is_number for c in cells) and all(c.is_number or c.text == "–" for c in cells)


def _as_dict(table: Table) -> Json:
    return {name: getattr(table, name) for name in Table.__dataclass_fields__}


def cell(value: object, address: Callable[[str], str] | None) -> Cell:
    """Return what one value looks like."""
    if value is None or value == "":
        return Cell("–")
    if isinstance(value, bool):
        return Cell("true" if value else "false")
    if isinstance(value, int | float):
        return Cell(_number(value), is_number=True)
    if isinstance(value, dict) and address is not None and value.get("type") == "image":
        full, small = str(value.get("filepath", "")), str(value.get("compressed_filepath", ""))
        return Cell("image", image=address(small or full), full=address(full)) if full else Cell("–")
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    is_number = isinstance(value, str) and len(text) < 32 and _spells_number(text)
    return Cell(text[:CELL_CHARS], is_number, text[CELL_CHARS : 20 * CELL_CHARS])


def _number(value: float) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "∞" if value > 0 else "−∞"
    return f"{value:.6g}".replace("-", "−") if isinstance(value, float) else str(value).replace("-", "−")


def _spells_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
