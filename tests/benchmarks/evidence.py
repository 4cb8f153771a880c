"""Evidence of a promotion over 300,000 rows: two trained models, 1,000 bootstraps, segments, groups, time, importance.

The rival is what one would write with scikit-learn: draw rows, call its metrics on both models, 1,000 times. A few of
its rounds are timed in the same run, and the rest is reckoned from them.
"""

import resource
import time

import numpy as np
import pandas as pd
from sklearn import metrics
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from deployments.proof.evaluation import TARGET, Asked, evaluate
from tests.benchmarks.budgets import settle, verdict

ROWS, ROUNDS, BUDGET_SECONDS = 300_000, 1000, 60
NAIVE_ROUNDS = 3
NUMBERS = [f"x{at}" for at in range(8)]
WORDS = ["plan", "region", "sex", "channel"]
COMPARED = ["roc_auc", "accuracy", "balanced_accuracy", "f1", "precision", "recall", "average_precision", "log_loss"]


def table(rows: int, seed: int) -> pd.DataFrame:
    """Eight numbers and four words, two of which matter."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame({name: random.normal(size=rows) for name in NUMBERS})
    for place, name in enumerate(WORDS):
        frame[name] = random.choice([f"{name} {at}" for at in range(3 + place)], rows)
    score = frame["x0"] + 0.5 * frame["x1"] * frame["x2"] + (frame["plan"] == "plan 1") + random.normal(size=rows)
    return frame.assign(**{TARGET: np.where(score > 0.8, "yes", "no")})


def models() -> tuple[Pipeline, Pipeline]:
    """Return a candidate of trees and a linear model that is in production."""
    frame = table(20_000, 1)
    trees = ColumnTransformer([("n", "passthrough", NUMBERS), ("w", OrdinalEncoder(), WORDS)])
    line = ColumnTransformer([("n", StandardScaler(), NUMBERS), ("w", OneHotEncoder(), WORDS)])
    made = (
        Pipeline([("prepare", trees), ("model", HistGradientBoostingClassifier(max_iter=50))]),
        Pipeline([("prepare", line), ("model", LogisticRegression())]),
    )
    for model in made:
        model.fit(frame[NUMBERS + WORDS], frame[TARGET])
    return made


def naive(frame: pd.DataFrame, both: tuple[Pipeline, Pipeline]) -> float:
    """Seconds of one round: draw rows, then scikit-learn's eight metrics for two models."""
    truth = (frame[TARGET] == "yes").to_numpy()
    scores = [model.predict_proba(frame[NUMBERS + WORDS])[:, 1] for model in both]
    random, start = np.random.default_rng(1), time.perf_counter()
    for _ in range(NAIVE_ROUNDS):
        rows = random.integers(0, len(truth), len(truth))
        for score in scores:
            there, said, share = truth[rows], score[rows] > 0.5, score[rows]
            for of in (metrics.accuracy_score, metrics.balanced_accuracy_score, metrics.f1_score,
                       metrics.precision_score, metrics.recall_score):  # fmt: skip
                of(there, said)
            for of in (metrics.roc_auc_score, metrics.average_precision_score, metrics.log_loss):
                of(there, share)
    return (time.perf_counter() - start) / NAIVE_ROUNDS


def main() -> None:
    """Print the time of the whole evidence, its phases, the peak of memory, and the ratio to the rival."""
    frame, (candidate, production) = table(ROWS, 2), models()
    columns = NUMBERS + WORDS
    asked = Asked("classification", COMPARED, columns, 1, sensitive=["sex"], segments=["x0"], rounds=ROUNDS)
    phases: dict[str, float] = {}
    last = ["", time.perf_counter()]

    def on_phase(phase: str, _share: float) -> None:
        now = time.perf_counter()
        phases[last[0]] = phases.get(last[0], 0.0) + now - last[1]
        last[:] = [phase, now]

    start, processor = time.perf_counter(), time.process_time()
    found = evaluate(frame, candidate, production, asked, on_phase=on_phase)
    took, used = time.perf_counter() - start, time.process_time() - processor
    for name, seconds in phases.items():
        if name:
            print(f"  {name}: {seconds:.1f} s")
    one = naive(frame, (candidate, production))
    print(f"{ROWS:,} rows, {ROUNDS:,} bootstraps, {len(found.segments)} segments:")
    print(f"  {took:.1f} s, budget {BUDGET_SECONDS} s{verdict('evidence, s', took, BUDGET_SECONDS)}")
    print(f"  {used:.1f} s of processor, peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
    print(f"scikit-learn in a loop, whole rows only: {one * ROUNDS:.0f} s, {one * ROUNDS / took:.1f} times as long")
    settle()


if __name__ == "__main__":
    main()
