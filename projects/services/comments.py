"""Comments on things, and the people they call by ``@username``."""

from __future__ import annotations

import re

from django.db import transaction
from django.utils import timezone

from mlportal.lib import names
from mlportal.lib.errors import Conflict, Forbidden
from projects.actor import Actor
from projects.models import Comment, Mention, Project, User
from projects.permissions import Permission, require
from projects.services import events, targets
from projects.services.targets import Target

MAX_CHARS = 10_000
MOST_MENTIONS = 20
MOST = 1000
SHOWN = 200
EXCERPT = 200
# Code is no call, and neither is an address of mail.
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)
_MENTION = re.compile(r"(?<![\w@./-])@([\w.+-]{1,150})")


def add(by: Actor, *, project: Project, target: Target, text: str) -> Comment:
    """Say something about a thing; members called by ``@username`` find it in their inbox.

    Parameters
    ----------
    text : str
        Markdown, 1 to 10,000 characters.

    Raises
    ------
    Invalid
        If the text is empty or too long.
    Conflict
        If the thing has 1,000 comments.
    """
    require(by, Permission.COMMENT_ADD, project, within=target.place)
    said = names.clean_text(text, field="text", limit=MAX_CHARS, required=True)
    if by.user is None:
        raise Forbidden("Only a person comments.")
    with transaction.atomic():
        if Comment.objects.on(target.kind, target.number).count() >= MOST:
            raise Conflict(f"There are {MOST} comments here; no more are taken.", limit=MOST)
        comment = Comment.objects.create(
            project=project, target_type=target.kind, target_id=target.number, author=by.user, text=said
        )
        called = _call(comment, said)
        told = {
            "comment": comment.pk, "text": said[:EXCERPT], "mentions": called,
            "label": target.label, "page": target.href,
        }  # fmt: skip
        events.record(by, "comment.added", project=project, target=target.row, data=told)
    return comment


def edit(by: Actor, *, comment: Comment, text: str) -> Comment:
    """Change one's own words; people who are called anew find it in their inbox.

    Raises
    ------
    Invalid
        As for `add`.
    Forbidden
        If somebody else wrote it.
    Conflict
        If it is deleted.
    """
    require(by, Permission.COMMENT_ADD, comment.project)
    said = names.clean_text(text, field="text", limit=MAX_CHARS, required=True)
    with transaction.atomic():
        held = _own(by, comment)
        held.text, held.edited_at = said, timezone.now()
        held.save(update_fields=["text", "edited_at"])
        data = {"comment": held.pk, "mentions": _call(held, said)}
        events.record(by, "comment.edited", project=held.project, target=held, data=data)
    return held


def delete(by: Actor, *, comment: Comment) -> None:
    """Take back one's own words.

    Raises
    ------
    Forbidden
        If somebody else wrote it.
    Conflict
        If it is deleted already.
    """
    require(by, Permission.COMMENT_ADD, comment.project)
    with transaction.atomic():
        held = _own(by, comment)
        held.text, held.deleted_at = "", timezone.now()
        held.save(update_fields=["text", "deleted_at"])
        held.mentions.all().delete()
        events.record(by, "comment.deleted", project=held.project, target=held, data={"comment": held.pk})


def listed(target_type: str, target_id: int) -> list[Comment]:
    """The newest 200 comments on a thing, oldest first."""
    rows = Comment.objects.on(target_type, target_id).select_related("author")
    return list(rows.filter(deleted_at=None).order_by("-pk")[:SHOWN])[::-1]


def see(by: Actor, *, comment: Comment) -> Target:
    """Return what a comment stands on; the reader has now seen it."""
    require(by, Permission.PROJECT_VIEW, comment.project)
    target = targets.find(by, project=comment.project, kind=comment.target_type, number=comment.target_id)
    Mention.objects.filter(comment=comment, user=by.user, seen_at=None).update(seen_at=timezone.now())
    return target


def mentioned(text: str) -> list[str]:
    """User names that a text calls, in folded form, each once."""
    found = (name.rstrip(".-+").casefold() for name in _MENTION.findall(_CODE.sub(" ", text)))
    return [name for name in dict.fromkeys(found) if name][:MOST_MENTIONS]


def _call(comment: Comment, text: str) -> list[str]:
    """Write down who is called: members of the project, but not the author. Returns their user names."""
    wanted = set(mentioned(text))
    if not wanted:
        return []
    members = User.objects.filter(
        memberships__project=comment.project, memberships__valid_to=None, is_active=True
    ).distinct()  # fmt: skip
    people = [user for user in members if user.username.casefold() in wanted and user.pk != comment.author_id]
    Mention.objects.bulk_create((Mention(comment=comment, user=user) for user in people), ignore_conflicts=True)
    return sorted(user.pk for user in people)


def _own(by: Actor, comment: Comment) -> Comment:
    held = (
        Comment.objects.select_for_update(of=("self",), no_key=True)
        .select_related("project", "author")
        .get(pk=comment.pk)
    )
    if by.user is None or held.author_id != by.user.pk:
        raise Forbidden("Only the author changes a comment.")
    if held.deleted_at is not None:
        raise Conflict("This comment is deleted.")
    return held
