"""REST routes of stars and comments."""

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from mlportal.lib.errors import Invalid
from projects.access import ScopedAPIView
from projects.models import Comment, Star
from projects.permissions import Permission
from projects.services import comments, stars, targets

_KINDS = f"One of: {', '.join(targets.known())}."


class StarIn(serializers.Serializer[Any]):
    """What is to be starred."""

    type = serializers.CharField(max_length=40, help_text=_KINDS)
    number = serializers.IntegerField(min_value=1, max_value=2**63 - 1)


class StarOut(serializers.ModelSerializer[Star]):
    """A star of the caller's own."""

    type = serializers.CharField(source="target_type")
    number = serializers.IntegerField(source="target_id")

    class Meta:
        model = Star
        fields: ClassVar = ["type", "number", "created_at"]


class NewCommentIn(serializers.Serializer[Any]):
    """A new comment."""

    type = serializers.CharField(max_length=40, help_text=_KINDS)
    number = serializers.IntegerField(min_value=1, max_value=2**63 - 1)
    text = serializers.CharField(max_length=comments.MAX_CHARS, trim_whitespace=False)


class CommentChange(serializers.Serializer[Any]):
    """Other words."""

    text = serializers.CharField(max_length=comments.MAX_CHARS, trim_whitespace=False)


class CommentOut(serializers.ModelSerializer[Comment]):
    """A comment."""

    type = serializers.CharField(source="target_type")
    number = serializers.IntegerField(source="target_id")
    author = serializers.CharField(source="author.username")

    class Meta:
        model = Comment
        fields: ClassVar = ["id", "type", "number", "author", "text", "created_at", "edited_at"]


def _read(shape: type[serializers.Serializer[Any]], request: Request) -> dict[str, Any]:
    body = shape(data=request.data)
    body.is_valid(raise_exception=True)
    return dict(body.validated_data)


class Stars(ScopedAPIView):
    """The caller's stars in a project."""

    reads = Star
    permissions: ClassVar = {"GET": Permission.PROJECT_VIEW, "POST": Permission.MARK_KEEP}

    @extend_schema(operation_id="stars_list", responses=StarOut(many=True))
    def get(self, request: Request) -> Response:
        """List stars, newest first."""
        return self.page(self.rows().in_project(self.project), StarOut)

    @extend_schema(operation_id="stars_put", request=StarIn, responses={201: StarIn})
    def post(self, request: Request) -> Response:
        """Star a thing; a second time changes nothing."""
        given = _read(StarIn, request)
        target = targets.find(self.actor, project=self.project, kind=given["type"], number=given["number"])
        stars.put(self.actor, project=self.project, target=target)
        return Response(given, status=status.HTTP_201_CREATED)


class StarDetail(ScopedAPIView):
    """One star of the caller's."""

    reads = Star
    permissions: ClassVar = {"DELETE": Permission.MARK_KEEP}

    @extend_schema(operation_id="stars_remove", responses={204: None})
    def delete(self, request: Request, kind: str, number: int) -> Response:
        """Take a star away."""
        target = targets.find(self.actor, project=self.project, kind=kind, number=number)
        stars.put(self.actor, project=self.project, target=target, starred=False)
        return Response(status=status.HTTP_204_NO_CONTENT)


class Comments(ScopedAPIView):
    """Comments on one thing."""

    reads = Comment
    permissions: ClassVar = {"GET": Permission.PROJECT_VIEW, "POST": Permission.COMMENT_ADD}

    @extend_schema(
        operation_id="comments_list",
        parameters=[
            OpenApiParameter("type", str, required=True, description=_KINDS),
            OpenApiParameter("number", int, required=True),
        ],
        responses=CommentOut(many=True),
    )
    def get(self, request: Request) -> Response:
        """List the comments on a thing, newest first."""
        number = request.query_params.get("number", "")
        if not (number.isascii() and number.isdigit() and len(number) < 19):
            raise Invalid("number must be a whole number.", field="number", got=number[:40])
        given = {"type": request.query_params.get("type", ""), "number": int(number)}
        target = targets.find(self.actor, project=self.project, kind=given["type"], number=given["number"])
        rows = self.rows().on(target.kind, target.number).filter(deleted_at=None).select_related("author")
        return self.page(rows, CommentOut)

    @extend_schema(operation_id="comments_add", request=NewCommentIn, responses={201: CommentOut})
    def post(self, request: Request) -> Response:
        """Comment on a thing; members called by @username find it in their inbox."""
        given = _read(NewCommentIn, request)
        text = given.pop("text")
        target = targets.find(self.actor, project=self.project, kind=given["type"], number=given["number"])
        made = comments.add(self.actor, project=self.project, target=target, text=text)
        return Response(CommentOut(made).data, status=status.HTTP_201_CREATED)


class CommentDetail(ScopedAPIView):
    """One comment."""

    reads = Comment
    permissions: ClassVar = {
        "GET": Permission.PROJECT_VIEW, "PATCH": Permission.COMMENT_ADD, "DELETE": Permission.COMMENT_ADD,
    }  # fmt: skip

    def load(self, number: int) -> Comment:
        """The comment of the address, if its thing may be seen, or 404."""
        rows = self.rows().in_project(self.project).filter(deleted_at=None).select_related("project", "author")
        found: Comment = self.find(rows, pk=number)
        targets.find(self.actor, project=self.project, kind=found.target_type, number=found.target_id)
        return found

    @extend_schema(operation_id="comments_get", responses=CommentOut)
    def get(self, request: Request, comment: int) -> Response:
        """Read a comment."""
        return Response(CommentOut(self.load(comment)).data)

    @extend_schema(operation_id="comments_update", request=CommentChange, responses=CommentOut)
    def patch(self, request: Request, comment: int) -> Response:
        """Change one's own words."""
        made = comments.edit(self.actor, comment=self.load(comment), **_read(CommentChange, request))
        return Response(CommentOut(made).data)

    @extend_schema(operation_id="comments_delete", responses={204: None})
    def delete(self, request: Request, comment: int) -> Response:
        """Take one's own words back."""
        comments.delete(self.actor, comment=self.load(comment))
        return Response(status=status.HTTP_204_NO_CONTENT)
