"""The training specification: what a person asks for, checked against the data's schema."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from experiments.training import catalogue
from experiments.training.parameters import Parameter, Value, number, shown
from mlportal.lib.errors import Invalid

FIELDS: Final = (
    "task",
    "target",
    "features",
    "missing_target",
    "test_share",
    "seed",
    "stratify",
    "folds",
    "algorithm",
    "hyper_parameters",
    "split",
)
MAX_SEED: Final = 2**32 - 1
MAX_SPLIT_NAME: Final = 100
FOLDS: Final = (2, 10)
MISSING_TARGET: Final = ("fail", "drop")
NUMERIC_KINDS: Final = ("numeric", "integer")
NAMES_SHOWN: Final = 12

_TEST_SHARE: Final = Parameter(
    name="test_share",
    kind="number",
    default=0.2,
    low=0.01,
    high=0.9,
    step=0.05,
    help="Share of the rows held out to judge the model.",
)
_SEED: Final = Parameter(
    name="seed",
    kind="integer",
    default=0,
    low=0,
    high=MAX_SEED,
    step=1,
    help="Start of every random choice: the same seed gives the same model.",
)
_FOLDS: Final = Parameter(
    name="folds",
    kind="integer",
    default=0,
    low=0,
    high=FOLDS[1],
    step=1,
    help="Parts of a cross-validation on the training rows, 0 for none.",
)
PLAIN: Final = {"test_share": _TEST_SHARE, "seed": _SEED, "folds": _FOLDS}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSpec:
    """A checked specification.

    Attributes
    ----------
    task : {"classification", "regression"}
        What is learned.
    target : str
        Column to predict.
    features : tuple of str or None
        Columns to learn from; ``None`` means every usable column but the target.
    test_share : float
        Share of rows held out, 0.01 to 0.9.
    seed : int
        Seed of every random choice, 0 to 2**32 - 1.
    stratify : bool
        Keep the shares of the classes equal in both parts.
    folds : int
        Parts of the cross-validation, 0 for none.
    missing_target : {"fail", "drop"}
        What to do with rows that have no target.
    algorithm : str
        Name in the catalogue.
    hyper_parameters : mapping of str to value
        A value for every declared parameter.
    split : str
        Saved split of the data that says which rows are held out; empty to cut by share and seed.
    """

    task: str
    target: str
    features: tuple[str, ...] | None
    test_share: float
    seed: int
    stratify: bool
    folds: int
    missing_target: str
    algorithm: str
    hyper_parameters: Mapping[str, Value]
    split: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the specification as JSON values, complete: nothing is left to a default."""
        return {
            "task": self.task,
            "target": self.target,
            "features": None if self.features is None else list(self.features),
            "missing_target": self.missing_target,
            "test_share": self.test_share,
            "seed": self.seed,
            "stratify": self.stratify,
            "folds": self.folds,
            "algorithm": self.algorithm,
            "hyper_parameters": dict(self.hyper_parameters),
            **({"split": self.split} if self.split else {}),
        }


def validate_spec(spec: object, schema: Sequence[Mapping[str, Any]]) -> TrainingSpec:
    """Check a specification against the schema of a dataset version.

    Parameters
    ----------
    spec : object
        Decoded JSON, of any shape.
    schema : sequence of mapping
        Columns as ``{"name", "kind", ...}``.

    Returns
    -------
    TrainingSpec
        Complete and frozen.

    Raises
    ------
    Invalid
        Every fault at once in ``errors``; message, field and limit are the first one's.
    """
    if not isinstance(spec, Mapping):
        raise Invalid(
            f"spec must be an object with the fields {', '.join(FIELDS)}. It was {shown(spec)}.",
            code="spec_invalid",
            field="spec",
            limit=list(FIELDS),
        )
    checks = _Checks(spec, {str(column["name"]): str(column["kind"]) for column in schema})
    checked = checks.run()
    if checks.faults:
        raise _together(checks.faults)
    return TrainingSpec(**checked)


def _together(faults: list[Invalid]) -> Invalid:
    first = faults[0]
    return Invalid(
        first.message,
        code=first.code,
        field=first.field,
        limit=first.limit,
        got=first.got,
        errors=[{"field": fault.field, "message": fault.message} for fault in faults],
    )


