"""The measured pipeline: 12 numeric columns imputed and scaled, 8 one-hot, logistic regression."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, PolynomialFeatures, StandardScaler

from mlportal.lib import modelfile

NUMBERS = [f"n{place}" for place in range(12)]
LEVELS = [f"level-{place}" for place in range(8)]
CATEGORIES = [f"c{place}" for place in range(8)]
DOCUMENT = {
    "task": "classification",
    "target": "y",
    "inputs": [
        *({"name": name, "kind": "numeric", "nullable": True} for name in NUMBERS),
        *({"name": name, "kind": "categorical", "nullable": True, "categories": LEVELS} for name in CATEGORIES),
    ],
    "outputs": [{"name": "prediction", "kind": "integer"}, {"name": "probability", "classes": [0, 1]}],
}


def write(folder: Path, *, compiled: bool) -> None:
    """Train and write; without ``compiled`` a step that changes nothing keeps the pipeline as it is."""
    folder.mkdir(parents=True)
    chance = np.random.default_rng(0)
    frame = pd.DataFrame({name: chance.normal(size=3000) for name in NUMBERS})
    for name in CATEGORIES:
        frame[name] = chance.choice(LEVELS, 3000).astype(object)
    target = (frame["n0"] + frame["n1"] + (frame["c0"] == LEVELS[0]) + chance.normal(size=3000) > 0).astype(int)
    plain = [] if compiled else [PolynomialFeatures(degree=1, include_bias=False)]
    prepare = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), *plain, StandardScaler()), NUMBERS),
            ("categories", OneHotEncoder(handle_unknown="ignore"), CATEGORIES),
        ]
    )
    model = Pipeline([("prepare", prepare), ("model", LogisticRegression(max_iter=300))]).fit(frame, target)
    modelfile.dump(model, folder / "model.skops")
    head = frame.head(500)
    head.assign(__prediction__=model.predict(head)).to_parquet(folder / "reference.parquet", index=False)
    (folder / "example.json").write_text(json.dumps(head.head(3).to_dict("records")))


def record(folder: Path) -> dict:
    """One row to send."""
    return json.loads((folder / "example.json").read_text())[0]
