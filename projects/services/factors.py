"""What a person can prove themselves with besides the password: codes of an app, and recovery codes."""

import hashlib
import re
import secrets

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from mlportal.lib import sealed, throttle, totp
from mlportal.lib.errors import Forbidden
from projects.models import Membership, RecoveryCode, SecondFactor, User

# Three codes of a million fit at any time: 50 tries a day find one in 20 years.
LIMITS = ((15 * 60, 10), (86_400, 50))
CODES = 10
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # 16 of these: 79 bits
APP_CODE = re.compile(r"[0-9]{6}")
RECOVERY_CODE = re.compile(rf"[{ALPHABET}]{{16}}")
SITE = "site"
REQUIRED = "second_factor_required"


def check(user: User, code: str) -> str:
    """Use up a code of the person's app or one of their recovery codes.

    Returns
    -------
    str
        ``"app"``, ``"recovery"``, or empty when it does not fit, was used before, or there is no second factor.

    Raises
    ------
    TooMany
        After too many tries.
    """
    for seconds, limit in LIMITS:
        throttle.hit(f"second-factor:{user.pk}", limit=limit, seconds=seconds)
    plain = _plain(code)
    with transaction.atomic():
        factor = SecondFactor.objects.select_for_update(no_key=True).filter(user=user, ended_at=None).first()
        if factor is None:
            return ""
        used = _use_app_code(factor, plain) if APP_CODE.fullmatch(plain) else _use_recovery_code(factor, plain)
    if used:
        for seconds, _ in LIMITS:
            throttle.forget(f"second-factor:{user.pk}", seconds=seconds)
    return used


def is_code(text: str) -> bool:
    """Whether a text has the form of a code; a password rarely has."""
    return bool(APP_CODE.fullmatch(_plain(text)) or RECOVERY_CODE.fullmatch(_plain(text)))


def _plain(code: str) -> str:
    return re.sub(r"[\s-]", "", code[:100]).lower()


def _use_app_code(factor: SecondFactor, code: str) -> str:
    now = timezone.now().timestamp()
    step = totp.step_of(sealed.unseal(factor.sealed), code, now=now, after=factor.last_step)
    if step is None:
        return ""
    return "app" if SecondFactor.objects.filter(pk=factor.pk).update(last_step=step) else ""


def _use_recovery_code(factor: SecondFactor, code: str) -> str:
    rows = RecoveryCode.objects.filter(factor=factor, sha256=_sha256(code), used_at=None)
    return "recovery" if rows.update(used_at=timezone.now()) else ""


def new_codes(factor: SecondFactor) -> list[str]:
    """Replace the recovery codes, inside the caller's change; they are shown this once."""
    codes = ["".join(secrets.choice(ALPHABET) for _ in range(16)) for _ in range(CODES)]
    RecoveryCode.objects.filter(factor=factor).delete()
    RecoveryCode.objects.bulk_create(RecoveryCode(factor=factor, sha256=_sha256(code)) for code in codes)
    return ["-".join(code[at : at + 4] for at in range(0, 16, 4)) for code in codes]


def is_missing(user: User) -> bool:
    """Whether this installation wants a second factor of the person, who has none."""
    return user.second_factor_at is None and is_wanted(user)


def is_wanted(user: User) -> bool:
    """Whether this installation wants a second factor of the person, for a role they hold anywhere."""
    asked = settings.SECOND_FACTOR_ROLES
    if not asked:
        return False
    if user.is_site_admin and SITE in asked:
        return True
    return Membership.objects.open().filter(user=user, role__in=asked).exists()


def require_for(user: User, *roles: str) -> None:
    """Refuse a person without a second factor who acts in a role that wants one; read inside the decision.

    Raises
    ------
    Forbidden
        With the code ``second_factor_required``.
    """
    if user.second_factor_at is None and set(roles) & set(settings.SECOND_FACTOR_ROLES):
        raise Forbidden(
            "Your role needs a second factor here. Set one up under My account, Second factor.", code=REQUIRED
        )


def _sha256(code: str) -> str:
    return hashlib.sha256(code.encode("utf-8", "surrogatepass")).hexdigest()
