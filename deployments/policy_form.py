"""The form of a policy: rows of gates and steps that grow, shrink and move, read from and written to plain values.

Each row has a short key of its own, so that fields keep their names, and focus its place, when rows move. The order of
the hidden fields ``gate`` and ``step`` is the order of the rows.
"""

from dataclasses import dataclass, field
from itertools import count
from typing import Any

from django.http import QueryDict

from deployments.cards import SECTIONS
from deployments.models import Policy
from deployments.proof.rules_catalogue import KINDS, MAX_GATES, Kind, Value, derived_name, parse
from deployments.proof.rules_shapes import Gate
from deployments.services.policy_rules import FLAGS, MAX_STEPS, NUMBERS, SIGNING_ROLES
from mlportal.lib.errors import DomainError, Invalid
from projects.permissions import ROLE_LABELS

MOVES = {"up": -1, "down": 1}
MAX_KEY = 12


@dataclass
class Field:
    """One field of a row, as the page shows it."""

    value: Value
    name: str
    shown: Any
    error: str = ""


@dataclass
class GateRow:
    """One gate on the page."""

    key: str
    kind: Kind
    level: str = "blocking"
    name: str = ""
    given: dict[str, Any] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    @property
    def fields(self) -> list[Field]:
        """Fields of the values of its kind."""
        return [
            Field(
                item, f"gate-{self.key}-{item.name}", self.given.get(item.name, _shown(item, item.default)),
                self.errors.get(item.name, ""),
            )
            for item in self.kind.values
        ]  # fmt: skip

    @property
    def other_errors(self) -> list[str]:
        """What is wrong with the gate and not with one of its values."""
        names = {item.name for item in self.kind.values}
        return [text for name, text in self.errors.items() if name not in names]

    def plain(self) -> dict[str, Any]:
        """Return the gate as the service takes it; what is no number stays text and is refused there."""
        values = {item.name: _typed(item, self.given.get(item.name)) for item in self.kind.values}
        return {"kind": self.kind.key, "level": self.level, "name": self.name, **values}


@dataclass
class StepRow:
    """One step of the sequence of approvals on the page."""

    key: str
    name: str = "Approval"
    roles: list[str] = field(default_factory=lambda: ["manager"])
    needed: str = "1"
    errors: list[str] = field(default_factory=list)

    def plain(self) -> dict[str, Any]:
        """Return the step as the service takes it."""
        return {"name": self.name, "roles": self.roles, "needed": _whole(self.needed)}


@dataclass
class PolicyForm:
    """All fields of a policy."""

    gates: list[GateRow]
    steps: list[StepRow]
    simple: dict[str, Any]
    sections: list[str]
    errors: dict[str, str] = field(default_factory=dict)
    trouble: str = ""

    kinds = list(KINDS.values())
    roles = [(str(role), ROLE_LABELS[role]) for role in SIGNING_ROLES]
    all_sections = list(SECTIONS.items())
    timeouts = Policy.Timeout.choices

    @classmethod
    def of(cls, policy: Policy) -> "PolicyForm":
        """Show the rules of a version."""
        names = (*NUMBERS, *FLAGS, "timeout_action")
        return cls(
            gates=[_row(f"g{place}", gate) for place, gate in enumerate(parse(policy.gates))],
            steps=[
                StepRow(f"s{place}", row["name"], list(row["roles"]), str(row["needed"]))
                for place, row in enumerate(policy.steps)
            ],
            simple={name: getattr(policy, name) for name in names},
            sections=list(policy.card_sections),
        )

    @classmethod
    def read(cls, sent: QueryDict) -> "PolicyForm":
        """Take what was typed, as it is."""
        return cls(
            gates=[row for key in _keys(sent, "gate", MAX_GATES) if (row := _read_gate(sent, key))],
            steps=[_read_step(sent, key) for key in _keys(sent, "step", MAX_STEPS)],
            simple={
                **{name: sent.get(name, "")[:20] for name in (*NUMBERS, "timeout_action")},
                **{name: name in sent for name in FLAGS},
            },
            sections=[name for name in SECTIONS if name in sent.getlist("card_sections")],
        )

    def values(self) -> dict[str, Any]:
        """Return the rules as the service takes them."""
        return {
            "gates": [row.plain() for row in self.gates],
            "steps": [row.plain() for row in self.steps],
            "card_sections": self.sections,
            "timeout_action": self.simple["timeout_action"],
            **{name: _whole(self.simple[name]) for name in NUMBERS},
            **{name: self.simple[name] for name in FLAGS},
        }

    def arrange(self, wish: str, kind: str) -> bool:
        """Add, remove or move a row as a button asked: ``gate-up:g3``. Returns whether it was such a button."""
        word, _, key = wish.partition(":")
        part, _, move = word.partition("-")
        if part == "gate" and move == "add":
            self._add_gate(kind)
        elif part == "step" and move == "add" and len(self.steps) < MAX_STEPS:
            self.steps.append(StepRow(_fresh("s", self.steps), "Approval"))
        elif part == "gate" and move in (*MOVES, "remove"):
            self.gates = _moved(self.gates, key, move)
        elif part == "step" and move in (*MOVES, "remove"):
            self.steps = _moved(self.steps, key, move)
        else:
            return False
        return True

    def refuse(self, error: DomainError) -> None:
        """Show a refusal at the field it names, or above the form."""
        part, _, rest = error.field.partition(".")
        number, _, name = rest.partition(".")
        rows: list[Any] = self.gates if part == "gates" else []
        rows = self.steps if part == "steps" else rows
        if number.isdecimal() and 0 < int(number) <= len(rows):
            row = rows[int(number) - 1]
            if isinstance(row, GateRow):
                row.errors[name] = error.message
            else:
                row.errors.append(error.message)
        elif part in self.simple or part == "card_sections":
            self.errors[part] = error.message
        self.trouble = error.message

    def _add_gate(self, kind: str) -> None:
        if kind not in KINDS or len(self.gates) >= MAX_GATES:
            raise Invalid("Choose a kind of gate from the list.", field="kind", got=kind[:50])
        self.gates.append(GateRow(_fresh("g", self.gates), KINDS[kind]))


