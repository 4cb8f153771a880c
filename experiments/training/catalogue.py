"""What can be trained: tasks, metrics, phases and algorithms with their parameters.

Light on purpose: nothing scientific is imported, so forms, the REST API and the
command line may use it. `experiments.training.estimators` builds the estimators.
"""

from dataclasses import dataclass
from typing import Final

from experiments.training import declared
from experiments.training.parameters import Parameter
from mlportal.lib.errors import Invalid

TASKS: Final = ("classification", "regression")

METRICS: Final[dict[str, dict[str, str]]] = {
    "accuracy": {"better": "higher", "label": "Accuracy"},
    "balanced_accuracy": {"better": "higher", "label": "Balanced accuracy"},
    "f1": {"better": "higher", "label": "F1"},
    "precision": {"better": "higher", "label": "Precision"},
    "recall": {"better": "higher", "label": "Recall"},
    "roc_auc": {"better": "higher", "label": "ROC AUC"},
    "average_precision": {"better": "higher", "label": "Average precision"},
    "log_loss": {"better": "lower", "label": "Log loss"},
    "rmse": {"better": "lower", "label": "RMSE"},
    "mae": {"better": "lower", "label": "MAE"},
    "r2": {"better": "higher", "label": "R²"},
    "median_ae": {"better": "lower", "label": "Median absolute error"},
}
TASK_METRICS: Final[dict[str, tuple[str, ...]]] = {
    "classification": tuple(METRICS)[:8],
    "regression": tuple(METRICS)[8:],
}
PRIMARY_METRIC: Final = {"classification": "roc_auc", "regression": "rmse"}

