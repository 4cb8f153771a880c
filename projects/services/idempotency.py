"""One effect and one answer for a creating call that is sent again with the same key."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from mlportal.lib import again
from mlportal.lib.errors import Conflict, DomainError, Invalid
from mlportal.lib.failpoints import failpoint
from projects.models import IdempotencyKey, User

MAX_KEY = 200
KEEP = timedelta(hours=24)
Answer = tuple[int, Any]


@again.after_deadlock
def once(user: User, key: str, *, method_path: str, body_sha256: str, effect: Callable[[], Answer]) -> Answer:
    """Run ``effect`` and keep its answer in the same transaction; a repeat gets the kept answer.

    A refusal is not kept, and what it left behind stays as without a key: a request that was found expired, stale or
    damaged is closed by it.

    Raises
    ------
    Invalid
        When the key is too long or was used for another request.
    Conflict
        While the first call with the key is still under way.
    """
    if len(key) > MAX_KEY or not key.isascii() or not key.isprintable():
        raise Invalid(
            f"Idempotency-Key must be at most {MAX_KEY} printable ASCII characters.",
            field="Idempotency-Key", limit=MAX_KEY, got=len(key),
        )  # fmt: skip
    kept = _kept(user, key, method_path, body_sha256)
    if kept is not None:
        return kept
    refused: DomainError | None = None
    try:
        with transaction.atomic():
            row = IdempotencyKey.objects.create(
                user=user, key=key, method_path=method_path[:500], body_sha256=body_sha256
            )
            try:
                status, answer = effect()
            except DomainError as error:
                refused = error
                if not transaction.get_rollback():
                    row.delete()
            else:
                IdempotencyKey.objects.filter(pk=row.pk).update(status=status, answer=answer)
    except IntegrityError:
        kept = _kept(user, key, method_path, body_sha256)
        if kept is None:
            raise
        return kept
    if refused is not None:
        raise refused
    failpoint("committed-not-answered")
    return status, answer


def forget_old() -> int:
    """Drop keys past their day. Returns how many."""
    return IdempotencyKey.objects.filter(created_at__lt=timezone.now() - KEEP).delete()[0]


def _kept(user: User, key: str, method_path: str, body_sha256: str) -> Answer | None:
    row = IdempotencyKey.objects.filter(user=user, key=key).first()
    if row is None:
        return None
    if (row.method_path, row.body_sha256) != (method_path[:500], body_sha256):
        raise Invalid("This Idempotency-Key was used for another request.", field="Idempotency-Key", code="key_reused")
    if row.status is None:
        raise Conflict("The first call with this Idempotency-Key is still under way.", retry_after=1)
    return row.status, row.answer
