"""Typed hyper-parameters: what a value may be, and the sentence when it is not."""

import math
from dataclasses import dataclass
from typing import Literal

from mlportal.lib.errors import Invalid

Value = int | float | str | bool | None
Kind = Literal["integer", "number", "choice", "boolean"]

SHOWN_CHARACTERS = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One hyper-parameter of an algorithm.

    Attributes
    ----------
    name : str
        Name as scikit-learn spells it.
    kind : {"integer", "number", "choice", "boolean"}
        Type of the value.
    default : int, float, str, bool or None
        Value used when none is given.
    help : str
        One sentence for a person.
    low, high : float, optional
        Inclusive range of numbers.
    choices : tuple of str
        Allowed words of a choice.
    step : float, optional
        Step of the number field in a form.
    empty : str
        What an empty value means; empty string when a value is required.
    """

    name: str
    kind: Kind
    default: Value
    help: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    step: float | None = None
    empty: str = ""

    @property
    def allowed(self) -> str:
        """The allowed values as a phrase, for example ``1 to 2,000``."""
        if self.kind == "choice":
            phrase = " or ".join(self.choices)
        elif self.kind == "boolean":
            phrase = "true or false"
        else:
            phrase = f"{plain(self.low)} to {plain(self.high)}"
        return f"{phrase}, or empty for {self.empty}" if self.empty else phrase

    def check(self, value: object) -> Value:
        """Return `value` when it is allowed.

        Parameters
        ----------
        value : object
            A value of any type, as decoded from JSON.

        Returns
        -------
        int, float, str, bool or None
            The same value; an integer given for a number becomes a float.

        Raises
        ------
        Invalid
            With the field ``hyper_parameters.<name>``, what came and what is allowed.
        """
        if value is None and self.empty:
            return None
        if self.kind == "boolean":
            if isinstance(value, bool):
                return value
            raise self._refusal(value, "a boolean")
        if self.kind == "choice":
            if isinstance(value, str) and value in self.choices:
                return value
            raise self._refusal(value, "one of")
        return self._number(value)

    def parse(self, text: str) -> Value:
        """Return the value written as `text` in a form field, checked.

        Text that is not of the parameter's type is handed to `check` as it is,
        so the message shows what was typed.
        """
        text = text.strip()
        if not text and self.empty:
            return None
        if self.kind == "boolean":
            return self.check({"true": True, "false": False}.get(text.lower(), text))
        if self.kind == "choice":
            return self.check(text)
        return self.check(number(text))

    def as_json(self) -> dict[str, object]:
        """Return the declaration as JSON values, as the catalogue endpoint shows it."""
        return {
            "name": self.name,
            "kind": self.kind,
            "default": self.default,
            "low": self.low,
            "high": self.high,
            "choices": list(self.choices),
            "step": self.step,
            "empty": self.empty,
            "allowed": self.allowed,
            "help": self.help,
        }

    def _number(self, value: object) -> int | float:
        wanted = "a whole number" if self.kind == "integer" else "a number"
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self._refusal(value, wanted)
        # Only floats: a whole number of 400 digits has no float, and its range check is exact.
        if isinstance(value, float) and not math.isfinite(value):
            raise self._refusal(value, wanted)
        if isinstance(value, float) and self.kind == "integer" and not value.is_integer():
            raise self._refusal(value, wanted)
        self._ranged(value)
        return int(value) if self.kind == "integer" else float(value)

    def _ranged(self, value: float) -> None:
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        if not low <= value <= high:
            raise self._refusal(value, "a whole number" if self.kind == "integer" else "a number")

    def _refusal(self, value: object, wanted: str) -> Invalid:
        return Invalid(
            f"{self.name} must be {self._phrase(wanted)}. It was {shown(value)}.",
            code="hyper_parameter_invalid",
            field=f"hyper_parameters.{self.name}",
            limit=self.allowed,
            got=shown(value),
        )

    def _phrase(self, wanted: str) -> str:
        if self.kind == "boolean":
            return self.allowed
        if wanted.endswith((" from", " of")):
            return f"{wanted} {self.allowed}"
        return f"{wanted} from {self.allowed}"


def plain(value: float | None) -> str:
    """Return a limit as people write it: ``2,000`` and ``0.0001``."""
    if value is None:
        return "any"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:g}"


def number(text: str) -> object:
    """Return the number written in `text`, else the text itself.

    Only ASCII digits with an optional sign, point and exponent are numbers:
    Python's ``int`` and ``float`` also read full-width digits and underscores.
    """
    if not text.isascii() or "_" in text or len(text) > SHOWN_CHARACTERS:
        return text
    for convert in (int, float):
        try:
            return convert(text)
        except ValueError:
            continue
    return text


def shown(value: object) -> str:
    """Return `value` short enough for a sentence, as JSON would write it."""
    names = {True: "true", False: "false", None: "null"}
    if value is None or isinstance(value, bool):
        return names[value]
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"
