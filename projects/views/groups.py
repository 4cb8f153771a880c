"""Pages of groups: who is in them, what they hold, and which names of a sign-in provider mean them."""

from functools import partial
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from mlportal.lib.moments import Span
from projects.access import SiteView
from projects.forms import people
from projects.models import Group, GroupMapping, GroupMember
from projects.permissions import ROLE_LABELS, Permission, Role, allowed
from projects.services import groups, past, principals
from projects.services.past import Section
from projects.views.accounts import see_other

PAGE = 100


class GroupList(SiteView):
    """Groups one may see; a site administrator makes them here and maps names of providers to them."""

    reads = Group
    permission = Permission.GROUP_MANAGE

    def get(self, request: HttpRequest) -> HttpResponse:
        return self.page(request, people.NewGroup(), people.NewMapping(), 200)

    def post(self, request: HttpRequest) -> HttpResponse:
        form = people.NewGroup(request.POST)
        made = form.attempt(lambda: groups.create(self.actor, **form.cleaned_data)) if form.is_valid() else None
        if made is None:
            return self.page(request, form, people.NewMapping(), 422)
        messages.success(request, f"{made} is made. Add people next.")
        return see_other(reverse("projects:group", args=[made.pk]))

    def page(
        self, request: HttpRequest, form: people.NewGroup, mapping: people.NewMapping, status: int
    ) -> HttpResponse:
        """Show the list with its forms."""
        after = request.GET.get("after", "")[:100]
        found = list(self.rows().active().filter(name_key__gt=after).order_by("name_key")[: PAGE + 1])
        admin = allowed(self.actor, Permission.SITE_ADMIN, None)
        mappings = GroupMapping.objects.filter(valid_to=None).select_related("group").order_by("provider", "pk")
        values = {
            "form": form, "mapping_form": mapping, "groups": found[:PAGE], "admin": admin,
            "more": found[PAGE - 1].name_key if len(found) > PAGE else "", "mappings": mappings if admin else [],
        }  # fmt: skip
        return render(request, "projects/groups.html", values, status=status)


class MappingNew(GroupList):
    """Map a provider's name to a group."""

    permission = Permission.SITE_ADMIN

    def post(self, request: HttpRequest) -> HttpResponse:
        form = people.NewMapping(request.POST)
        made = form.attempt(lambda: self._map(form.cleaned_data)) if form.is_valid() else None
        if made is None:
            return self.page(request, people.NewGroup(), form, 422)
        messages.success(request, f"{made} from the next sign-in on.")
        return see_other(reverse("projects:group-list"))

    def _map(self, values: dict[str, Any]) -> GroupMapping:
        group = principals.group(values.pop("group"))
        return groups.map_name(self.actor, group=group, **values)


class MappingEnd(SiteView):
    """End a mapping."""

    reads = GroupMapping
    permission = Permission.SITE_ADMIN

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        rows = GroupMapping.objects.filter(valid_to=None).select_related("group")
        groups.unmap(self.actor, mapping=self.find(rows, pk=pk))
        messages.success(request, "The mapping has ended.")
        return see_other(reverse("projects:group-list"))


class OneGroup(SiteView):
    """Base of what is about one group."""

    reads = Group
    permission = Permission.GROUP_MANAGE

    def group(self, pk: int) -> Group:
        """The group of the address, or 404."""
        found: Group = self.find(self.rows().active(), pk=pk)
        return found


class GroupPage(OneGroup):
    """One group: people, owners, roles; its owners add and remove people here."""

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        return self._page(request, self.group(pk), people.NewGroupMember(), 200)

    def past(self, span: Span, pk: int) -> list[Section]:
        """Return who was in it; of an archived group too."""
        return past.group(self.find(self.rows(), pk=pk), span)

    def past_heading(self, **kwargs: Any) -> str:
        return str(self.find(self.rows(), **kwargs))

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        group, form = self.group(pk), people.NewGroupMember(request.POST)
        made = form.attempt(lambda: self._add(group, form.cleaned_data)) if form.is_valid() else None
        if made is None:
            return self._page(request, group, form, 422)
        messages.success(request, f"{made}.")
        return see_other(reverse("projects:group", args=[group.pk]))

    def _add(self, group: Group, values: dict[str, Any]) -> GroupMember:
        user = principals.person(values["user"])
        return groups.add(self.actor, group=group, user=user, as_owner=values["as_owner"])

    def _page(
        self, request: HttpRequest, group: Group, form: people.NewGroupMember, status: int,
        edit_form: people.NewGroup | None = None,
    ) -> HttpResponse:  # fmt: skip
        admin = allowed(self.actor, Permission.SITE_ADMIN, None)
        rows = group.people.filter(valid_to=None).select_related("user").order_by("-is_owner", "user__username", "pk")
        grants = group.grants.filter(valid_to=None).select_related("project").order_by("project__name")
        owner = self.actor.user is not None and group.is_owned_by(self.actor.user)
        values = {
            "group": group, "form": form, "people": rows, "admin": admin, "change": admin or owner,
            "edit_form": edit_form or _edit_form(group),
            "grants": [(grant, ROLE_LABELS[Role(grant.role)]) for grant in grants],
        }  # fmt: skip
        return render(request, "projects/group.html", values, status=status)


def _edit_form(group: Group) -> people.NewGroup:
    return people.NewGroup(initial={"name": group.name, "description": group.description}, auto_id="edit_%s")


class GroupEdit(GroupPage):
    """Give a group another name and description."""

    permission = Permission.SITE_ADMIN

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        group, form = self.group(pk), people.NewGroup(request.POST, auto_id="edit_%s")
        change = partial(groups.edit, self.actor, group=group)
        done = form.attempt(lambda: change(**form.cleaned_data)) if form.is_valid() else None
        if done is None:
            return self._page(request, group, people.NewGroupMember(), 422, form)
        messages.success(request, f"{done} is changed.")
        return see_other(reverse("projects:group", args=[group.pk]))


class GroupMemberEnd(OneGroup):
    """Take a person out of a group."""

    def post(self, request: HttpRequest, pk: int, member: int) -> HttpResponse:
        group = self.group(pk)
        row = self.find(group.people.filter(valid_to=None).select_related("group", "user"), pk=member)
        groups.remove(self.actor, member=row)
        messages.success(request, f"{row.user} has left {group}.")
        return see_other(reverse("projects:group", args=[group.pk]))


class GroupArchive(OneGroup):
    """End a group."""

    permission = Permission.SITE_ADMIN

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        group = groups.archive(self.actor, group=self.group(pk))
        messages.success(request, f"{group} is archived; its roles have ended.")
        return see_other(reverse("projects:group-list"))
