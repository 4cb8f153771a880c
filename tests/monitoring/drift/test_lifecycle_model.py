"""Random courses of windows against a plain model of the state table, written from the paper and not from the code."""

from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.drift.lifecycle import Life, Policy, step

SIGNALS = st.sampled_from(["critical", "warn", "between", "clear", "none"])
POLICIES = st.builds(
    lambda of, needed, keep: Policy(min(needed, of), of, keep), st.integers(1, 4), st.integers(1, 4), st.integers(0, 2)
)
WORSE = {"": 0, "warn": 1, "critical": 2}


class Model:
    """What the table of section 6.2 says, one window after the other; notices are kept in ``told``."""

    def __init__(self, policy):
        self.policy, self.state, self.level = policy, "inactive", ""
        self.breaches, self.clears, self.since_over, self.window = [], 0, 0, 0
        self.changes, self.flapping, self.told = [], False, []

    def see(self, signal):
        if signal == "none":
            return
        self.window += 1
        breach = signal in ("warn", "critical")
        self.breaches = [*self.breaches, breach][-self.policy.of :]
        self.clears = self.clears + 1 if signal == "clear" else 0
        self.changes = [at for at in self.changes if self.window - at < 24]
        if self.flapping:
            self.while_flapping(signal, breach)
        else:
            getattr(self, self.state)(signal, breach)

    def while_flapping(self, signal, breach):
        if self.clears >= 6:
            self.state, self.flapping, self.changes = "resolved", False, []
            self.since_over = self.clears = 0
            self.told.append("resolve")
        elif breach and WORSE[signal] > WORSE[self.level]:
            self.level = signal
            self.told.append("update")

    def changed(self, notice):
        """Between firing and resolved, either way; the fourth within 24 windows holds it."""
        self.changes.append(self.window)
        if len(self.changes) >= 4:
            self.told.append("update" if notice == "resolve" else notice)
            self.state, self.flapping, self.clears = "firing", True, 0
        else:
            self.told.append(notice)

    def inactive(self, signal, breach):
        if breach:
            self.state, self.level = "pending", signal
            self.pending(signal, breach)

    def pending(self, signal, breach):
        if signal == "clear" or not any(self.breaches):
            self.state, self.level, self.clears = "inactive", "", 0
        elif breach:
            self.level = signal
            if sum(self.breaches) >= self.policy.needed:
                self.state = "firing"
                self.changed("trigger")

    def firing(self, signal, breach):
        if signal == "clear":
            self.state, self.clears = "recovering", 0
            if self.policy.keep == 0:
                self.over()
        elif breach:
            if WORSE[signal] > WORSE[self.level]:
                self.told.append("update")
            self.level = signal

    def recovering(self, signal, breach):
        if breach:
            self.state = "firing"
            if WORSE[signal] > WORSE[self.level]:
                self.told.append("update")
            self.level = signal
        elif self.clears >= self.policy.keep:
            self.over()

    def over(self):
        self.state, self.since_over, self.clears = "resolved", 0, 0
        self.changed("resolve")

    def resolved(self, signal, breach):
        self.since_over += 1
        if not breach:
            return
        if self.since_over <= 2:
            self.state, self.level = "firing", signal
            self.changed("update")
        else:
            self.inactive(signal, breach)


@settings(max_examples=120, deadline=None)
@given(POLICIES, st.lists(SIGNALS, max_size=70))
def test_every_course_goes_as_the_table_says(policy, course):
    model, life, told = Model(policy), Life(), []
    for number, signal in enumerate(course):
        model.see(signal)
        life, moves = step(life, signal, policy)
        told += [move.notice for move in moves if move.notice]
        seen = (life.state, life.flapping, life.level if life.state in ("firing", "recovering") else "")
        expected = model.level if model.state in ("firing", "recovering") else ""
        assert seen == (model.state, model.flapping, expected), (number, course[: number + 1])
    assert told == model.told


@settings(max_examples=50, deadline=None)
@given(POLICIES, st.lists(SIGNALS, max_size=100))
def test_a_flapping_alert_says_little(policy, course):
    life, held = Life(), 0
    for signal in course:
        before, (life, moves) = life, step(life, signal, policy)
        if before.flapping:
            held += sum(move.notice == "update" for move in moves)
            assert life.flapping or life.state == "resolved"
        else:
            held = 0
        assert held <= 1, "only one rise is possible while it is held at the worst level"


def test_four_changes_in_24_windows_are_flapping_until_six_quiet_ones():
    once = Policy(1, 1, 0)
    life, notices = Life(), []
    for signal in ["critical", "clear"] * 2 + ["critical", "clear"] * 3 + ["clear"] * 5:
        life, moves = step(life, signal, once)
        notices += [move.notice for move in moves if move.notice]
    assert notices == ["trigger", "resolve", "update", "update", "resolve"]
    assert (life.state, life.flapping, life.changes) == ("resolved", False, ())


def test_changes_far_apart_are_not_flapping():
    once = Policy(1, 1, 0)
    life = Life()
    for signal in (["critical", "clear"] + ["clear"] * 22) * 4:
        life, _moves = step(life, signal, once)
        assert not life.flapping