def _row(key: str, gate: Gate) -> GateRow:
    given = {item.name: _shown(item, getattr(gate, item.name)) for item in KINDS[gate.kind].values}
    return GateRow(key, KINDS[gate.kind], gate.level, "" if gate.name == derived_name(gate) else gate.name, given)


def _keys(sent: QueryDict, part: str, most: int) -> list[str]:
    keys = [key for key in sent.getlist(part) if key.isalnum() and len(key) <= MAX_KEY]
    return list(dict.fromkeys(keys))[:most]


def _read_gate(sent: QueryDict, key: str) -> GateRow | None:
    kind = KINDS.get(sent.get(f"gate-{key}-kind", ""))
    if kind is None:
        return None
    given: dict[str, Any] = {}
    for item in kind.values:
        typed = f"gate-{key}-{item.name}"
        given[item.name] = typed in sent if item.type == "flag" else sent.get(typed, "")[:200]
    return GateRow(key, kind, sent.get(f"gate-{key}-level", "")[:20], sent.get(f"gate-{key}-name", "")[:200], given)


def _read_step(sent: QueryDict, key: str) -> StepRow:
    roles = [str(role) for role in SIGNING_ROLES if str(role) in sent.getlist(f"step-{key}-roles")]
    return StepRow(key, sent.get(f"step-{key}-name", "")[:200], roles, sent.get(f"step-{key}-needed", "")[:20])


def _shown(item: Value, value: Any) -> Any:
    if item.type != "number" or value is None:
        return "" if value is None else value
    return f"{value / item.scale:.10g}"


def _typed(item: Value, given: Any) -> Any:
    if item.type != "number" or not isinstance(given, str) or not given.strip():
        return given
    try:
        return float(given) * item.scale
    except ValueError:
        return given


def _whole(given: Any) -> Any:
    text = str(given).strip()
    return int(text) if text.isdecimal() and text.isascii() and len(text) < 10 else text


def _fresh(letter: str, rows: list[Any]) -> str:
    taken = {row.key for row in rows}
    return next(key for key in (f"{letter}{number}" for number in count()) if key not in taken)


def _moved(rows: list[Any], key: str, move: str) -> list[Any]:
    place = next((at for at, row in enumerate(rows) if row.key == key), None)
    if place is None:
        return rows
    rest = [row for row in rows if row.key != key]
    if move == "remove":
        return rest
    to = min(max(place + MOVES[move], 0), len(rest))
    return [*rest[:to], rows[place], *rest[to:]]
