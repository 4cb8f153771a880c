"""Who could approve under a policy, and whether that is enough people."""

from collections.abc import Mapping

from deployments.models import Policy
from deployments.services import holds
from projects.models import Membership


def warnings(policy: Policy) -> list[str]:
    """Say in words why requests could never be approved under these rules.

    A person decides once, so each place of each step needs somebody else; two accounts of one mail box are one
    person. With four eyes on, a requester who holds one of the roles leaves one person less.
    """
    people = _people(policy)
    return [*_short(policy, people), *_together(policy, people)]


def _people(policy: Policy) -> Mapping[str, set[str]]:
    rows = (
        Membership.objects.open()
        .filter(project=policy.environment.project_id, user__is_active=True, user__service_project=None)
        .select_related("user")
    )
    found: dict[str, set[str]] = {}
    for row in rows:
        who = holds.mailbox(row.user.email) if row.user.email else f"#{row.user_id}"
        found.setdefault(row.role, set()).add(who)
    return found


def _short(policy: Policy, people: Mapping[str, set[str]]) -> list[str]:
    found = []
    for step in policy.steps:
        able = set().union(*(people.get(role, set()) for role in step["roles"]))
        roles = " or ".join(step["roles"])
        if len(able) < step["needed"]:
            found.append(f"{step['name']} needs {step['needed']} with the role {roles}; the project has {len(able)}.")
        elif policy.four_eyes and len(able) == step["needed"] and able & people.get("scientist", set()):
            found.append(
                f"{step['name']}: if one of the {len(able)} people with the role {roles} asks, one is missing."
            )
    return found


def _together(policy: Policy, people: Mapping[str, set[str]]) -> list[str]:
    places = [step for step in policy.steps for _ in range(step["needed"])]
    able = [set().union(*(people.get(role, set()) for role in step["roles"])) for step in places]
    filled = _matched(able)
    if filled == len(places) or any(len(each) < step["needed"] for each, step in zip(able, places, strict=True)):
        return []
    return [f"The steps together need {len(places)} different people; the project has enough roles for {filled}."]


def _matched(able: list[set[str]]) -> int:
    """Count the places that can be filled with different people (augmenting paths)."""
    sits: dict[str, int] = {}

    def seat(place: int, seen: set[str]) -> bool:
        for who in able[place] - seen:
            seen.add(who)
            if who not in sits or seat(sits[who], seen):
                sits[who] = place
                return True
        return False

    return sum(seat(place, set()) for place in range(len(able)))