# Label and share of the whole time, from measured runs on the bundled samples.
PHASES: Final[dict[str, tuple[str, float]]] = {
    "load": ("Load data", 0.10),
    "prepare": ("Check and split", 0.05),
    "cross_validate": ("Cross-validate", 0.35),
    "train": ("Train", 0.30),
    "evaluate": ("Evaluate", 0.15),
    "save": ("Save artifacts", 0.05),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Algorithm:
    """One entry of the catalogue.

    Attributes
    ----------
    name, label, summary : str
        Name in a specification, name for people, one sentence.
    parameters : dict of str to tuple of Parameter
        Declared parameters by task; the keys are the tasks it can do.
    scaled : bool
        Whether numeric columns are standardised first.
    ordinal : bool
        Whether categories become one whole number each instead of one column each.
    grown_by : str
        Parameter that can grow step by step while training, else empty.
    """

    name: str
    label: str
    summary: str
    parameters: dict[str, tuple[Parameter, ...]]
    scaled: bool = False
    ordinal: bool = False
    grown_by: str = ""

    @property
    def tasks(self) -> tuple[str, ...]:
        """Tasks this algorithm can do."""
        return tuple(self.parameters)

    def as_json(self) -> dict[str, object]:
        """Return the declaration as JSON values, as the catalogue endpoint shows it."""
        return {
            "name": self.name,
            "label": self.label,
            "summary": self.summary,
            "tasks": list(self.tasks),
            "parameters": {
                task: [parameter.as_json() for parameter in parameters] for task, parameters in self.parameters.items()
            },
        }


_LIST = (
    Algorithm(
        name="logistic_regression",
        label="Logistic regression",
        summary="A linear model of the odds of each class. Fast and easy to explain.",
        parameters={
            "classification": (
                declared.regularisation(1_000_000),
                declared.iterations(1_000),
                declared.intercept(),
                declared.weights(),
            )
        },
        scaled=True,
    ),
    Algorithm(
        name="ridge",
        label="Ridge regression",
        summary="A linear model with a penalty on large weights. Fast and easy to explain.",
        parameters={
            "regression": (
                Parameter(
                    name="alpha",
                    kind="number",
                    default=1.0,
                    low=0,
                    high=1_000_000,
                    step=0.1,
                    help="Strength of the penalty. Higher values give a simpler model.",
                ),
                declared.intercept(),
            )
        },
        scaled=True,
    ),
    Algorithm(
        name="random_forest",
        label="Random forest",
        summary="Many trees on random rows and columns, averaged. Strong without tuning.",
        parameters={
            "classification": (*declared.forest("sqrt"), declared.weights()),
            "regression": declared.forest("all"),
        },
        grown_by="n_estimators",
    ),
    Algorithm(
        name="extra_trees",
        label="Extra trees",
        summary="Like a random forest with random split points. Faster, often as good.",
        parameters={
            "classification": (*declared.forest("sqrt"), declared.weights()),
            "regression": declared.forest("all"),
        },
        grown_by="n_estimators",
    ),
    Algorithm(
        name="hist_gradient_boosting",
        label="Histogram gradient boosting",
        summary="Trees that correct each other. Usually the best on tables, handles many rows.",
        parameters={
            "classification": (*declared.boosting(), declared.weights()),
            "regression": declared.boosting(),
        },
        ordinal=True,
        grown_by="max_iter",
    ),
    Algorithm(
        name="k_neighbors",
        label="Nearest neighbours",
        summary="Answers like the most similar rows seen. Slow on many rows.",
        parameters={"classification": declared.neighbours(), "regression": declared.neighbours()},
        scaled=True,
    ),
    Algorithm(
        name="linear_svm",
        label="Linear support vector machine",
        summary="The widest margin between classes, with calibrated probabilities.",
        parameters={
            "classification": (declared.regularisation(10_000), declared.iterations(5_000), declared.weights()),
            "regression": (
                declared.regularisation(10_000),
                declared.iterations(5_000),
                Parameter(
                    name="epsilon",
                    kind="number",
                    default=0.0,
                    low=0,
                    high=1_000_000,
                    step=0.1,
                    help="Errors smaller than this cost nothing.",
                ),
            ),
        },
        scaled=True,
    ),
    Algorithm(
        name="dummy",
        label="Baseline",
        summary="Ignores the features. Every real model has to beat it.",
        parameters={
            "classification": declared.baseline("prior", ("prior", "most_frequent", "uniform")),
            "regression": declared.baseline("mean", ("mean", "median")),
        },
    ),
)
ALGORITHMS: Final[dict[str, Algorithm]] = {entry.name: entry for entry in _LIST}


def algorithms(task: str) -> tuple[Algorithm, ...]:
    """Return the algorithms that can do `task`, in the order a form shows them."""
    return tuple(entry for entry in _LIST if task in entry.parameters)


def parameters(algorithm: str, task: str) -> dict[str, Parameter]:
    """Return the parameters of an algorithm for a task, by name.

    Raises
    ------
    Invalid
        When there is no such algorithm, or it cannot do the task.
    """
    names = [entry.name for entry in algorithms(task)]
    if algorithm not in names:
        raise Invalid(
            f"There is no algorithm {algorithm!r} for {task}. Allowed: {', '.join(names)}.",
            code="algorithm_unknown",
            field="algorithm",
            limit=names,
            got=algorithm,
        )
    return {entry.name: entry for entry in ALGORITHMS[algorithm].parameters[task]}


def better(metric: str) -> str:
    """Return ``"higher"`` or ``"lower"`` for a metric key.

    Prefixes such as ``cv/`` or ``test/`` are ignored; an unknown key is ``"higher"``.
    """
    key = metric.rsplit("/", 1)[-1]
    return METRICS[key]["better"] if key in METRICS else "higher"


def phase_plan(*, folds: int) -> list[tuple[str, str, float]]:
    """Return (name, label, share of the whole) of the phases a training goes through."""
    wanted = {name: entry for name, entry in PHASES.items() if folds or name != "cross_validate"}
    whole = sum(share for _, share in wanted.values())
    return [(name, label, share / whole) for name, (label, share) in wanted.items()]
