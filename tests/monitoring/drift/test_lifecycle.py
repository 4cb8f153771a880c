"""Every row of the state table of serving-monitoring.md, 6.2."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.drift.lifecycle import Life, Move, Policy, resolve_by_hand, step

ONCE = Policy(needed=1, of=1, keep=1)
TWO_OF_THREE = Policy(needed=2, of=3, keep=1)
ROWS = [
    # from, signal, policy -> state, moves
    (Life(), "warn", TWO_OF_THREE, "pending", [("inactive", "pending", "")]),
    (Life(), "clear", TWO_OF_THREE, "inactive", []),
    (Life(), "between", TWO_OF_THREE, "inactive", []),
    (Life("pending", "warn", (1,)), "warn", TWO_OF_THREE, "firing", [("pending", "firing", "trigger")]),
    (Life("pending", "warn", (1, 0)), "warn", TWO_OF_THREE, "firing", [("pending", "firing", "trigger")]),
    (Life("pending", "warn", (1,)), "between", TWO_OF_THREE, "pending", []),
    (Life("pending", "warn", (1,)), "clear", TWO_OF_THREE, "inactive", [("pending", "inactive", "")]),
    (Life("pending", "warn", (1, 0, 0)), "between", TWO_OF_THREE, "inactive", [("pending", "inactive", "")]),
    (Life("firing", "warn"), "clear", ONCE, "recovering", [("firing", "recovering", "")]),
    (Life("firing", "warn"), "between", ONCE, "firing", []),
    (Life("firing", "warn"), "warn", ONCE, "firing", []),
    (Life("firing", "warn"), "critical", ONCE, "firing", [("firing", "firing", "update")]),
    (Life("firing", "critical"), "warn", ONCE, "firing", [("firing", "firing", "")]),
    (Life("recovering", "warn"), "warn", ONCE, "firing", [("recovering", "firing", "")]),
    (Life("recovering", "warn"), "critical", ONCE, "firing", [("recovering", "firing", "update")]),
    (Life("recovering", "warn"), "clear", ONCE, "resolved", [("recovering", "resolved", "resolve")]),
    (Life("recovering", "warn"), "between", ONCE, "recovering", []),
    (Life("recovering", "warn"), "clear", Policy(keep=2), "recovering", []),
    (Life("recovering", "warn", (), 1), "clear", Policy(keep=2), "resolved", [("recovering", "resolved", "resolve")]),
    (Life("resolved", "warn", age=0), "warn", TWO_OF_THREE, "firing", [("resolved", "firing", "update")]),
    (Life("resolved", "warn", age=1), "warn", TWO_OF_THREE, "firing", [("resolved", "firing", "update")]),
    (Life("resolved", "warn", age=2), "warn", TWO_OF_THREE, "pending", [("resolved", "pending", "")]),
    (Life("resolved", "warn"), "clear", TWO_OF_THREE, "resolved", []),
    (Life("resolved", "warn", quiet=True), "critical", ONCE, "resolved", []),
    (Life("no_data", "warn"), "clear", ONCE, "resolved", [("no_data", "resolved", "resolve")]),
    (Life("error", "warn"), "critical", ONCE, "resolved", [("error", "resolved", "resolve")]),
]  # fmt: skip
STATES = ("inactive", "pending", "firing", "recovering", "resolved", "no_data", "error")


@pytest.mark.parametrize(("life", "signal", "policy", "state", "moves"), ROWS)
def test_row_of_the_table(life, signal, policy, state, moves):
    after, made = step(life, signal, policy)
    assert after.state == state
    assert [(move.before, move.after, move.notice) for move in made] == moves


@pytest.mark.parametrize("state", STATES)
def test_no_samples_freeze_every_state(state):
    life = Life(state, "warn", (1,))
    assert step(life, "none", ONCE) == (life, ())


def test_one_of_one_fires_at_once_through_pending():
    after, moves = step(Life(), "critical", ONCE)
    assert (after.state, after.level) == ("firing", "critical")
    assert moves == (Move("inactive", "pending", "critical"), Move("pending", "firing", "critical", "trigger"))


def test_breach_clear_breach_is_two_of_three():
    life = Life()
    for signal in ("warn", "clear", "warn"):
        life, _moves = step(life, signal, TWO_OF_THREE)
    assert life.state == "firing"


def test_without_keeping_it_resolves_at_the_first_clear_window():
    after, moves = step(Life("firing", "warn"), "clear", Policy(1, 1, 0))
    assert after.state == "resolved"
    assert [move.notice for move in moves] == ["", "resolve"]


def test_resolved_by_hand_is_quiet_until_cleared_once():
    life, moves = resolve_by_hand(Life("firing", "critical", (1,)))
    assert moves == (Move("firing", "resolved", "critical", "resolve"),)
    for signal, state in [("critical", "resolved"), ("clear", "resolved"), ("critical", "firing")]:
        life, _moves = step(life, signal, ONCE)
        assert life.state == state


@settings(deadline=None)
@given(st.lists(st.sampled_from(["critical", "warn", "between", "clear", "none"]), max_size=40), st.integers(1, 3))
def test_every_trigger_is_resolved_before_the_next(signals, needed):
    life, open_now = Life(), False
    for signal in signals:
        life, moves = step(life, signal, Policy(needed, 3, 1))
        for move in moves:
            if move.notice == "trigger" or (move.before, move.after) == ("resolved", "firing"):  # or reopened
                assert not open_now
                open_now = True
            elif move.notice == "resolve":
                assert open_now
                open_now = False
        assert len(life.recent) <= 3
