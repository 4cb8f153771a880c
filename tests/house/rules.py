"""The rules E1 to E14 of four eyes, each with the line that holds it and the tests that miss it when it is gone."""

from dataclasses import dataclass

SERVICES = "tests/deployments/services"


@dataclass(frozen=True)
class Rule:
    """One rule: where it lives, what the file says without it, and where its tests are."""

    file: str
    line: str
    without: str
    tests: str = f"{SERVICES}/test_four_eyes.py"


RULES = {
    "E1": Rule("deployments/services/deciders.py", 'asker = (request.requested_by, "asked', 'asker = (None, "asked'),
    "E2": Rule("deployments/services/deciders.py", "if not request.policy.exclude_trainer:", "if True:"),
    "E3": Rule("deployments/services/deciders.py", "if not person.is_active:", "if False:"),
    "E4": Rule(
        "deployments/proof/seal.py",
        "return [name for name in known if before.get(name) != after.get(name)]",
        "return [name for name in known if before is after]",
        f"{SERVICES}/test_seals.py",
    ),
    "E5": Rule(
        "deployments/services/holds.py",
        "close(request, State.STALE, actor=actor, note=why, cause=actor.user)",
        "request.refresh_from_db()",
        f"{SERVICES}/test_seals.py",
    ),
    "E6": Rule("deployments/services/promotions.py", "    if red:", "    if False:", f"{SERVICES}/test_seals.py"),
    "E7": Rule("deployments/services/deciders.py", "    _refuse_second(standing, request)\n", "\n"),
    "E8": Rule(
        "deployments/services/policies.py",
        "alone = not (before.four_eyes and _other_admins(place.project, by))",
        "alone = True",
    ),
    "E9": Rule(
        "deployments/services/holds.py",
        "if request.expires_at <= timezone.now():",
        "if False:",
        f"{SERVICES}/test_seals.py",
    ),
    "E10": Rule(
        "deployments/services/admission.py",
        "if held.revisions.exclude(kind=Kind.ROLLBACK).exists():",
        "if False:",
        f"{SERVICES}/test_seals.py",
    ),
    "E11": Rule(
        "deployments/services/governed.py",
        "if _is_governed(model.project, name):",
        "if False:",
        f"{SERVICES}/test_registry.py",
    ),
    "E12": Rule(
        "deployments/services/endpoints.py",
        "RollbackReview.objects.create(revision=made)",
        "pass",
        f"{SERVICES}/test_endpoints.py",
    ),
    "E13": Rule(
        "deployments/services/deciders.py",
        'PROMOTION_DECIDE not in by.scope_permissions() or "approve" not in alive.scopes:',
        "PROMOTION_DECIDE is None:",
    ),
    "E14": Rule(
        "deployments/services/promotions.py",
        "holds.same_person(standing.person, other) for other, _ in deciders.involved(held)",
        "other is None and standing is None for other, _ in deciders.involved(held)",
    ),
}
