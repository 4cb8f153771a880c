"""One real fit by each framework with nothing but autologging."""

import os
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

pytestmark = [pytest.mark.autologging, pytest.mark.once, pytest.mark.mlflow3]
LUCK = np.random.default_rng(1)
FRAME = pd.DataFrame(LUCK.normal(size=(200, 3)), columns=["age", "fee", "months"])
LABELS = (FRAME["age"] + FRAME["fee"] > 0).astype(int)


@pytest.fixture
def fit(client, experiment):
    """Run a fit below an autologging run; return the run as the server knows it."""

    def ask(flavor, train, **options):
        mlflow.set_experiment(experiment_id=experiment)
        getattr(mlflow, flavor).autolog(log_models=True, silent=True, **options)
        try:
            with mlflow.start_run() as run:
                train()
        finally:
            getattr(mlflow, flavor).autolog(disable=True, silent=True)
        if noted := os.environ.get("CASES_RUNS"):  # whoever runs the cases opens their pages
            with Path(noted).open("a", encoding="utf-8") as file:
                file.write(f"{flavor} {run.info.run_id}\n")
        return client.get_run(run.info.run_id)

    return ask


def files(client, model_id):
    return {file.path for file in client.list_logged_model_artifacts(model_id)}


def the_model(client, run):
    (output,) = run.outputs.model_outputs
    model = client.get_logged_model(output.model_id)
    assert str(model.status) == "READY"
    assert model.source_run_id == run.info.run_id
    assert "MLmodel" in files(client, model.model_id)
    return model


def has_data(run):
    (found,) = [one for one in run.inputs.dataset_inputs if {tag.value for tag in one.tags} & {"train"}]
    assert found.dataset.schema
    assert found.dataset.digest


def case_scikit_learn(client, fit):
    from sklearn.ensemble import RandomForestClassifier

    run = fit(
        "sklearn",
        lambda: RandomForestClassifier(n_estimators=5, random_state=0).fit(FRAME, LABELS),
        log_input_examples=True,
        serialization_format="cloudpickle",
    )
    assert run.info.status == "FINISHED"
    assert run.data.params["n_estimators"] == "5"
    assert run.data.metrics["training_accuracy_score"] > 0.9
    assert run.data.tags["estimator_name"] == "RandomForestClassifier"
    assert {file.path for file in client.list_artifacts(run.info.run_id)} >= {
        "training_confusion_matrix.png",
        "estimator.html",
    }
    has_data(run)
    model = the_model(client, run)
    loaded = mlflow.pyfunc.load_model(f"models:/{model.model_id}")
    assert loaded.metadata.signature.inputs.input_names() == ["age", "fee", "months"]
    assert (loaded.predict(FRAME) == LABELS).mean() > 0.9


def case_scikit_learn_search(client, experiment, fit):
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV

    run = fit(
        "sklearn",
        lambda: GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2).fit(FRAME, LABELS),
        serialization_format="cloudpickle",
    )
    children = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{run.info.run_id}'")
    assert {child.data.params["C"] for child in children} == {"0.1", "1.0"}
    assert run.data.params["best_C"] in {"0.1", "1.0"}
    assert "cv_results.csv" in {file.path for file in client.list_artifacts(run.info.run_id)}


def case_lightgbm(client, fit):
    import lightgbm

    def train():
        data = lightgbm.Dataset(FRAME, LABELS)
        lightgbm.train(
            {"objective": "binary", "num_leaves": 7, "verbose": -1, "num_threads": 1},
            data,
            num_boost_round=5,
            valid_sets=[data],
        )

    run = fit("lightgbm", train, log_input_examples=True)
    assert run.data.params["num_leaves"] == "7"
    history = client.get_metric_history(run.info.run_id, "training-binary_logloss")
    assert [metric.step for metric in history] == list(range(5))
    assert {file.path for file in client.list_artifacts(run.info.run_id)} >= {"feature_importance_split.json"}
    has_data(run)
    model = the_model(client, run)
    assert "model.lgb" in files(client, model.model_id)
    assert mlflow.lightgbm.load_model(f"models:/{model.model_id}").num_trees() == 5


def case_xgboost(client, fit):
    import xgboost

    def train():
        data = xgboost.DMatrix(FRAME, LABELS)
        xgboost.train(
            {"objective": "binary:logistic", "max_depth": 2, "nthread": 1},
            data,
            num_boost_round=4,
            evals=[(data, "train")],
            verbose_eval=False,
        )

    run = fit("xgboost", train, log_input_examples=True)
    assert run.data.params["max_depth"] == "2"
    assert len(client.get_metric_history(run.info.run_id, "train-logloss")) == 4
    model = the_model(client, run)
    assert mlflow.xgboost.load_model(f"models:/{model.model_id}").num_boosted_rounds() == 4
    assert {file.path for file in client.list_artifacts(run.info.run_id)} >= {"feature_importance_weight.json"}


def case_pytorch(client, fit):
    import lightning
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    class Net(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(3, 1)

        def forward(self, x):
            return self.layer(x)

        def training_step(self, batch, _index):
            x, y = batch
            loss = torch.nn.functional.binary_cross_entropy_with_logits(self(x).squeeze(1), y)
            self.log("train_loss", loss, on_epoch=True, on_step=False)
            return loss

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), lr=0.05)

    torch.set_num_threads(1)
    x, y = torch.tensor(FRAME.to_numpy(), dtype=torch.float32), torch.tensor(LABELS.to_numpy(), dtype=torch.float32)

    def train():
        trainer = lightning.Trainer(
            max_epochs=3,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(Net(), DataLoader(TensorDataset(x, y), batch_size=50))

    run = fit("pytorch", train, checkpoint=False)
    assert run.data.params["optimizer_name"] == "Adam"
    assert run.data.params["lr"] == "0.05"
    assert [metric.step for metric in client.get_metric_history(run.info.run_id, "train_loss")] == [0, 1, 2]
    model = the_model(client, run)
    loaded = mlflow.pytorch.load_model(f"models:/{model.model_id}")
    assert loaded(x).shape == (200, 1)
    assert "model_summary.txt" in {file.path for file in client.list_artifacts(run.info.run_id)}
