"""Labels change the figures of their prediction's window: at once, once, whichever of the two came first."""

from datetime import timedelta

import pytest

from monitoring import history
from monitoring.drift import shape
from monitoring.models import LabelBucket, Monitor, Prediction, SegmentBucket
from monitoring.pipeline import ship
from monitoring.services import performance, predictions
from projects.permissions import Permission
from tests.factories.monitoring import NOON, make_monitor
from tests.factories.projects import make_project, system
from tests.monitoring import log

HOUR = timedelta(hours=1)


@pytest.fixture
def project(db):
    return make_project()


def label(project, **truths):
    items = [
        {"inference_id": key, "label": value, "observed_at": "2026-11-20T18:00:00Z"} for key, value in truths.items()
    ]
    return predictions.record_truth(system(project, Permission.PREDICTION_LABEL), project=project, items=items)


def figures(monitor, start=NOON, end=NOON + HOUR):
    monitor.refresh_from_db()
    return {name: held.value for name, held in history.measured(monitor, start, end).items()}


def answers(*given, **changes):
    """A line with these answers, named a, b, c."""
    names = [chr(ord("a") + place) for place in range(len(given))]
    return log.line(len(given), refs=names, y=list(given), s=[0.9 if one == "yes" else 0.2 for one in given],
                    p=[[0.5, 0.5]] * len(given), **changes)  # fmt: skip


def test_labels_count_in_the_window_of_their_predictions(project, tmp_path):
    monitor = make_monitor(project)
    log.write(tmp_path, [answers("yes", "yes", "no", "no")], log.header(project))
    ship.ship(tmp_path)
    assert label(project, a="yes", b="no", c="no").matched == 3
    found = figures(monitor)
    assert (found["performance.accuracy"], found["label.coverage"]) == (pytest.approx(2 / 3), 0.75)
    assert found["performance.recall"] == 1.0
    assert found["label.lag"] == pytest.approx(6, rel=0.08)
    assert figures(monitor, NOON + HOUR, NOON + 2 * HOUR) == {}
    assert (
        history.measured(monitor, NOON, NOON + HOUR)["performance.accuracy"].detail
        == "3 of 4 predictions have a label."
    )


def test_the_same_label_again_changes_nothing_and_a_correction_replaces(project, tmp_path):
    monitor = make_monitor(project)
    log.write(tmp_path, [answers("yes", "no")], log.header(project))
    ship.ship(tmp_path)
    for _again in range(2):
        label(project, a="no")
        assert figures(monitor)["performance.accuracy"] == 0.0
    label(project, a="yes")
    assert figures(monitor)["performance.accuracy"] == 1.0
    assert LabelBucket.objects.get().cells["n"] == 1


def test_a_label_that_came_first_waits_for_its_prediction(project, tmp_path):
    monitor = make_monitor(project)
    assert label(project, a="yes", b="yes").waiting == 2
    assert figures(monitor) == {}
    log.write(tmp_path, [answers("yes", "no")], log.header(project))
    ship.ship(tmp_path)
    assert figures(monitor)["performance.accuracy"] == 0.5


def test_an_id_that_moves_to_a_newer_prediction_takes_its_label_along(project, tmp_path):
    monitor = make_monitor(project)
    log.write(tmp_path, [answers("no")], log.header(project))
    ship.ship(tmp_path)
    label(project, a="yes")
    log.write(tmp_path, [answers("yes", at_ms=log.NOON_MS + 7_200_000)], log.header(project))
    ship.ship(tmp_path)
    label(project, a="yes")
    assert "performance.accuracy" not in figures(monitor)
    assert figures(monitor, NOON + 2 * HOUR, NOON + 3 * HOUR)["performance.accuracy"] == 1.0


def test_groups_are_counted_apart_with_and_without_labels(project, tmp_path):
    monitor = make_monitor(project)
    Monitor.objects.filter(pk=monitor.pk).update(sensitive_columns=["plan"])
    plans = ["a"] * 40 + ["b"] * 40
    given = ["yes"] * 20 + ["no"] * 20 + ["yes"] * 10 + ["no"] * 30
    monitor.reference[shape.PREDICTION] = {
        "kind": "categorical", "role": "prediction", "levels": ["no", "yes"], "counts": [60, 40, 0], "nulls": 0,
    }  # fmt: skip
    monitor.save(update_fields=["reference"])
    refs = [f"r{place}" for place in range(80)]
    line = log.line(80, refs=refs, y=given, x=[[40.0] * 80, plans, [True] * 80])
    log.write(tmp_path, [line], log.header(project))
    ship.ship(tmp_path)
    assert Prediction.objects.filter(segments={"plan": "a"}).count() == 40
    assert SegmentBucket.objects.filter(segment="plan=b", column="age").get().rows == 40
    found = figures(monitor)
    assert (found["fairness.selection_rate_difference"], found["fairness.selection_rate_ratio"]) == (0.25, 0.5)
    assert "fairness.accuracy_difference" not in found
    label(project, **{name: "yes" if place < 40 else "no" for place, name in enumerate(refs)})
    assert figures(monitor)["fairness.accuracy_difference"] == pytest.approx(0.75 - 0.5)


def test_repeated_rows_wrong_schemas_and_lost_lines_are_told(project, tmp_path):
    monitor = make_monitor(project)
    wrong = log.refusal() | {"code": "column_missing"}
    gap = {"kind": "gap", "source": 11, "at": log.NOON_MS, "since": log.NOON_MS, "rows": 7}
    same = log.line(4, x=[[40.0] * 4, ["a"] * 4, [True] * 4])
    log.write(tmp_path, [same, wrong, log.refusal(), gap], log.header(project))
    ship.ship(tmp_path)
    found = history.measured(monitor, NOON, NOON + HOUR)
    assert found["quality.duplicates"].value == 0.75
    assert (found["quality.schema"].value, found["quality.schema"].detail) == (1 / 3, "1 with a missing column")
    assert found["log.dropped"].value == 7


def test_cells_change_only_with_the_labels_themselves():
    with pytest.raises(RuntimeError, match="apply needs the transaction"):
        performance.apply([])


def test_sample_of_rows_keeps_counts_exact_when_parts_are_added():
    starts = (0, 0, 5000)
    keys = [{f"{key:06x}": 1 for key in range(first, first + 1000)} for first in starts]
    parts = [{"counts": [1000], "nulls": 0, "keys": shape.smallest_keys(held)} for held in keys]
    whole = shape.merge(parts)
    assert len(whole["keys"]) == 512
    assert shape.repeated_share(whole) == 0.5
    assert shape.repeated_share({"counts": [0], "nulls": 0}) is None
