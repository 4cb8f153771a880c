"""Forms of the experiments app."""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.forms.utils import ErrorDict

from experiments.training import catalogue, spec
from experiments.training.parameters import Parameter, Value, number
from mlportal.lib.errors import Invalid
from mlportal.lib.forms import Form
from projects.models import DatasetVersion

PREFIX = "hyper_parameters."
QUIET = ("missing_target", "features", "memory_mb", "experiment", "name")  # nothing else depends on them
MEMORY_CHOICES = (1024, 2048, 4096, 8192, 16384, 32768, 65536)


@dataclass(frozen=True, slots=True)
class ParameterRow:
    """One line of the table of parameters."""

    field: forms.BoundField
    rule: Parameter
    start: str
    changed: bool


class LaunchForm(Form):
    """What to train. Its fields follow the chosen data, task and algorithm.

    Values stay text here: `experiments.training.spec` judges them for every door alike,
    and its faults come back to the fields by name.

    Parameters
    ----------
    values : mapping of str to list of str
        What the form shows: the start values with what the person typed over them.
    versions : sequence of DatasetVersion
        Data that may be chosen.
    version : DatasetVersion
        The chosen one.
    before : mapping, optional
        The specification this one starts from, to mark what was changed.
    """

    def __init__(
        self,
        values: Mapping[str, Sequence[str]],
        *,
        versions: Sequence[DatasetVersion],
        version: DatasetVersion,
        before: Mapping[str, Any] | None = None,
        experiments: Sequence[str] = (),
        most_memory_mb: int,
        address: str,
        bound: bool = False,
        splits: Sequence[tuple[str, str]] = (),
    ) -> None:
        self.splits = splits
        self.values = values
        self.version = version
        self.before = before or {}
        self.task = _one(values, "task")
        self.algorithm = _one(values, "algorithm")
        self.rules = catalogue.parameters(self.algorithm, self.task)
        self.experiments = experiments
        super().__init__(_Data(values)) if bound else super().__init__(initial=_flat(values))
        self._add_data(versions)
        self._add_split()
        self._add_parameters()
        self._add_rest(most_memory_mb)
        self._style(address)

    def _add_data(self, versions: Sequence[DatasetVersion]) -> None:
        columns = [(str(column["name"]), str(column["name"])) for column in self.version.schema]
        target = _one(self.values, "target")
        self.fields["dataset"] = _choice(
            "Training data", [(f"{entry.dataset.name}@{entry.number}", str(entry)) for entry in versions]
        )
        self.fields["target"] = _choice("Target", columns, "The column to predict.")
        self.fields["task"] = forms.ChoiceField(
            label="Task",
            required=False,
            choices=[("classification", "Classification"), ("regression", "Regression")],
            widget=forms.RadioSelect,
        )
        self.fields["missing_target"] = _choice(
            "Rows without a target", [("fail", "Refuse the data"), ("drop", "Leave them out")]
        )
        self.fields["features_from"] = forms.ChoiceField(
            label="Features",
            required=False,
            choices=[("all", "All usable columns"), ("some", "Choose columns")],
            widget=forms.RadioSelect,
        )
        self.fields["features"] = forms.MultipleChoiceField(
            label="Columns",
            required=False,
            choices=[column for column in columns if column[0] != target],
            widget=forms.CheckboxSelectMultiple,
        )

    def _add_split(self) -> None:
        self.fields["split"] = _choice(
            "Saved split",
            [("", "Cut by the values below"), *self.splits],
            "Its rows stay the same for ever; it says which are held out.",
        )
        self.fields["test_share"] = _text("Held-out share", spec.PLAIN["test_share"])
        self.fields["seed"] = _text("Seed", spec.PLAIN["seed"])
        folds = [("0", "No folds"), *((str(n), f"{n} folds") for n in (2, 3, 5, 10))]
        current = _one(self.values, "folds")
        if current not in dict(folds):
            folds.append((current, current))
        self.fields["folds"] = _choice("Cross-validation", folds)
        if self.task == "classification":
            self.fields["stratify"] = forms.BooleanField(
                label="Stratify",
                required=False,
                help_text="Keep the shares of the classes equal in both parts.",
            )

    def _add_parameters(self) -> None:
        self.fields["algorithm"] = _choice(
            "Algorithm",
            [(entry.name, entry.label) for entry in catalogue.algorithms(self.task)],
            catalogue.ALGORITHMS[self.algorithm].summary,
        )
        for name, rule in self.rules.items():
            self.fields[PREFIX + name] = _parameter_field(rule)

    def _add_rest(self, most_memory_mb: int) -> None:
        self.fields["wall_minutes"] = forms.CharField(
            label="Stop after, minutes", required=False, help_text="The job is stopped when it takes longer."
        )
        memory = [(str(size), f"{size // 1024} GB") for size in MEMORY_CHOICES if size <= most_memory_mb]
        self.fields["memory_mb"] = _choice("Memory", memory, "Most the training may use.")
        self.fields["experiment"] = forms.CharField(
            label="Experiment", required=False, help_text="A new name makes a new experiment."
        )
        self.fields["experiment"].widget.attrs |= {"list": "known-experiments", "autocomplete": "off"}
        self.fields["name"] = forms.CharField(
            label="Run name", required=False, help_text="Made from the algorithm and what you changed if left empty."
        )

    def _style(self, address: str) -> None:
        renews = {
            "hx-post": address,
            "hx-trigger": "change",
            "hx-include": "#launch-form",
            "hx-target": "#launch",
            "hx-select": "#launch",
            "hx-swap": "morph:outerHTML",
        }
        for name, field in self.fields.items():
            widget = field.widget
            if name not in QUIET:
                widget.attrs |= renews | {"hx-vals": json.dumps({"refresh": name})}
            if isinstance(widget, forms.Select):
                widget.attrs["class"] = "sel"
            elif isinstance(widget, forms.TextInput):
                widget.attrs["class"] = "in num" if name in spec.PLAIN or name.startswith(PREFIX) else "in"
                widget.attrs.setdefault("autocomplete", "off")

    def full_clean(self) -> None:
        """Start without faults: one place judges the values, not the fields as well."""
        self._errors = ErrorDict()
        self.cleaned_data: dict[str, Any] = {}

    @property
    def parameter_rows(self) -> Iterator[ParameterRow]:
        """The table of parameters, with the value each started from."""
        earlier = self.before.get("hyper_parameters", {}) if self.before.get("algorithm") == self.algorithm else {}
        for name, rule in self.rules.items():
            start = earlier.get(name, rule.default)
            current = _one(self.values, PREFIX + name)
            yield ParameterRow(
                field=self[PREFIX + name],
                rule=rule,
                start=as_text(start),
                changed=_value(rule, current) != start,
            )

    def spec(self) -> dict[str, Any]:
        """Return the specification as typed, for `validate_spec` to judge."""
        out: dict[str, Any] = {name: _one(self.values, name) for name in ("task", "target", "algorithm")}
        out["missing_target"] = _one(self.values, "missing_target") or "fail"
        some = _one(self.values, "features_from") == "some"
        out["features"] = list(self.values.get("features", ())) if some else None
        for name in spec.PLAIN:
            out[name] = number(_one(self.values, name).strip())
        if chosen := _one(self.values, "split"):
            out["split"] = chosen
        out["stratify"] = self.task == "classification" and bool(_one(self.values, "stratify"))
        out["hyper_parameters"] = {
            name: _value(rule, _one(self.values, PREFIX + name)) for name, rule in self.rules.items()
        }
        return out

    def limits(self) -> dict[str, Any]:
        """Return the limits as typed."""
        minutes = number(_one(self.values, "wall_minutes").strip())
        memory = number(_one(self.values, "memory_mb"))
        seconds = round(minutes * 60) if isinstance(minutes, (int, float)) and minutes < 1e9 else minutes
        return {"wall_seconds": None if seconds == "" else seconds, "memory_mb": memory or None}

    def refuse(self, error: Any) -> None:
        """Show faults at their fields; limits have other names here."""
        names = {"limits.wall_seconds": "wall_minutes", "limits.memory_mb": "memory_mb", "dataset_version": "dataset"}
        faults = error.errors or [{"field": error.field, "message": error.message}]
        for fault in faults:
            name = names.get(fault["field"], fault["field"])
            self.add_error(name if name in self.fields else None, fault["message"])

    def faults(self) -> Invalid | None:
        """Return what the specification's check says, or ``None``."""
        try:
            spec.validate_spec(self.spec(), self.version.schema)
        except Invalid as error:
            return error
        return None

    def request_body(self) -> dict[str, Any]:
        """Return the REST request that does the same."""
        body = {
            "dataset": self.version.dataset.name,
            "version": self.version.number,
            "experiment": _one(self.values, "experiment"),
            "spec": self.spec(),
        }
        if name := _one(self.values, "name"):
            body["name"] = name
        return body

    def command(self, project: str) -> str:
        """Return the command line that does the same."""
        asked = self.spec()
        words = [
            f"mlportal train --project {project}",
            f"--dataset {self.version.dataset.name}@{self.version.number}",
            f"--target {shlex.quote(str(asked['target']))} --task {asked['task']}",
            f"--algorithm {asked['algorithm']}",
            f"--test-share {asked['test_share']} --seed {asked['seed']} --folds {asked['folds']}",
        ]
        for name, value in asked["hyper_parameters"].items():
            if value != self.rules[name].default:
                words.append(f"--set {name}={shlex.quote(as_text(value))}")
        return " \\\n  ".join([*words, "--wait"])

    def body_text(self) -> str:
        """Return the REST request body as text."""
        return json.dumps(self.request_body(), indent=2, ensure_ascii=False, default=str)


