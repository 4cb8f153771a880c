"""Leaving out experiments before any run of them is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .meaning import Condition, Node
from .predicates import experiments_named
from .scope import Scope
from .starting import rows


def narrowed(scope: Scope, conditions: Sequence[Node]) -> Scope:
    """Keep the experiments that the conditions on them keep, of those that must all hold; one query if there are any.

    A search over one experiment in a thousand then costs what a search over that experiment alone does.
    """
    wanted = [c for c in conditions if isinstance(c, Condition) and c.kind == "experiment"]
    if not wanted or scope.is_single:
        return scope
    tests, params = [scope.holds("p.id")], []
    for condition in wanted:
        sql, given = experiments_named(condition, "p")
        turned = condition.negated != (condition.op == "!=")
        tests.append(f"{'NOT ' if turned else ''}({sql})")
        params += given
    found = {pk for (pk,) in rows(f"SELECT p.id FROM experiments_experiment p WHERE {' AND '.join(tests)}", params)}
    return replace(scope, ids=tuple(pk for pk in scope.ids if pk in found), project_id=None)
