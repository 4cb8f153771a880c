"""CUSUM by simulation: few false alarms in quiet series, a step found within days."""

import numpy as np

from monitoring.drift import cusum

DAYS, QUIET = 120, 300
WEEK = np.array([0.0, 0.2, 0.3, 0.2, 0.0, -0.4, -0.3])


def quiet(seed):
    chance = np.random.default_rng(seed)
    series = 10 + WEEK[np.arange(DAYS) % 7] + chance.normal(0, 1, DAYS)
    spikes = chance.random(DAYS) < 0.02
    return np.where(spikes, series + chance.choice([-1, 1], DAYS) * chance.uniform(3, 6, DAYS), series)


def found(series):
    return next((place for place, state in enumerate(cusum.run(list(series))) if state and state.changed), None)


def test_few_quiet_series_raise_an_alarm_in_92_days():
    assert sum(found(quiet(seed)) is not None for seed in range(QUIET)) / QUIET <= 0.05


def test_a_step_of_two_deviations_is_always_found_soon():
    delays = []
    for seed in range(100):
        series = quiet(seed)
        series[60:] += 2.5
        place = found(series)
        assert place is not None
        delays.append(place - 60)
    assert np.median(delays) <= 5


def test_baseline_says_nothing_and_a_step_tells_its_way_and_its_start():
    flat = [1.0] * 28
    assert cusum.latest([]) is None
    assert cusum.latest(flat) is None
    states = cusum.run([*flat, 1.0, 2.0, 2.0, 2.0])
    assert states[28] == cusum.Cusum(0.0, True, 28)
    # each point is clipped at 4 and loses the slack of 0.75
    assert states[31] == cusum.Cusum(3 * 3.25, True, 29)
    fallen = cusum.latest([*flat, 0.0, 0.0, 0.0])
    assert (fallen.rising, fallen.changed) == (False, True)
