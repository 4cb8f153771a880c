"""The measured pipelines: 12 numeric columns imputed and scaled, 8 one-hot; logistic regression or a forest of 100."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, PolynomialFeatures, StandardScaler

NUMBERS = [f"n{place}" for place in range(12)]
LEVELS = [f"level-{place}" for place in range(8)]
CATEGORIES = [f"c{place}" for place in range(8)]
KINDS = ("linear", "forest", "plain")
TUNED = {"forest": {"n_jobs": 1}}
DOCUMENT = {
    "task": "classification",
    "target": "y",
    "inputs": [
        *({"name": name, "kind": "numeric", "nullable": True} for name in NUMBERS),
        *({"name": name, "kind": "categorical", "nullable": True, "categories": LEVELS} for name in CATEGORIES),
    ],
    "outputs": [{"name": "prediction", "kind": "integer"}, {"name": "probability", "classes": [0, 1]}],
}


def fit(kind: str) -> tuple[Pipeline, pd.DataFrame]:
    """Train a pipeline and give held-out rows; ``plain`` has a step that changes nothing and has no compiled form."""
    chance = np.random.default_rng(0)
    frame = pd.DataFrame({name: chance.normal(size=3000) for name in NUMBERS})
    for name in CATEGORIES:
        frame[name] = chance.choice(LEVELS, 3000).astype(object)
    target = (frame["n0"] + frame["n1"] + (frame["c0"] == LEVELS[0]) + chance.normal(size=3000) > 0).astype(int)
    extra = [PolynomialFeatures(degree=1, include_bias=False)] if kind == "plain" else []
    prepare = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), *extra, StandardScaler()), NUMBERS),
            ("categories", OneHotEncoder(handle_unknown="ignore"), CATEGORIES),
        ]
    )
    estimator = RandomForestClassifier(100, max_depth=12, random_state=0) if kind == "forest" else LogisticRegression()
    model = Pipeline([("prepare", prepare), ("model", estimator.set_params(**TUNED.get(kind, {"max_iter": 300})))])
    return model.fit(frame, target), frame.head(500)


def write(folder: Path, kind: str) -> None:
    """Train and write as the trainer does."""
    from mlportal.lib import modelfile

    folder.mkdir(parents=True)
    model, head = fit(kind)
    modelfile.dump(model, folder / "model.skops")
    head.assign(__prediction__=model.predict(head)).to_parquet(folder / "reference.parquet", index=False)
    (folder / "example.json").write_text(json.dumps(head.head(3).to_dict("records")))


def record(folder: Path) -> dict:
    """One row to send."""
    return json.loads((folder / "example.json").read_text())[0]
