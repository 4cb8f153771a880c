"""Stars and comments of any page: small posts that lead back to where they came from."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from mlportal.lib.errors import Conflict, Invalid
from projects.access import ProjectView
from projects.models import Comment, Star
from projects.permissions import Permission
from projects.services import comments, stars, targets
from projects.views.accounts import see_other


def _back(request: HttpRequest, fallback: str, mark: str = "") -> HttpResponse:
    """Return to the page that asked, if it is one of ours."""
    place = request.POST.get("back", "")
    safe = place.startswith("/") and not place.startswith("//") and "\\" not in place and place.isprintable()
    return see_other((place.partition("#")[0] if safe else fallback) + mark)


class ThingShow(ProjectView):
    """What is said of a thing, whatever it is; the only such page of a thing that shares its page with others."""

    reads = Comment
    permission = Permission.PROJECT_VIEW

    def get(self, request: HttpRequest, kind: str, number: int) -> HttpResponse:
        """Show its comments beside the way to it."""
        target = targets.find(self.actor, project=self.project, kind=kind, number=number)
        request.place = target.place  # what ``can`` in templates asks about
        return render(request, "projects/thing.html", {"target": target})


class StarPut(ProjectView):
    """Star a thing, or take the star away."""

    reads = Star
    permission = Permission.PROJECT_VIEW
    write_permission = Permission.MARK_KEEP

    def post(self, request: HttpRequest, kind: str, number: int) -> HttpResponse:
        """``starred`` is 1 or 0."""
        target = targets.find(self.actor, project=self.project, kind=kind, number=number)
        starred = request.POST.get("starred") != "0"
        stars.put(self.actor, project=self.project, target=target, starred=starred)
        if request.headers.get("HX-Request"):
            values = {"type": kind, "number": number, "known": "1", "starred": starred}
            return render(request, "components/star.html", values)
        return _back(request, target.said_at)


class CommentAdd(ProjectView):
    """Say something about a thing."""

    reads = Comment
    permission = Permission.PROJECT_VIEW
    write_permission = Permission.COMMENT_ADD

    def post(self, request: HttpRequest, kind: str, number: int) -> HttpResponse:
        """Add a comment; a refused one comes back with what was typed."""
        target = targets.find(self.actor, project=self.project, kind=kind, number=number)
        text = request.POST.get("text", "")
        try:
            made = comments.add(self.actor, project=self.project, target=target, text=text)
        except Invalid as error:
            values = {"target": target, "typed": text[: comments.MAX_CHARS * 2], "error": error}
            return render(request, "projects/comment.html", values, status=422)
        return _back(request, target.said_at, f"#comment-{made.pk}")


class _OneComment(ProjectView):
    abstract = True
    reads = Comment
    permission = Permission.PROJECT_VIEW

    def comment(self, number: int) -> Any:
        """The comment of the address, which is not deleted."""
        rows = self.rows().in_project(self.project).filter(deleted_at=None).select_related("project", "author")
        return self.find(rows, pk=number)


class CommentShow(_OneComment):
    """Where a comment stands; who was called by it has now seen it."""

    def get(self, request: HttpRequest, comment: int) -> HttpResponse:
        """Go to the comment on its page."""
        found = self.comment(comment)
        return see_other(f"{comments.see(self.actor, comment=found).said_at}#comment-{found.pk}")


class CommentEdit(_OneComment):
    """Change one's own words."""

    write_permission = Permission.COMMENT_ADD

    def get(self, request: HttpRequest, comment: int) -> HttpResponse:
        """Show the form."""
        found = self.comment(comment)
        target = comments.see(self.actor, comment=found)
        return render(request, "projects/comment.html", {"target": target, "comment": found, "typed": found.text})

    def post(self, request: HttpRequest, comment: int) -> HttpResponse:
        """Save the words."""
        found, text = self.comment(comment), request.POST.get("text", "")
        target = comments.see(self.actor, comment=found)
        try:
            comments.edit(self.actor, comment=found, text=text)
        except Invalid as error:
            values = {"target": target, "comment": found, "typed": text[: comments.MAX_CHARS * 2], "error": error}
            return render(request, "projects/comment.html", values, status=422)
        return see_other(f"{target.said_at}#comment-{found.pk}")


class CommentDelete(_OneComment):
    """Take one's own words back."""

    write_permission = Permission.COMMENT_ADD

    def post(self, request: HttpRequest, comment: int) -> HttpResponse:
        """Delete the comment."""
        found = self.comment(comment)
        target = comments.see(self.actor, comment=found)
        try:
            comments.delete(self.actor, comment=found)
        except Conflict as error:
            messages.error(request, error.message)
        else:
            messages.success(request, "The comment is deleted.")
        return see_other(target.said_at)
