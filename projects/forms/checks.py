"""The form of one check. Its fields follow the kind; values are judged by the engine, for every door alike."""

from collections.abc import Sequence
from typing import Any

from django import forms

from mlportal.lib.errors import DomainError
from mlportal.lib.forms import Form
from projects.tabular.checks.rules import EXPECTATIONS, KINDS, Rule

PERCENT = {"nulls": ("max_share",), "share": ("min", "max"), "rows": ("change",)}
LISTS = ("allowed", "names")
LABELS = {
    "is": "Type", "min": "Least", "max": "Greatest", "max_share": "Most missing, %", "allowed": "Allowed values",
    "regex": "Regular expression", "value": "Value", "max_age_hours": "Greatest age, hours",
    "change": "Greatest change from the version before, %", "names": "Columns", "exact": "No other columns",
    "query": "SELECT",
}  # fmt: skip
HINTS = {
    "allowed": "One a line.", "names": "One a line.", "regex": "The whole value must match. RE2 syntax.",
    "query": "One SELECT on the table data. Rows it returns are at fault; none means the check passes.",
}  # fmt: skip
AREAS = {"allowed": 6, "names": 6, "query": 8}


class CheckForm(Form):
    """One check of a kind.

    Parameters
    ----------
    kind : str
        A key of ``EXPECTATIONS``.
    columns : sequence of str
        Columns of the newest version.
    """

    def __init__(self, *args: Any, kind: str, columns: Sequence[str], **kwargs: Any) -> None:
        self.kind, self.expected = kind, EXPECTATIONS[kind]
        self.__dict__["base_fields"] = _fields(kind, columns)  # of this object: the fields follow the kind
        super().__init__(*args, **kwargs)

    def refuse(self, error: DomainError) -> None:
        """Show the engine's refusal at its fields, in the words and the percent of this form."""
        for fault in error.errors or [{"field": error.field, "message": error.message}]:
            name, text = fault["field"], fault["message"]
            if name not in self.fields:
                self.add_error(None, text)
                continue
            said = text.removeprefix(f"{name} ")
            if said.startswith("was "):  # what was written stands in the field
                said = said.partition(". ")[2] or said
            if name in PERCENT.get(self.kind, ()):
                said = said.replace("a share from 0 to 1.", "a share from 0 to 100 %.")
            said = said.replace("below min,", "below the least,")
            self.add_error(name, said[:1].upper() + said[1:])

    def rule(self) -> dict[str, Any]:
        """Return the rule as JSON, for the engine to check."""
        values = self.cleaned_data
        out: dict[str, Any] = {"kind": self.kind, "severity": values["severity"], "name": values.get("name", "")}
        chosen = values.get("columns") or []
        out["columns"] = [chosen] if isinstance(chosen, str) else list(chosen)
        for name in self.expected.fields:
            if (found := self._value(name, values.get(name))) is not None:
                out[name] = found
        return out

    def _value(self, name: str, value: Any) -> Any:
        if isinstance(value, bool) or value is None:
            return value
        text = str(value)
        if name in LISTS:
            return [line.strip() for line in text.splitlines() if line.strip()]
        if name in ("query", "regex", "value", "is"):
            return text.strip() or None
        if not text.strip():
            return None
        number = _number(text)
        return number / 100 if name in PERCENT.get(self.kind, ()) and not isinstance(number, str) else number


def initial_of(rule: Rule) -> dict[str, Any]:
    """What the form shows of a rule."""
    shown: dict[str, Any] = {"severity": rule.severity, "name": rule.name}
    shown["columns"] = list(rule.columns) if EXPECTATIONS[rule.kind].columns[1] > 1 else "".join(rule.columns[:1])
    for name, value in rule.values.items():
        if name in LISTS:
            shown[name] = "\n".join(value)
        elif name in PERCENT.get(rule.kind, ()):
            shown[name] = f"{value * 100:.10g}"
        elif isinstance(value, float):
            shown[name] = f"{value:.15g}"
        else:
            shown[name] = value
    return shown


def _fields(kind: str, columns: Sequence[str]) -> dict[str, forms.Field]:
    expected = EXPECTATIONS[kind]
    least, most = expected.columns
    choices = [(name, name) for name in columns]
    found: dict[str, forms.Field] = {}
    if most > 1:
        found["columns"] = forms.MultipleChoiceField(label="Columns", choices=choices, widget=forms.SelectMultiple)
    elif most == 1:
        empty = [("", "the upload itself")] if not least else []
        found["columns"] = forms.ChoiceField(label="Column", choices=[*empty, *choices], required=bool(least))
    for name in expected.fields:
        found[name] = _field(kind, name, needed=name in expected.needs)
    found["name"] = forms.CharField(
        label="Name", max_length=100, required=kind == "sql", help_text="Shown instead of the sentence made from it."
    )
    found["severity"] = forms.ChoiceField(
        label="When it fails", initial="gate", widget=forms.RadioSelect,
        choices=[("gate", "Gate: training on the version is refused"), ("warn", "Warn: the version is marked")],
    )  # fmt: skip
    return found


def _field(kind: str, name: str, *, needed: bool) -> forms.Field:
    label = LABELS[name] + (", %" if name in PERCENT.get(kind, ()) and "%" not in LABELS[name] else "")
    common: dict[str, Any] = {"label": label, "required": needed, "help_text": HINTS.get(name, "")}
    if name == "is":
        return forms.ChoiceField(choices=[(word, word) for word in KINDS], **common)
    if name == "exact":
        return forms.BooleanField(**common | {"required": False})
    if name in AREAS:
        return forms.CharField(widget=forms.Textarea(attrs={"rows": AREAS[name]}), strip=False, **common)
    return forms.CharField(max_length=1_000, **common)


def _number(text: str) -> int | float | str:
    plain = text.strip().replace("−", "-")
    for read in (int, float):
        try:
            return read(plain)
        except ValueError:
            continue
    return plain
