"""Legal holds in the settings of a project: those that stand, those that were, placing and lifting."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from mlportal.lib.moments import Span
from projects.access import ProjectView
from projects.forms.legal_holds import LiftHold, NewHold
from projects.models import Dataset, LegalHold
from projects.permissions import Permission, allowed
from projects.services import legal_holds, past
from projects.services.past import Section
from projects.views.accounts import see_other

SHOWN = 100


class _Holds(ProjectView):
    abstract = True
    reads = LegalHold
    permission = Permission.AUDIT_VIEW
    write_permission = Permission.PROJECT_EDIT

    def found(self) -> Any:
        """Holds of the project with who placed and lifted them, newest first."""
        rows = self.rows().filter(project=self.project).order_by("-pk")
        return rows.select_related("project", "dataset", "placed_by", "lifted_by")

    def form(self, data: Any = None) -> NewHold:
        """A form that offers the datasets of the project, those in its trash too."""
        return NewHold(data, datasets=Dataset.objects.filter(project=self.project).order_by("name_key"))

    def show(self, request: HttpRequest, new: NewHold, lifting: dict[int, LiftHold], status: int = 200) -> HttpResponse:
        """The page."""
        editable = allowed(self.actor, Permission.PROJECT_EDIT, self.project)
        standing = [
            (hold, (lifting.get(hold.pk) or LiftHold(auto_id=f"l{hold.pk}_%s")) if editable else None)
            for hold in self.found().standing()[:SHOWN]
        ]
        lifted = self.found().filter(lifted_at__isnull=False)[:SHOWN]
        values = {"standing": standing, "lifted": lifted, "form": new if editable else None, "opened": set(lifting)}
        return render(request, "projects/legal_holds.html", values, status=status)

    def home(self) -> HttpResponse:
        """Back to the list."""
        return see_other(reverse("projects:legal-hold-list", args=[self.project.slug]))


class LegalHoldList(_Holds):
    """Holds that stand and that stood; a project admin places one."""

    reads = LegalHold
    permission = Permission.AUDIT_VIEW

    def past(self, span: Span) -> list[Section]:
        """Those that stood then."""
        return past.legal_holds(self.project, span)

    def past_heading(self, **kwargs: Any) -> str:
        """Name of the page."""
        del kwargs
        return "Legal holds"

    def get(self, request: HttpRequest) -> HttpResponse:
        """All of them."""
        return self.show(request, self.form(), {})

    def post(self, request: HttpRequest) -> HttpResponse:
        """Place one, or show what is wrong."""
        form = self.form(request.POST)
        made = (
            form.attempt(lambda: legal_holds.place(self.actor, project=self.project, **form.cleaned_data))
            if form.is_valid()
            else None
        )
        if made is None:
            return self.show(request, form, {}, status=422)
        messages.success(request, f"The {made} stands. Nothing that it covers is removed for good.")
        return self.home()


class LegalHoldLift(_Holds):
    """End a hold."""

    reads = LegalHold
    permission = Permission.PROJECT_EDIT
    http_method_names = ["post"]

    def post(self, request: HttpRequest, number: int) -> HttpResponse:
        """Lift it, or show what is wrong."""
        hold = self.find(self.found(), pk=number)
        form = LiftHold(request.POST, auto_id=f"l{hold.pk}_%s")
        done = (
            form.attempt(lambda: legal_holds.lift(self.actor, hold=hold, **form.cleaned_data))
            if form.is_valid()
            else None
        )
        if done is None:
            return self.show(request, self.form(), {hold.pk: form}, status=422)
        messages.success(request, f"The {done} is lifted.")
        return self.home()
