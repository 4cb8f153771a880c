"""What a new version of a policy changes, in words, and whether it lowers the bar."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from deployments.proof.rules_catalogue import KINDS, Value, name_of, parse
from deployments.proof.rules_shapes import Gate, plain_number

Effect = Literal["weaker", "stronger", "other"]
Rules = Mapping[str, Any]
# Whether the rule being on protects; the others are judged by hand below.
FLAGS: Mapping[str, tuple[str, bool]] = {
    "four_eyes": ("Four eyes", True),
    "exclude_trainer": ("Whoever trained the version may not decide", True),
    "allow_break_glass": ("Break-glass promotion", False),
}
WORDS: Mapping[str, tuple[str, str]] = {
    "expiry_days": ("A request expires after", "days"),
    "approval_days": ("An unused approval expires after", "days"),
    "reminder_hours": ("Reminder after", "hours"),
    "timeout_hours": ("Time-out after", "hours"),
    "timeout_action": ("When it times out", ""),
}


@dataclass(frozen=True)
class Change:
    """One difference in words, and what it does to the bar."""

    text: str
    effect: Effect

    def plain(self) -> dict[str, str]:
        """Return the change as plain data."""
        return {"text": self.text, "effect": self.effect}


def difference(before: Rules, after: Rules, better: Mapping[str, str]) -> list[Change]:
    """List what changes from one version of the rules to another, what lowers the bar first.

    Parameters
    ----------
    before, after
        ``Policy.plain()`` with ``gates``.
    better
        ``higher`` or ``lower`` by the key of a metric.

    Returns
    -------
    list of Change
        Empty when both say the same. When it cannot be told which of two rules is stricter, the change counts as
        lowering the bar, so nothing slips through.
    """
    found = [
        *_gates(parse(before["gates"]), parse(after["gates"]), better),
        *_steps(before["steps"], after["steps"]),
        *_flags(before, after),
        *_times(before, after),
        *_sections(before["card_sections"], after["card_sections"]),
    ]
    rank = {"weaker": 0, "stronger": 1, "other": 2}
    return sorted(found, key=lambda change: rank[change.effect])


def weaker(before: Rules, after: Rules, better: Mapping[str, str]) -> list[str]:
    """List in words what lowers the bar."""
    return [change.text for change in difference(before, after, better) if change.effect == "weaker"]


def gate_words(gate: Gate) -> str:
    """Say a gate in one line: ``Metric bar: roc_auc, bar 0.87``."""
    kind = KINDS[gate.kind]
    parts = [_value_words(item, getattr(gate, item.name)) for item in kind.values]
    said = ", ".join(part for part in parts if part)
    return f"{kind.label}: {said}" if said else kind.label


def steps_cover(weak: list[dict[str, Any]], strong: list[dict[str, Any]]) -> bool:
    """Tell whether approvals that complete ``strong`` always complete ``weak``, in the same order."""
    rest = iter(strong)
    return all(
        any(set(given["roles"]) <= set(asked["roles"]) and given["needed"] >= asked["needed"] for given in rest)
        for asked in weak
    )


def _gates(before: tuple[Gate, ...], after: tuple[Gate, ...], better: Mapping[str, str]) -> list[Change]:
    old, new = {_identity(gate): gate for gate in before}, {_identity(gate): gate for gate in after}
    gone = [
        Change(f"Gate removed: {gate_words(gate)}.", "weaker" if gate.level == "blocking" else "other")
        for key, gate in old.items()
        if key not in new
    ]
    added = [
        Change(f"Gate added: {gate_words(new[key])}, {new[key].level}.", "stronger") for key in new if key not in old
    ]
    both = [change for key, gate in old.items() if key in new for change in _gate(gate, new[key], better)]
    return gone + added + both + _others(before, after)


def _identity(gate: Gate) -> tuple[str, ...]:
    about = [str(getattr(gate, item.name)) for item in KINDS[gate.kind].values if item.names]
    return (name_of(gate), gate.kind, *about)


def _gate(old: Gate, new: Gate, better: Mapping[str, str]) -> list[Change]:
    label = f"{KINDS[old.kind].label}{_about(old)}"
    found = []
    if old.level != new.level:
        effect: Effect = "stronger" if new.level == "blocking" else "weaker"
        found.append(Change(f"{label}: {new.level} instead of {old.level}.", effect))
    for item in KINDS[old.kind].values:
        was, will = getattr(old, item.name), getattr(new, item.name)
        if was != will:
            said = f"{label}: {item.label.lower()} {_shown(item, will)}, was {_shown(item, was)}."
            found.append(Change(said, _effect(item, old, new, better)))
    return found


def _effect(item: Value, old: Gate, new: Gate, better: Mapping[str, str]) -> Effect:
    if new.level == "advisory" and old.level == "advisory":
        return "other"
    was, will = getattr(old, item.name), getattr(new, item.name)
    if item.name == "relative":
        # No margin at all is the strictest, whatever it is measured in.
        return "stronger" if new.margin == 0 else "weaker"
    if item.stricter == "on":
        return "stronger" if will else "weaker"
    direction: str = item.stricter
    if item.name == "limit" and direction == "unclear":
        direction = {"higher": "up", "lower": "down"}.get(better.get(old.metric, ""), "unclear")
    if direction == "unclear":
        return "weaker"
    return "stronger" if (will > was) == (direction == "up") else "weaker"


def _others(before: tuple[Gate, ...], after: tuple[Gate, ...]) -> list[Change]:
    """A gate that names a metric takes it out of the gate about the others."""
    kinds = {gate.kind for gate in before if gate.metric == "others" and gate.level == "blocking"}
    old = {(gate.kind, gate.metric) for gate in before}
    taken = [gate for gate in after if gate.kind in kinds and (gate.kind, gate.metric) not in old]
    return [
        Change(f"{gate.metric} no longer counts among the others of {KINDS[gate.kind].label.lower()}.", "weaker")
        for gate in taken
        if gate.metric != "others"
    ]


def _steps(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> list[Change]:
    if before == after:
        return []
    text = f"Approvals: {steps_words(after)}; was {steps_words(before)}."
    if not steps_cover(before, after):
        return [Change(text, "weaker")]
    return [Change(text, "other" if steps_cover(after, before) else "stronger")]


def steps_words(steps: list[dict[str, Any]]) -> str:
    """Say a sequence in words: ``1 manager, then 2 of manager or ops``."""
    return ", then ".join(_step_words(step) for step in steps)


def _step_words(step: dict[str, Any]) -> str:
    roles = " or ".join(step["roles"])
    return f"{step['needed']} {'of ' if len(step['roles']) > 1 else ''}{roles}"


def _flags(before: Rules, after: Rules) -> list[Change]:
    found = []
    for name, (label, protects) in FLAGS.items():
        if before[name] != after[name]:
            effect: Effect = "stronger" if after[name] == protects else "weaker"
            found.append(Change(f"{label}: {'on' if after[name] else 'off'}.", effect))
    if before["switch_at_approval"] != after["switch_at_approval"]:
        when = "at approval" if after["switch_at_approval"] else "by hand"
        found.append(Change(f"An approved version goes live {when}.", "other"))
    return found


def _times(before: Rules, after: Rules) -> list[Change]:
    found = []
    for name, (label, unit) in WORDS.items():
        if before[name] != after[name]:
            # An approval that lives longer is used later, with older evidence.
            longer = name == "approval_days" and after[name] > before[name]
            text = f"{label} {after[name]} {unit}".rstrip() + f", was {before[name]}."
            found.append(Change(text, "weaker" if longer else "other"))
    return found


def _sections(before: list[str], after: list[str]) -> list[Change]:
    gone = [Change(f"Model card: {name} is no longer required.", "weaker") for name in before if name not in after]
    return gone + [Change(f"Model card: {name} is required.", "stronger") for name in after if name not in before]


def _about(gate: Gate) -> str:
    about = [str(getattr(gate, item.name)) for item in KINDS[gate.kind].values if item.names]
    said = " ".join(word for word in about if word)
    return f" ({said})" if said else ""


def _value_words(item: Value, value: Any) -> str:
    if item.type == "flag":
        return {"interval": "judged on the interval", "relative": "as a share"}[item.name] if value else ""
    if value in ("", None):
        return ""
    if item.names:
        return str(value)
    return f"{item.label.lower()} {_shown(item, value)}"


def _shown(item: Value, value: Any) -> str:
    if item.type == "flag":
        return "on" if value else "off"
    if item.type == "number":
        return f"{plain_number(value / item.scale)} {item.unit}".rstrip()
    return str(value) or "any"
