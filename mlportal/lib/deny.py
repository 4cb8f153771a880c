"""The REST default: nobody. A view that names no permission answers 403 to everyone."""

from typing import TYPE_CHECKING

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

if TYPE_CHECKING:
    from rest_framework.views import APIView


class DenyAll(BasePermission):
    """Refuses every request; scoped views replace it."""

    def has_permission(self, request: Request, view: "APIView") -> bool:
        """Nobody."""
        return False
