"""What of a run that a client logged the portal can train itself: the address of a launch form with its parameters."""

from __future__ import annotations

from urllib.parse import urlencode

from django.urls import reverse

from experiments.forms import PREFIX
from experiments.queries import RunFacts
from experiments.training import catalogue

# What scikit-learn's autologging names in a tag, and the entry of the catalogue that builds the same.
_ESTIMATORS = {
    "LogisticRegression": ("logistic_regression", "classification"), "Ridge": ("ridge", "regression"),
    "RandomForestClassifier": ("random_forest", "classification"),
    "RandomForestRegressor": ("random_forest", "regression"),
    "ExtraTreesClassifier": ("extra_trees", "classification"), "ExtraTreesRegressor": ("extra_trees", "regression"),
    "HistGradientBoostingClassifier": ("hist_gradient_boosting", "classification"),
    "HistGradientBoostingRegressor": ("hist_gradient_boosting", "regression"),
    "KNeighborsClassifier": ("k_neighbors", "classification"), "KNeighborsRegressor": ("k_neighbors", "regression"),
}  # fmt: skip
_SPELT = {("class_weight", "None"): "none", ("max_features", "1.0"): "all"}


def address(facts: RunFacts) -> str:
    """Launch form with the run's estimator and those of its parameters that the catalogue takes; empty if none."""
    algorithm, task = _ESTIMATORS.get(facts.tags.get("estimator_name", ""), ("", ""))
    if not algorithm:
        return ""
    run, taken = facts.run, _taken(facts, algorithm, task)
    asked = {"task": task, "algorithm": algorithm, "experiment": run.experiment.name, "name": run.name, **taken}
    version = run.dataset_version
    if version is not None:
        asked["dataset"] = f"{version.dataset.name}@{version.number}"
    return f"{reverse('experiments:job-launch', args=[run.project.slug])}?{urlencode(asked)}"


def _taken(facts: RunFacts, algorithm: str, task: str) -> dict[str, str]:
    out = {}
    for name, rule in catalogue.parameters(algorithm, task).items():
        said = facts.params.get(name)
        if said is None:
            continue
        text = _SPELT.get((name, said), "" if said == "None" and rule.empty else said)
        out[PREFIX + name] = text.lower() if rule.kind == "boolean" else text
    return out
