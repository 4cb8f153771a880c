"""Bounds of what a table may be; every refusal names the bound it crossed."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds on one file and on the work done with it.

    Parameters
    ----------
    columns : int
        Most columns of a table.
    name_characters : int
        Longest column name.
    line_bytes : int
        Longest record of a CSV file, in bytes of UTF-8.
    unpacked_bytes : int
        Most bytes that a compressed file may unpack to.
    rows : int
        Most data rows.
    footer_bytes : int
        Largest Parquet footer, which holds the schema and all metadata.
    row_groups : int
        Most row groups of a Parquet file.
    exact_rows : int
        Up to this many rows distinct counts and quantiles are exact, above they are estimates.
    memory_bytes : int
        Memory that the query engine may use before it spills to disk.
    threads : int
        Threads of the query engine and of the column work.
    """

    columns: int = 5_000
    name_characters: int = 200
    line_bytes: int = 10 * 2**20
    unpacked_bytes: int = 10 * 2**30
    rows: int = 100_000_000
    footer_bytes: int = 32 * 2**20
    row_groups: int = 100_000
    exact_rows: int = 5_000_000
    memory_bytes: int = 400 * 2**20
    threads: int = 2


DEFAULT = Limits()
