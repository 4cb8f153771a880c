"""Who belongs to a project, with their tokens here."""

from typing import Any

from django.contrib import messages
from django.db.models import Count, Max, OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone

from mlportal.lib.errors import Invalid
from mlportal.lib.moments import Span
from projects.access import ProjectView
from projects.forms import people
from projects.models import ApiToken, GroupGrant, Membership, User
from projects.permissions import GRANTS, ROLE_LABELS, Permission, Role, allowed
from projects.services import group_roles, members, past, principals
from projects.services.past import Section
from projects.views.accounts import see_other


def open_members(view: ProjectView) -> QuerySet[Membership]:
    """Memberships that hold now, with how many live tokens each person has here and when they were last used."""
    live = Q(expires_at__gt=timezone.now(), revoked_at=None)
    own = ApiToken.objects.filter(live, user=OuterRef("user"), project=view.project).order_by().values("user")
    return (
        view.project.memberships.filter(valid_to=None)
        .select_related("user", "project", "group")
        .annotate(
            tokens=Subquery(own.annotate(n=Count("pk")).values("n")),
            token_used_at=Subquery(own.annotate(at=Max("last_used_at")).values("at")),
        )
        .order_by("user__username", "role")
    )


class MembersPage(ProjectView):
    """Base of what answers with the page of members."""

    abstract = True

    def page(
        self,
        request: HttpRequest,
        form: people.NewMember,
        status: int,
        group_form: people.NewGroupRole | None = None,
        changing: dict[int, people.GroupRoleChange] | None = None,
    ) -> HttpResponse:
        """Show everybody with their roles, and the forms."""
        manage = allowed(self.actor, Permission.MEMBER_MANAGE, self.project)
        grants = self.project.group_grants.filter(valid_to=None).select_related("group").order_by("group__name_key")
        values = {
            "form": form,
            "members": open_members(self),
            "group_form": group_form or people.NewGroupRole(),
            "group_roles": [(grant, (changing or {}).get(grant.pk) or _change_form(grant)) for grant in grants],
            "folder_roles": self.project.folder_roles.open().select_related("user", "group").order_by("folder_name"),
            "roles": people.ROLES,
            "manage": manage,
            "grants": _grants(),
        }
        return render(request, "projects/members.html", values, status=status)


class MemberList(MembersPage):
    """Everybody with their roles; the form to add one."""

    reads = Membership
    permission = Permission.PROJECT_VIEW
    write_permission = Permission.MEMBER_MANAGE

    def get(self, request: HttpRequest) -> HttpResponse:
        return self.page(request, people.NewMember(), 200)

    def past(self, span: Span) -> list[Section]:
        return past.members(self.project, span)

    def past_heading(self, **kwargs: Any) -> str:
        del kwargs
        return "Members"

    def post(self, request: HttpRequest) -> HttpResponse:
        form = people.NewMember(request.POST)
        member = form.attempt(lambda: self._add(form.cleaned_data)) if form.is_valid() else None
        if member is None:
            return self.page(request, form, 422)
        messages.success(request, f"{member.user} is {ROLE_LABELS[Role(member.role)]} now.")
        return see_other(reverse("projects:member-list", args=[self.project.slug]))

    def _add(self, values: dict[str, Any]) -> Membership:
        user = User.objects.filter(username__iexact=values["user"], is_active=True).first()
        if user is None:
            raise Invalid("There is no active account with this name.", field="user", got=values["user"])
        return members.add(self.actor, project=self.project, user=user, role=values["role"], until=values["until"])


class GroupRoleGive(MemberList):
    """Give a group a role here; the page of members with what is wrong otherwise."""

    def post(self, request: HttpRequest) -> HttpResponse:
        form = people.NewGroupRole(request.POST)
        grant = form.attempt(lambda: self._give(form.cleaned_data)) if form.is_valid() else None
        if grant is None:
            return self.page(request, people.NewMember(), 422, form)
        messages.success(request, f"Everybody in {grant.group} is {ROLE_LABELS[Role(grant.role)]} now.")
        return see_other(reverse("projects:member-list", args=[self.project.slug]))

    def _give(self, values: dict[str, Any]) -> GroupGrant:
        group = principals.group(values.pop("group"))
        return group_roles.grant(self.actor, project=self.project, group=group, **values)


