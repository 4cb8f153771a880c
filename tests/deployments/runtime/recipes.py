"""Small fitted pipelines of the shape our trainer writes, and their reference rows."""

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from deployments.runtime import signature as signatures

CITIES = ["bergen", "oslo", "paris", "rome"]
PLANS = [f"plan-{number}" for number in range(60)]
DOCUMENT = {
    "task": "classification",
    "target": "left",
    "inputs": [
        {"name": "age", "kind": "numeric", "nullable": True, "min": 18.0, "max": 90.0},
        {"name": "visits", "kind": "integer", "nullable": False},
        {"name": "member", "kind": "boolean", "nullable": True},
        {"name": "city", "kind": "categorical", "nullable": True, "categories": CITIES},
        {"name": "plan", "kind": "categorical", "nullable": False},
    ],
    "outputs": [{"name": "prediction", "kind": "categorical"}, {"name": "probability", "classes": ["no", "yes"]}],
}
SIGNATURE = signatures.parse(DOCUMENT)


def rows(count: int, seed: int = 0) -> pd.DataFrame:
    """Raw feature columns as the trainer types them: floats with NaN, texts with NaN."""
    chance = np.random.default_rng(seed)
    age = chance.normal(45, 12, count)
    age[chance.random(count) < 0.1] = np.nan
    member = (chance.random(count) < 0.6).astype(float)
    member[chance.random(count) < 0.05] = np.nan
    city = chance.choice(CITIES, count).astype(object)
    city[chance.random(count) < 0.05] = np.nan
    weights = np.linspace(5, 0.05, len(PLANS))
    plan = chance.choice(PLANS, count, p=weights / weights.sum()).astype(object)
    return pd.DataFrame(
        {"age": age, "visits": chance.poisson(4, count).astype(float), "member": member, "city": city, "plan": plan}
    )


def labels(frame: pd.DataFrame, seed: int = 1) -> np.ndarray:
    """A target that depends on the columns."""
    noise = np.random.default_rng(seed).normal(0, 1, len(frame))
    pull = frame["age"].fillna(45) / 20 - frame["visits"] / 4 + (frame["city"] == "rome") + noise
    return np.where(pull > 1.3, "yes", "no").astype(object)


def pipeline(estimator, *, scaled: bool = True, ordinal: bool = False) -> Pipeline:
    """The trainer's preparation in front of an estimator."""
    imputer = SimpleImputer(strategy="median", keep_empty_features=True)
    numbers = make_pipeline(imputer, StandardScaler()) if scaled else make_pipeline(imputer)
    codes = OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-1, max_categories=50
    )
    categories = codes if ordinal else OneHotEncoder(handle_unknown="ignore", max_categories=50)
    prepare = ColumnTransformer(
        [
            ("numbers", numbers, ["age", "visits"]),
            ("flags", SimpleImputer(strategy="median", keep_empty_features=True), ["member"]),
            ("categories", categories, ["city", "plan"]),
        ]
    )
    return Pipeline([("prepare", prepare), ("model", estimator)])


def columns(frame: pd.DataFrame) -> signatures.Columns:
    """Rows as a request would bring them."""
    out = []
    for column in SIGNATURE.columns:
        values = [None if pd.isna(value) else value for value in frame[column.name].tolist()]
        if column.kind == "boolean":
            values = [None if value is None else bool(value) for value in values]
        if column.kind == "integer":
            values = [int(value) for value in values]
        out.append(values)
    return out


def records(frame: pd.DataFrame) -> list[dict]:
    """Rows as JSON records."""
    return [dict(zip(SIGNATURE.names, values, strict=True)) for values in zip(*columns(frame), strict=True)]
