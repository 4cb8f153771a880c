"""Run the engine on bytes, as the child process does."""

import gzip
import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlportal.lib.errors import DomainError
from projects.tabular.guard import UploadGuard
from projects.tabular.limits import DEFAULT, Limits
from projects.tabular.profile import Report, profile_file
from projects.tabular.source import BLOCK_BYTES


def profile(
    folder: Path, content: bytes, *, limits: Limits = DEFAULT, block_bytes: int = BLOCK_BYTES, **options: Any
) -> Report:
    path = folder / "upload"
    path.write_bytes(content)
    return profile_file(path, folder / "copy.parquet", limits=limits, block_bytes=block_bytes, **options)


def copy_of(folder: Path) -> pa.Table:
    return pq.read_table(folder / "copy.parquet")


def kinds(report: Report) -> dict[str, str]:
    return {field["name"]: field["kind"] for field in report.schema}


def remarks(report: Report) -> list[tuple[str, str]]:
    return [(remark["code"], remark["message"]) for remark in report.warnings if remark["code"] != "few_rows"]


def column(folder: Path, *cells: str) -> tuple[Report, list[Any]]:
    """Profile one column of cells beside a filler column, so that blank cells are rows."""
    lines = [f'"{cell}",x' for cell in cells]
    report = profile(folder, "\n".join(["value,filler", *lines]).encode())
    return report, copy_of(folder).column("value").to_pylist()


def parquet(table: pa.Table, **options: Any) -> bytes:
    target = io.BytesIO()
    pq.write_table(table, target, **options)
    return target.getvalue()


def packed(content: bytes) -> bytes:
    return gzip.compress(content, 1)


def refusal(folder, content: bytes, **options) -> DomainError:
    with pytest.raises(DomainError) as caught:
        profile(folder, content, **options)
    return caught.value


def feed(guard: UploadGuard, parts) -> None:
    for part in parts:
        guard.feed(part)
