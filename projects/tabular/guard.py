"""Cheap checks on an upload while its bytes arrive, so that hopeless files stop early."""

from mlportal.lib.errors import Invalid, TooLarge, Unprocessable

from . import sniff
from .limits import DEFAULT, Limits


class UploadGuard:
    """Watch a stream: type by its first bytes, columns of the header, length of lines.

    Holds at most ``sniff.HEAD_BYTES`` of the stream. Everything that needs the whole file is left to the
    profiling job; what is refused here is refused with the same sentence there.

    Parameters
    ----------
    encoding : str or None
        What the user chose, empty to detect, ``None`` when it is not known yet.
    limits : Limits
        Bounds to hold.
    """

    def __init__(self, encoding: str | None = "", limits: Limits = DEFAULT) -> None:
        self.file_type = ""
        self._chosen = encoding
        self._limits = limits
        self._head = b""
        self._line_bytes = 0
        self._header_marks: dict[bytes, int] | None = {mark.encode(): 0 for mark in sniff.DELIMITERS}
        self._plain = False

    def feed(self, part: bytes) -> None:
        """Look at the next bytes.

        Raises
        ------
        Invalid, UnsupportedType, TooLarge, Unprocessable
            As soon as the file cannot become a dataset.
        """
        if not self.file_type:
            self._head += part
            if len(self._head) < sniff.HEAD_BYTES:
                return
            part = self._settle()
        if self._plain:
            self._watch_lines(part)

    def close(self) -> str:
        """End of the stream: settle what is still open and return the file type."""
        if not self.file_type:
            part = self._settle()
            if self._plain:
                self._watch_lines(part)
        return self.file_type

    def _settle(self) -> bytes:
        self.file_type = sniff.file_type(self._head)
        if self.file_type == sniff.CSV:
            if self._chosen is None:
                self._plain = b"\x00" not in self._head
            else:
                self._plain = not sniff.encoding(self._head, self._chosen).startswith("utf-16")
        elif self.file_type == sniff.PARQUET and len(self._head) < 12:
            raise Unprocessable("Not a valid Parquet file: it is shorter than an empty one.", field="file")
        part, self._head = self._head, b""
        return part

    def _watch_lines(self, part: bytes) -> None:
        if self._header_marks is not None:
            self._count_header(part)
        last = max(part.rfind(b"\n"), part.rfind(b"\r"))
        self._line_bytes = self._line_bytes + len(part) if last < 0 else len(part) - last - 1
        if self._line_bytes > self._limits.line_bytes:
            raise TooLarge(
                line_too_long(self._limits),
                code="line_too_long",
                field="file",
                limit=self._limits.line_bytes,
            )

    def _count_header(self, part: bytes) -> None:
        assert self._header_marks is not None
        ends = [at for at in (part.find(b"\n"), part.find(b"\r")) if at >= 0]
        header = part[: min(ends)] if ends else part
        quoted = b'"' in header
        for mark in self._header_marks:
            self._header_marks[mark] += header.count(mark)
        most = max(self._header_marks.values()) + 1
        if ends or quoted:
            self._header_marks = None  # a quoted header needs the real reader
        if most > self._limits.columns and not quoted:
            raise Invalid(
                too_many_columns(self._limits),
                code="too_many_columns",
                field="file",
                limit=self._limits.columns,
            )


def line_too_long(limits: Limits, line: int = 0) -> str:
    """Sentence for a line over the limit."""
    where = f"Line {line:,} is" if line else "A line is"
    return f"{where} longer than {limits.line_bytes // 2**20} MB. Is the line ending missing?"


def too_many_columns(limits: Limits) -> str:
    """Sentence for a header over the limit."""
    return f"The header has more than {limits.columns:,} columns, which is the limit."
