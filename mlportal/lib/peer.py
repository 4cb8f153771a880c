"""Where a request comes from."""

from django.conf import settings
from django.http import HttpRequest


def address_of(request: HttpRequest) -> str:
    """Peer address; behind ``TRUSTED_PROXIES`` proxies, the one the outermost trusted proxy saw."""
    if settings.TRUSTED_PROXIES:
        hops = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",") if hop.strip()]
        if len(hops) >= settings.TRUSTED_PROXIES:
            return hops[-settings.TRUSTED_PROXIES][:64]
    return str(request.META.get("REMOTE_ADDR", ""))[:64]
