"""What a file is, by its first bytes: its type, its text encoding, its delimiter."""

import codecs
import csv
from collections import Counter

from mlportal.lib.errors import Invalid, Unprocessable, UnsupportedType

HEAD_BYTES = 64 * 1024
CSV, CSV_GZIP, PARQUET = "csv", "csv.gz", "parquet"
DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
ENCODINGS = {
    "utf-8": "UTF-8",
    "utf-16-le": "UTF-16, little endian",
    "utf-16-be": "UTF-16, big endian",
    "latin-1": "Latin-1 (Western)",
    "cp1252": "Windows-1252 (Western)",
}
ALLOWED = "A dataset is a CSV file (also gzip-compressed) or a Parquet file."

_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF87a", "a GIF image"),
    (b"GIF89a", "a GIF image"),
    (b"\x7fELF", "an ELF program"),
    (b"%PDF-", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive or an Excel workbook"),
    (b"PK\x05\x06", "an empty ZIP archive"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old or encrypted Office document"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"\xfd7zXZ\x00", "an xz archive"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"ARROW1\x00\x00", "an Arrow file"),
    (b"Obj\x01", "an Avro file"),
    (b"\x80\x04\x95", "a Python pickle"),
    (b"\x80\x05\x95", "a Python pickle"),
    (b"\x93NUMPY", "a NumPy array"),
)
# These begin like text, so they count only together with a NUL byte.
_BINARY_SIGNATURES = ((b"MZ", "a Windows program"), (b"BZh", "a bzip2 archive"), (b"ORC", "an ORC file"))
_MARKUP = ((b"<!doctype html", "an HTML page"), (b"<html", "an HTML page"), (b"<?xml", "an XML document"))
_JSON_STARTS = (b'{"', b"[{", b"{\n", b"[\n", b"[[")


def file_type(head: bytes) -> str:
    """Type of a file by its first bytes.

    Parameters
    ----------
    head : bytes
        The first bytes, up to ``HEAD_BYTES``; fewer only when the file is shorter.

    Returns
    -------
    str
        ``"csv"``, ``"csv.gz"`` or ``"parquet"``.

    Raises
    ------
    Invalid
        When the file is empty.
    UnsupportedType
        With the type that was detected.
    """
    if not head.strip(b" \t\r\n\xef\xbb\xbf"):
        raise Invalid("The file is empty: it has no data rows.", code="no_data_rows", field="file")
    if head.startswith(b"PAR1"):
        return PARQUET
    if head.startswith(b"\x1f\x8b"):
        return CSV_GZIP
    if found := _foreign(head):
        raise UnsupportedType(f"The file is {found}, whatever its name says. {ALLOWED}", field="file", got=found)
    return CSV


def _foreign(head: bytes) -> str:
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name
    if b"\x00" in head:
        for signature, name in _BINARY_SIGNATURES:
            if head.startswith(signature):
                return name
    text = head.removeprefix(codecs.BOM_UTF8).lstrip()
    for start, name in _MARKUP:
        if text[:20].lower().startswith(start):
            return name
    return "a JSON document" if text.startswith(_JSON_STARTS) else ""


def encoding(head: bytes, chosen: str = "") -> str:
    """Python codec for a text file, by its byte order mark, else UTF-8.

    Raises
    ------
    Invalid
        When ``chosen`` is not one of ``ENCODINGS``.
    Unprocessable
        When the bytes look like an encoding that cannot be told without a byte order mark.
    """
    if chosen:
        return _chosen_encoding(head, chosen)
    if head.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        raise _ask("UTF-32")
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if head.startswith((b"+/v8", b"+/v9", b"+/v+", b"+/v/")):
        raise _ask("UTF-7")
    if guess := _utf16_without_mark(head[:4096]):
        raise _ask(f"{guess} without a byte order mark")
    return "utf-8"


def _chosen_encoding(head: bytes, chosen: str) -> str:
    if chosen not in ENCODINGS:
        allowed = ", ".join(ENCODINGS)
        raise Invalid(f"encoding is one of {allowed}; not {chosen[:40]!r}.", field="encoding", got=chosen[:40])
    marked = chosen == "utf-8" and head.startswith(codecs.BOM_UTF8)
    return "utf-8-sig" if marked else chosen


def _ask(guess: str) -> Unprocessable:
    return Unprocessable(
        f"The file looks like {guess}. Save it as UTF-8, or upload it again and choose its encoding.",
        code="encoding_unclear",
        field="encoding",
    )


def _utf16_without_mark(head: bytes) -> str:
    half = len(head) // 2
    if half < 2:
        return ""
    if head[1::2].count(0) > 0.4 * half and head[0::2].count(0) < 0.1 * half:
        return "UTF-16 (little endian)"
    if head[0::2].count(0) > 0.4 * half and head[1::2].count(0) < 0.1 * half:
        return "UTF-16 (big endian)"
    return ""


def delimiter(sample: str, chosen: str = "") -> str:
    """Delimiter of a CSV text: the one that gives most rows the field count of the header.

    Parameters
    ----------
    sample : str
        Beginning of the text; a cut last line is ignored when there are others.
    chosen : str
        What the user chose; checked and returned.

    Returns
    -------
    str
        One of ``DELIMITERS``; a comma for a table of one column.

    Raises
    ------
    Invalid
        When ``chosen`` is not one of ``DELIMITERS``.
    """
    if chosen:
        if chosen not in DELIMITERS:
            raise Invalid("delimiter is a comma, semicolon, tab or pipe (|).", field="delimiter", got=chosen[:10])
        return chosen
    scored = {mark: _score(sample, mark) for mark in DELIMITERS}
    best = max(DELIMITERS, key=lambda mark: scored[mark])
    return best if scored[best] > (0.0, 0) else ","


def _score(sample: str, mark: str) -> tuple[float, int]:
    lines = sample.splitlines(keepends=True)
    if len(lines) > 2:
        lines = lines[:-1]
    try:
        rows = [row for row in csv.reader(lines[:200], delimiter=mark) if row]
    except csv.Error:
        return (0.0, 0)
    if not rows or len(rows[0]) < 2:
        return (0.0, 0)
    same = Counter(len(row) for row in rows)[len(rows[0])]
    return (round(same / len(rows), 1), len(rows[0]))
