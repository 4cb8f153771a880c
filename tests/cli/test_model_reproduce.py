"""``mlportal model reproduce`` against a socket that answers as the portal does."""

import json

import pytest

from mlportal.cli import main
from mlportal.cli.errors import FAILED, REFUSED
from tests.cli.test_papers import signed_in  # noqa: F401 a fixture
from tests.cli.test_rest import serve  # noqa: F401 a fixture

ROW = {
    "id": 5, "state": "succeeded", "phase": "", "failure": "", "verdict": "not_reproduced", "job": 9,
    "training": "succeeded",
}  # fmt: skip
FOUND = {
    "certificate": {
        "verdict": "not_reproduced", "failure": "",
        "files": [{"path": "metrics.json", "same": False}, {"path": "model/model.skops", "same": True}],
        "metrics": [{"metric": "auc", "recorded": 0.8, "again": 0.7, "difference": 0.1, "within": False}],
        "predictions": {"max_difference": 0.25, "unit": "probability"},
        "differences": [{"part": "package numpy", "recorded": "1.0", "again": "2.0"}],
    },
    "signature": "c2ln", "signed_by": "a" * 16, "key": "PEM",
}  # fmt: skip


def test_what_differs_is_named_and_the_certificate_kept(signed_in, tmp_path, capsys):  # noqa: F811
    server = signed_in((202, ROW | {"state": "queued", "verdict": ""}), (200, ROW), (200, FOUND))
    words = ["model", "reproduce", "churn", "3", "--metric-tolerance", "0.01", "-o", "c.json"]
    assert main(words) == FAILED
    assert json.loads((tmp_path / "c.json").read_text()) == FOUND
    said = capsys.readouterr().out
    for line in (
        "churn v3: not reproduced.", "file differs: metrics.json", "metric auc: 0.8 recorded, 0.7 again",
        "predictions differ at most 0.25 (probability)", "package numpy: 1.0 recorded, 2.0 again",
    ):  # fmt: skip
        assert line in said
    assert "model.skops" not in said
    base = "/api/v1/projects/churn/models/churn/versions/3/reproductions/"
    assert [(row[0], row[1]) for row in server.asked] == [
        ("POST", base), ("GET", f"{base}5/"), ("GET", f"{base}5/certificate/"),
    ]  # fmt: skip
    assert main(words) == REFUSED
    assert "never overwrites" in capsys.readouterr().err


@pytest.mark.parametrize("verdict", ["reproduced", "within_tolerance"])
def test_a_good_verdict_ends_well(signed_in, verdict):  # noqa: F811
    found = {**FOUND, "certificate": FOUND["certificate"] | {"verdict": verdict}}
    signed_in((202, ROW | {"verdict": verdict}), (200, ROW | {"verdict": verdict}), (200, found))
    assert main(["model", "reproduce", "churn", "3", "--json"]) == 0


def test_a_comparison_that_failed_has_no_certificate(signed_in, capsys):  # noqa: F811
    signed_in((202, ROW), (200, ROW | {"state": "failed", "failure": "churn v3 is damaged."}))
    assert main(["model", "reproduce", "churn", "3"]) == FAILED
    assert "reproduction 5 failed: churn v3 is damaged." in capsys.readouterr().err
