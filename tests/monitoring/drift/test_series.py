"""Values judged against their own past."""

import random

import pytest

from monitoring.drift.evaluate import Facts, Limits, Question
from monitoring.drift.series import Comparison, ask, compared


@pytest.mark.parametrize(
    ("comparison", "values", "result"),
    [
        (Comparison(), [1.0, 4.0], 4.0),
        (Comparison("static", 2), [1.0, 3.0, 5.0], 4.0),
        (Comparison("static", 3), [1.0, 3.0], None),
        (Comparison("vs_previous"), [2.0, 3.0], 0.5),
        (Comparison("vs_previous", 2), [1.0, 1.0, 2.0, 4.0], 2.0),
        (Comparison("vs_previous"), [2.0], None),
        (Comparison("vs_previous"), [0.0, 0.0], 0.0),
        (Comparison("vs_previous"), [0.0, 0.5], 1e6),
        (Comparison("vs_reference"), [2.0] * 28, None),
        (Comparison("vs_reference"), [2.0] * 28 + [9.0, 1.0], -0.5),
        (Comparison("cusum"), [2.0] * 28, None),
    ],
)
def test_value_that_is_held_against_the_limits(comparison, values, result):
    assert compared(comparison, values) == (None if result is None else pytest.approx(result))


def test_cusum_finds_a_step_in_days_and_keeps_quiet_otherwise():
    draw = random.Random(11)
    alarms, delays = 0, []
    for _series in range(40):
        quiet = [draw.gauss(10, 1) for _day in range(120)]
        alarms += any(compared(Comparison("cusum"), quiet[: day + 1]) >= 8 for day in range(28, 120))
        shifted = quiet[:60] + [value + 2 for value in quiet[60:]]
        delays.append(
            next(day for day in range(28, 120) if compared(Comparison("cusum"), shifted[: day + 1]) >= 8) - 60
        )
    assert alarms <= 40 * 0.15  # a median of 28 days is not the truth: some baselines are off
    assert sorted(delays)[20] <= 8


def test_cusum_of_falls_ignores_rises():
    values = [10.0 + (number % 3) for number in range(28)] + [30.0] * 10
    assert compared(Comparison("cusum"), values, rising=False) == 0.0
    assert compared(Comparison("cusum"), values) > 8


def facts(latency_ms, requests=100):
    return Facts({"endpoint": "a"}, [], {}, {}, requests, requests, 0, latency_p99_us=latency_ms * 1000)


def test_rule_on_a_change_needs_the_windows_before():
    question = Question("latency.p99_ms", Limits("above", 0.5, 1.0))
    assert ask(question, Comparison("vs_previous"), [facts(100)]).outcome == "too_few"
    found = ask(question, Comparison("vs_previous"), [facts(100), facts(220)])
    assert (found.outcome, found.samples[0].signal, found.samples[0].limit) == ("breach", "critical", 1.0)
    assert found.samples[0].title == "99th percentile latency is 220 ms, +120% against the windows before"


def test_no_data_stays_no_data_whatever_was_before():
    question = Question("error.rate", Limits("above", 0.5, 1.0))
    assert ask(question, Comparison("static", 2), [facts(1), facts(1, requests=0)]).outcome == "no_data"