class _Checks:
    """The checks of one specification, collecting faults instead of stopping at the first."""

    def __init__(self, spec: Mapping[str, Any], kinds: dict[str, str]) -> None:
        self.spec = spec
        self.kinds = kinds
        self.faults: list[Invalid] = []

    def run(self) -> dict[str, Any]:
        for name in self.spec:
            if name not in FIELDS:
                self._fault(str(name), f"There is no field {shown(name)}.", list(FIELDS), name)
        task = self._word("task", catalogue.TASKS, default=None)
        target = self._target(task)
        return {
            "task": task,
            "target": target,
            "features": self._features(target),
            "missing_target": self._word("missing_target", MISSING_TARGET, default="fail"),
            "stratify": self._stratify(task),
            "split": self._split(),
            **{name: self._plain(name, rule) for name, rule in PLAIN.items()},
            **self._algorithm(task),
        }

    def _fault(self, field: str, message: str, limit: Any, got: Any) -> None:
        if isinstance(limit, list | tuple) and limit:
            message = f"{message} Allowed: {listed(limit)}."
        self.faults.append(Invalid(message, code="spec_invalid", field=field, limit=limit, got=shown(got)))

    def _word(self, field: str, allowed: tuple[str, ...], *, default: str | None) -> str | None:
        value = self.spec.get(field, default)
        if isinstance(value, str) and value in allowed:
            return value
        what = f"{field} is missing." if value is None else f"{field} was {shown(value)}."
        self._fault(field, what, allowed, value)
        return None

    def _plain(self, field: str, rule: Parameter) -> Value:
        try:
            value = rule.check(self.spec.get(field, rule.default))
        except Invalid as fault:
            self.faults.append(_renamed(fault, field))
            return None
        if field == "folds" and value == 1:
            self._fault(field, "folds must be 0 for none, or 2 to 10. It was 1.", "0 or 2 to 10", 1)
        return value

    def _split(self) -> str:
        value = self.spec.get("split") or ""
        if not isinstance(value, str) or len(value) > MAX_SPLIT_NAME:
            self._fault("split", f"split was {shown(value)}. It is the name of a saved split, or null.", None, value)
            return ""
        return value

    def _stratify(self, task: str | None) -> bool:
        value = self.spec.get("stratify", task == "classification")
        if not isinstance(value, bool):
            self._fault("stratify", f"stratify was {shown(value)}.", ("true", "false"), value)
            return False
        if value and task == "regression":
            self._fault(
                "stratify",
                "stratify keeps the shares of classes equal, and regression has no classes. Set it to false.",
                None,
                value,
            )
        return value

    def _target(self, task: str | None) -> str | None:
        target = self.spec.get("target")
        if not isinstance(target, str) or target not in self.kinds:
            what = "target is missing." if target is None else f"There is no column {shown(target)}."
            self._fault("target", what, list(self.kinds), target)
            return None
        kind = self.kinds[target]
        if task == "regression" and kind not in NUMERIC_KINDS:
            self._fault(
                "target",
                f'Column "{target}" holds {_kind_words(kind)}, and regression predicts numbers. '
                "Choose the task classification or a numeric column.",
                self._numeric_columns(),
                target,
            )
        if task == "classification" and kind == "datetime":
            self._fault(
                "target",
                f'Column "{target}" holds dates and times, which are no classes. Choose another column.',
                None,
                target,
            )
        return target

    def _numeric_columns(self) -> list[str]:
        return [name for name, kind in self.kinds.items() if kind in NUMERIC_KINDS]

    def _features(self, target: str | None) -> tuple[str, ...] | None:
        features = self.spec.get("features")
        if features is None:
            if target is not None and len(self.kinds) == 1:
                self._fault(
                    "features",
                    f'The data has no column besides the target "{target}".',
                    None,
                    features,
                )
            return None
        if not isinstance(features, list | tuple) or not all(isinstance(n, str) for n in features):
            self._fault(
                "features",
                f"features must be a list of column names, or null for all. It was {shown(features)}.",
                None,
                features,
            )
            return None
        self._check_names(features, target)
        return tuple(features)

    def _check_names(self, features: Sequence[str], target: str | None) -> None:
        if not features:
            self._fault("features", "features is empty. Choose at least one column.", None, features)
        unknown = [name for name in features if name not in self.kinds]
        if unknown:
            columns = [name for name in self.kinds if name != target]
            words = ", ".join(shown(name) for name in unknown[:NAMES_SHOWN])
            self._fault("features", f"There is no column {words}.", columns, unknown)
        if target in features:
            self._fault(
                "features",
                f'"{target}" is the target and cannot be a feature as well. Remove it from the features.',
                None,
                target,
            )
        twice = sorted({name for name in features if features.count(name) > 1})
        if twice:
            self._fault("features", f"Named more than once: {listed(twice)}.", None, twice)

    def _algorithm(self, task: str | None) -> dict[str, Any]:
        nothing: dict[str, Any] = {"algorithm": None, "hyper_parameters": {}}
        if task is None:
            return nothing
        names = tuple(entry.name for entry in catalogue.algorithms(task))
        algorithm = self._word("algorithm", names, default=None)
        if algorithm is None:
            return nothing
        values = self._hyper_parameters(catalogue.parameters(algorithm, task), algorithm)
        return {"algorithm": algorithm, "hyper_parameters": MappingProxyType(values)}

    def _hyper_parameters(self, declared: dict[str, Parameter], algorithm: str) -> dict[str, Value]:
        given = self.spec.get("hyper_parameters", {})
        if not isinstance(given, Mapping):
            self._fault(
                "hyper_parameters",
                f"hyper_parameters must be an object. It was {shown(given)}.",
                list(declared),
                given,
            )
            return {}
        for name in given:
            if name not in declared:
                allowed = [f"{rule.name} ({rule.allowed})" for rule in declared.values()]
                self._fault(
                    f"hyper_parameters.{name}"[:200],
                    f"{algorithm} has no parameter {shown(name)}.",
                    allowed,
                    name,
                )
        return {name: self._one(rule, given) for name, rule in declared.items()}

    def _one(self, rule: Parameter, given: Mapping[str, Any]) -> Value:
        try:
            return rule.check(given.get(rule.name, rule.default))
        except Invalid as fault:
            self.faults.append(fault)
            return None


def _renamed(fault: Invalid, field: str) -> Invalid:
    return Invalid(fault.message, code="spec_invalid", field=field, limit=fault.limit, got=fault.got)


def _kind_words(kind: str) -> str:
    return {"datetime": "dates and times", "boolean": "true and false"}.get(kind, "text")


def listed(names: Sequence[object]) -> str:
    """Return names as a phrase, cut after a dozen: ``a, b, c and 40 more``."""
    words = [str(name)[:100] for name in names[:NAMES_SHOWN]]
    rest = len(names) - len(words)
    return ", ".join(words) + (f" and {rest:,} more" if rest else "")


def read_number(text: str) -> object:
    """Return the number a person typed, else the text, for a form to check."""
    return number(text.strip())
