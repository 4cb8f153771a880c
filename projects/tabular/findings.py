"""What is worth knowing about a table, in words: a code, a sentence, the column it is about."""

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from . import sniff

if TYPE_CHECKING:
    from .delimited import DelimitedReader
    from .kinds import ColumnGuess, Verdict

MANY_MISSING, MANY_LEVELS, MOSTLY = 0.4, 50, 0.9
ENOUGH_FITTED = 3
_LISTED = 10


@dataclass(frozen=True)
class Finding:
    """One remark.

    Parameters
    ----------
    code : str
        Stable word.
    message : str
        A sentence with the numbers in it.
    column : str
        Column it is about, empty for the whole table.
    level : str
        ``info`` for what was chosen, ``warning`` for what may hurt a model.
    """

    code: str
    message: str
    column: str = ""
    level: str = "warning"

    def as_dict(self) -> dict[str, str]:
        """JSON form."""
        return asdict(self)


def of_reading(reader: "DelimitedReader", guesses: list["ColumnGuess"], verdicts: list["Verdict"]) -> list[Finding]:
    """Remarks about how a text was read."""
    found = list(_of_layout(reader))
    for name, guess, verdict in zip(reader.names, guesses, verdicts, strict=True):
        found += _of_missing_words(name, guess)
        found += _of_choice(name, guess, verdict)
    numeric = [
        guess.infinite if verdict.kind == "numeric" else 0 for guess, verdict in zip(guesses, verdicts, strict=True)
    ]
    return found + of_infinite(reader.names, numeric)


def _of_layout(reader: "DelimitedReader") -> Iterable[Finding]:
    if reader.blank_lines:
        lines = "1 blank line was" if reader.blank_lines == 1 else f"{reader.blank_lines:,} blank lines were"
        yield Finding("blank_lines", f"{lines} left out.")
    if reader.trimmed_names:
        listed = _list(reader.trimmed_names)
        yield Finding("trimmed_names", f"Spaces around column names were removed: {listed}.", level="info")
    if reader.delimiter != ",":
        word = sniff.DELIMITERS[reader.delimiter]
        yield Finding("delimiter", f"Fields are separated by a {word}.", level="info")
    if len(reader.names) == 1:
        yield Finding("single_column", "The file has one column. If that is wrong, choose its delimiter.")
    if all(_NUMBER_NAME.fullmatch(name) for name in reader.names):
        yield Finding(
            "header_like_data",
            f"All column names are numbers ({_list(reader.names[:3])}). Is the header row missing?",
        )


_NUMBER_NAME = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")


def _of_missing_words(name: str, guess: "ColumnGuess") -> Iterable[Finding]:
    if guess.missing_words:
        words = ", ".join(
            f"'{word}' {count:,} times" if word != "blank" else f"spaces only {count:,} times"
            for word, count in guess.missing_words.most_common(5)
        )
        yield Finding("missing_words", f"Read as missing: {words}.", name, level="info")


def _of_choice(name: str, guess: "ColumnGuess", verdict: "Verdict") -> Iterable[Finding]:
    if verdict.remark == "decimal_comma":
        yield Finding(
            "decimal_comma",
            f"The comma in {guess.commas:,} cells was read as a decimal point.",
            name,
            level="info",
        )
    elif verdict.remark == "ambiguous_commas":
        yield Finding(
            "ambiguous_commas",
            "Commas could mark thousands or decimals, so the column is kept as text.",
            name,
        )
    elif verdict.remark == "ambiguous_dates":
        yield Finding(
            "ambiguous_dates",
            "Dates could be day/month or month/day, so the column is kept as text. Write them as year-month-day.",
            name,
        )
    elif verdict.kind == "text" and guess.present:
        yield from _of_fall(name, guess)


def _of_fall(name: str, guess: "ColumnGuess") -> Iterable[Finding]:
    """Name the cell that kept a column from being numbers, dates or booleans."""
    candidate, fall = max(guess.failures.items(), key=lambda item: item[1].fitted)
    row, value = fall.row, fall.value
    if _LONG.fullmatch(value) or _EXPONENT.fullmatch(value):
        yield Finding(
            "number_too_large",
            f"Row {row:,} holds {_cell(value)}, which does not fit a 64-bit number, so the column is kept as text.",
            name,
        )
    elif fall.fitted >= ENOUGH_FITTED:
        yield Finding(
            "mixed_values",
            f"The values are {candidate} up to row {row - 1:,}; row {row:,} holds {_cell(value)}, so the "
            "column is kept as text.",
            name,
        )


_LONG = re.compile(r"[+-]?[0-9]{19,}")
_EXPONENT = re.compile(r"[+-]?[0-9.]+[eE][+-]?[0-9]{3,}")


def of_infinite(names: list[str], counts: list[int]) -> list[Finding]:
    """Remarks about infinite numbers that became missing."""
    return [
        Finding("infinite", f"{count:,} infinite or not-a-number values were read as missing.", name)
        for name, count in zip(names, counts, strict=True)
        if count
    ]


def of_column(name: str, kind: str, rows: int, facts: dict[str, Any]) -> list[Finding]:
    """Remarks about the values of one column.

    Parameters
    ----------
    name, kind : str
        The column.
    rows : int
        Rows of the table.
    facts : dict
        Its profile: ``nulls``, ``distinct``, and for text ``number_share``.
    """
    present, distinct = rows - facts["nulls"], facts["distinct"]
    if not present:
        return [Finding("all_missing", "Every value is missing.", name)]
    found = []
    if distinct == 1:
        found.append(Finding("constant", "Every value is the same; a model learns nothing from it.", name))
    if facts["nulls"] / rows > MANY_MISSING:
        found.append(Finding("many_missing", f"{facts['nulls'] / rows:.0%} of the values are missing.", name))
    if kind == "id":
        found.append(Finding("id_like", "Every value is different: an identifier, not a feature.", name))
    elif kind == "categorical" and distinct > MANY_LEVELS:
        found.append(
            Finding("high_cardinality", f"{distinct:,} different values; one-hot encoding makes as many columns.", name)
        )
    elif kind == "text" and facts.get("number_share", 0) >= MOSTLY:
        found.append(Finding("mostly_numbers", _numbers_in_text(facts["number_share"]), name))
    return found


def _numbers_in_text(share: float) -> str:
    if share == 1:
        return "Every value is a number, but the column is text: cast it where it comes from."
    return f"{min(share, 0.999):.1%} of the values are numbers, the others are text."


def of_table(rows: int, duplicates: int | None) -> list[Finding]:
    """Remarks about the whole table."""
    found = []
    if rows < 50:
        word = "row" if rows == 1 else "rows"
        found.append(Finding("few_rows", f"The table has {rows} {word}; results will vary by chance."))
    if duplicates:
        share = duplicates / rows
        found.append(
            Finding(
                "duplicate_rows",
                f"{duplicates:,} rows ({share:.1%}) repeat an earlier row. Copies in training and test data "
                "make a model look better than it is.",
            )
        )
    return found


def _cell(value: str) -> str:
    return repr(value if len(value) <= 40 else value[:39] + "…")


def _list(names: list[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:_LISTED])
    return shown if len(names) <= _LISTED else f"{shown} and {len(names) - _LISTED:,} more"