class GroupRoleChange(MembersPage):
    """Replace the role of a group by another, or give it another end."""

    reads = GroupGrant
    permission = Permission.MEMBER_MANAGE

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        rows = self.project.group_grants.filter(valid_to=None).select_related("group", "project")
        grant, form = self.find(rows, pk=pk), people.GroupRoleChange(request.POST, auto_id=f"g{pk}_%s")
        changed = form.attempt(lambda: self._change(grant, form.cleaned_data)) if form.is_valid() else None
        if changed is None:
            return self.page(request, people.NewMember(), 422, changing={pk: form})
        messages.success(request, f"Everybody in {changed.group} is {ROLE_LABELS[Role(changed.role)]} now.")
        return see_other(reverse("projects:member-list", args=[self.project.slug]))

    def _change(self, grant: GroupGrant, values: dict[str, Any]) -> GroupGrant:
        return group_roles.change(self.actor, grant=grant, **values)


class GroupRoleEnd(ProjectView):
    """Take a role of a group away."""

    reads = GroupGrant
    permission = Permission.MEMBER_MANAGE

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        rows = self.project.group_grants.filter(valid_to=None).select_related("group", "project")
        grant = group_roles.end(self.actor, grant=self.find(rows, pk=pk))
        messages.success(request, f"{grant.group} is not {ROLE_LABELS[Role(grant.role)]} here any more.")
        return see_other(reverse("projects:member-list", args=[self.project.slug]))


def _change_form(grant: GroupGrant) -> people.GroupRoleChange:
    until = f"{grant.valid_until:%Y-%m-%d %H:%M}" if grant.valid_until else ""
    return people.GroupRoleChange(initial={"role": grant.role, "until": until}, auto_id=f"g{grant.pk}_%s")


def _grants() -> list[dict[str, object]]:
    """Rows of the roles matrix: what each role may do besides looking."""
    words = {
        Permission.DATASET_CREATE: "Add datasets", Permission.JOB_LAUNCH: "Launch training",
        Permission.MODEL_REGISTER: "Register models", Permission.PROMOTION_REQUEST: "Ask for promotion",
        Permission.PROMOTION_DECIDE: "Decide promotions", Permission.ENDPOINT_DEPLOY: "Deploy and roll back",
        Permission.ALERT_HANDLE: "Handle alerts", Permission.COMMENT_ADD: "Comment",
        Permission.POLICY_EDIT: "Edit policies", Permission.AUDIT_VIEW: "Read the audit log",
        Permission.MEMBER_MANAGE: "Manage members",
    }  # fmt: skip
    return [
        {"words": text, "cells": [(ROLE_LABELS[role], permission in GRANTS[role]) for role in Role]}
        for permission, text in words.items()
    ]


class MemberRole(ProjectView):
    """Replace one role by another."""

    reads = Membership
    permission = Permission.MEMBER_MANAGE

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        member = self.find(
            self.project.memberships.filter(valid_to=None).select_related("user", "project", "group"), pk=pk
        )
        changed = members.change_role(self.actor, member=member, role=request.POST.get("role", ""))
        messages.success(request, f"{changed.user} is {ROLE_LABELS[Role(changed.role)]} now.")
        return see_other(reverse("projects:member-list", args=[self.project.slug]))


class MemberRemove(ProjectView):
    """Take one role away."""

    reads = Membership
    permission = Permission.MEMBER_MANAGE

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        member = self.find(
            self.project.memberships.filter(valid_to=None).select_related("user", "project", "group"), pk=pk
        )
        members.remove(self.actor, member=member)
        messages.success(request, f"{member.user} is not {ROLE_LABELS[Role(member.role)]} any more.")
        return see_other(reverse("projects:member-list", args=[self.project.slug]))
