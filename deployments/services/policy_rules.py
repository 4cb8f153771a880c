"""Values of a policy as they come from a form or a script: each is checked, or refused with field, value and limit."""

from collections.abc import Callable, Mapping
from typing import Any

from deployments.cards import SECTIONS
from deployments.models import Policy
from deployments.models.policies import one_step
from deployments.proof import rules
from mlportal.lib.errors import Invalid
from projects.permissions import Role

# A project admin sets the rules and does not also sign; a viewer reads.
SIGNING_ROLES = (Role.SCIENTIST, Role.MANAGER, Role.OPS)
MAX_NEEDED = 9
MAX_STEPS = 9
MAX_STEP_NAME = 60
MAX_HOURS = 2160
NUMBERS: Mapping[str, tuple[int, int]] = {
    "expiry_days": (1, 90),
    "approval_days": (1, 365),
    "reminder_hours": (0, MAX_HOURS),
    "timeout_hours": (0, MAX_HOURS),
}
FLAGS = ("four_eyes", "exclude_trainer", "switch_at_approval", "allow_break_glass")
FIELDS = ("gates", "steps", "min_approvals", "timeout_action", "card_sections", *NUMBERS, *FLAGS)


def checked(before: Policy, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return every rule of a new version: what was given, the rest as it was.

    Parameters
    ----------
    before
        The version the change starts from.
    given
        Values by name, of :data:`FIELDS`; None leaves one as it was. ``min_approvals`` is short for one step of that
        many managers.

    Raises
    ------
    Invalid
        Naming the field, what came and what is allowed.
    """
    unknown = sorted(set(given) - set(FIELDS))
    if unknown:
        raise _refusal(unknown[0], f"{unknown[0]} is not a rule of a policy.", unknown[0], list(FIELDS))
    asked = {name: value for name, value in given.items() if value is not None}
    if "min_approvals" in asked:
        needed = _whole("min_approvals", asked.pop("min_approvals"), 1, MAX_NEEDED)
        same = needed == before.min_approvals
        asked.setdefault("steps", before.steps if same else [{**one_step()[0], "needed": needed}])
    kept = {"gates": before.gates, **{name: getattr(before, name) for name in Policy.RULES}}
    made = {**kept, **{name: _CHECKS[name](name, value) for name, value in asked.items()}}
    _together(made, named=set(asked))
    return made


def _together(made: dict[str, Any], *, named: set[str]) -> None:
    """Check what depends on two values; a required card part brings its gate along."""
    hours = made["expiry_days"] * 24
    if made["timeout_hours"] >= hours:
        field = "timeout_hours" if "timeout_hours" in named else "expiry_days"
        text = f"timeout_hours must be less than the {hours} hours after which a request expires."
        raise _refusal(field, text, made["timeout_hours"], hours - 1)
    asks = any(row["kind"] == "card_complete" for row in made["gates"])
    if made["card_sections"] and not asks:
        made["gates"] = [*made["gates"], rules.plain(rules.Gate("card_complete"))]
    if asks and not made["card_sections"]:
        text = f"Name the parts of the model card that the gate asks for: {', '.join(SECTIONS)}."
        raise _refusal("card_sections", text, [], list(SECTIONS))


def _gates(field: str, value: object) -> list[dict[str, Any]]:
    del field
    return [rules.plain(gate) for gate in rules.parse(value)]


def _steps(field: str, value: object) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_STEPS:
        raise _refusal(field, f"steps must be a list of 1 to {MAX_STEPS} steps.", value, [1, MAX_STEPS])
    return [_step(f"steps.{number}", number, row) for number, row in enumerate(value, start=1)]


def _step(field: str, number: int, row: object) -> dict[str, Any]:
    known = {"name", "roles", "needed"}
    if not isinstance(row, dict) or set(row) - known:
        raise _refusal(field, f"Step {number} must have name, roles and needed, and nothing else.", row, sorted(known))
    return {
        "name": _step_name(f"{field}.name", number, row.get("name")),
        "roles": _roles(f"{field}.roles", number, row.get("roles")),
        "needed": _whole(f"{field}.needed", row.get("needed", 1), 1, MAX_NEEDED, label=f"Step {number}: needed"),
    }


def _step_name(field: str, number: int, value: object) -> str:
    text = value.strip() if isinstance(value, str) and value.isprintable() else ""
    if not 1 <= len(text) <= MAX_STEP_NAME:
        raise _refusal(
            field, f"Step {number}: the name must have 1 to {MAX_STEP_NAME} characters.", value, MAX_STEP_NAME
        )
    return text


def _roles(field: str, number: int, value: object) -> list[str]:
    allowed = [str(role) for role in SIGNING_ROLES]
    if not isinstance(value, list) or not value or any(role not in allowed for role in value):
        raise _refusal(field, f"Step {number}: roles must be one or more of {', '.join(allowed)}.", value, allowed)
    return [role for role in allowed if role in value]


def _sections(field: str, value: object) -> list[str]:
    if not isinstance(value, list) or any(not isinstance(name, str) or name not in SECTIONS for name in value):
        raise _refusal(field, f"{field} must be a list of {', '.join(SECTIONS)}.", value, list(SECTIONS))
    return [name for name in SECTIONS if name in value]


def _timeout(field: str, value: object) -> str:
    if value not in Policy.Timeout.values:
        raise _refusal(
            field, f"{field} must be one of {', '.join(Policy.Timeout.values)}.", value, Policy.Timeout.values
        )
    return str(value)


def _number(field: str, value: object) -> int:
    return _whole(field, value, *NUMBERS[field])


def _whole(field: str, value: object, least: int, most: int, *, label: str = "") -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        text = f"{label or field} must be a whole number from {least} to {most}."
        raise _refusal(field, text, value, [least, most])
    return value


def _truth(field: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise _refusal(field, f"{field} must be true or false.", value, [True, False])
    return value


def _refusal(field: str, text: str, got: object, limit: object) -> Invalid:
    return Invalid(text, field=field, got=str(got)[:100], limit=limit)


_CHECKS: Mapping[str, Callable[[str, Any], Any]] = {
    "gates": _gates,
    "steps": _steps,
    "card_sections": _sections,
    "timeout_action": _timeout,
    **dict.fromkeys(NUMBERS, _number),
    **dict.fromkeys(FLAGS, _truth),
}
