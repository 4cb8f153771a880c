"""Guards of retrainings, as a table: what is seen, and which guard is the first to hold it back."""

from dataclasses import replace

import pytest

from deployments.proof.retraining import GUARDS, Situation, first_held

FREE = Situation(owner="otto", live="v1", alert_version="v1")
LATER = {"is_first": False, "trained_rows": 500}
TABLE = [
    ({}, "", ""),
    ({"stop_reason": "2 failed"}, "stopped", "stopped: 2 failed"),
    ({"owner_may": False}, "owner", "otto may not run automations any more; configure it again"),
    ({"live": "", "alert_version": ""}, "no_version", "the endpoint has no live version"),
    ({"alert_version": "v9"}, "other_version", "the alert is about v9, but v1 is live"),
    ({"silenced": True}, "silenced", "the alert is silenced"),
    ({"severity": "medium", "least_severity": "high"}, "severity", "the alert is medium; it starts from high"),
    ({"severity": "high", "least_severity": "high"}, "", ""),
    ({"training": True}, "active", "another retraining of this model is under way"),
    ({"hours_since": 23.9}, "cooldown", "within the cooldown of 24 h"),
    ({"hours_since": 24.0}, "", ""),
    ({"waiting": True}, "waiting", "the request of an earlier retraining waits for a decision"),
    ({"runs": 3, "most_runs": 3}, "runs", "the budget of 3 retrainings this month is spent"),
    ({"runs": 3, "most_runs": None}, "", ""),
    ({"cpu_minutes": 61.2, "most_cpu_minutes": 60}, "cpu", "61 of 60 CPU minutes of this month are spent"),
    ({"cpu_minutes": 59.0, "most_cpu_minutes": 60}, "", ""),
    ({"rows_rule": "after_first", "new_rows": 0, "trained_rows": 500}, "", ""),
    ({"rows_rule": "after_first", "new_rows": 49, **LATER}, "rows", "49 new labelled rows, 50 are needed"),
    ({"rows_rule": "after_first", "new_rows": 50, **LATER}, "", ""),
    ({"rows_rule": "required", "new_rows": 0, "trained_rows": 0}, "rows", "0 new labelled rows, 1 are needed"),
    (
        {"rows_rule": "required", "new_rows": 999, "trained_rows": 10**6},
        "rows", "999 new labelled rows, 1,000 are needed",
    ),
    ({"rows_rule": "ignored", "new_rows": 0, **LATER}, "", ""),
    ({"silenced": True, "training": True, "hours_since": 1.0}, "silenced", "the alert is silenced"),
]  # fmt: skip


@pytest.mark.parametrize(("seen", "guard", "reason"), TABLE)
def test_first_guard_that_holds(seen, guard, reason):
    held = first_held(replace(FREE, **seen))
    assert (held.guard, held.reason) == (guard, reason) if guard else held is None


def test_the_table_names_every_guard():
    assert {guard for _seen, guard, _reason in TABLE if guard} == {code for code, _holds, _words in GUARDS}
