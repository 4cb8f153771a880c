"""Tags of stars and comments, for ``components/star.html`` and ``components/comments.html``."""

from typing import Any

from django import template

from projects.models import Comment, Star
from projects.services import comments

register = template.Library()


@register.simple_tag(takes_context=True)
def is_starred(context: template.Context, kind: str, number: int) -> bool:
    """Whether the reader has starred the thing; one query."""
    user = context["request"].user
    return Star.objects.filter(user=user, target_type=kind, target_id=number).exists()


@register.simple_tag
def comments_on(kind: str, number: int) -> list[Comment]:
    """The newest comments on the thing, oldest first; one query."""
    return comments.listed(kind, number)


@register.simple_tag(takes_context=True)
def member_names(context: template.Context) -> list[str]:
    """User names of the members of the page's project, to be called by ``@name``; one query."""
    project: Any = context["project"]
    rows = project.memberships.filter(valid_to=None, user__is_active=True).values_list("user__username", flat=True)
    return list(rows.distinct().order_by("user__username")[:200])