class _Data(dict[str, Any]):
    """Submitted values with the two lookups Django's widgets use."""

    def get(self, key: str, default: Any = None) -> Any:
        """Return the last value."""
        found = super().get(key)
        return found[-1] if found else default

    def getlist(self, key: str) -> list[str]:
        """Return all values."""
        return list(super().get(key) or [])


def _flat(values: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    return {name: list(found) if name == "features" else found[-1] for name, found in values.items() if found}


def _one(values: Mapping[str, Sequence[str]], name: str) -> str:
    found = values.get(name)
    return found[-1] if found else ""


def _choice(label: str, choices: Sequence[tuple[str, str]], hint: str = "") -> forms.ChoiceField:
    return forms.ChoiceField(label=label, choices=choices, required=False, help_text=hint)


def _text(label: str, rule: Parameter) -> forms.CharField:
    return forms.CharField(label=label, required=False, help_text=f"{rule.allowed}. {rule.help}")


def _parameter_field(rule: Parameter) -> forms.Field:
    if rule.kind == "choice":
        return _choice(rule.name, [(word, word) for word in rule.choices])
    if rule.kind == "boolean":
        return _choice(rule.name, [("true", "true"), ("false", "false")])
    mode = "numeric" if rule.kind == "integer" else "decimal"
    return forms.CharField(label=rule.name, required=False, widget=forms.TextInput({"inputmode": mode}))


def _value(rule: Parameter, text: str) -> object:
    """Return the typed value, or the text when it is not allowed: the check then names it."""
    try:
        return rule.parse(text)
    except Invalid:
        return number(text.strip())


def as_text(value: Value) -> str:
    """Return a value as a form field holds it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
