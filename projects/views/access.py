"""Pages that say why somebody can or cannot do something, and who can."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from mlportal.lib.errors import DomainError
from projects.access import ProjectView, asked_moment
from projects.forms.access import WhoForm, WhyForm
from projects.models import ApiToken, Membership
from projects.permissions import Permission, allowed
from projects.services import who, why


class AccessPage(ProjectView):
    """Base of both: what is asked stands in the address, and what is wrong with it above the form."""

    abstract = True

    def asked(self, request: HttpRequest) -> dict[str, str]:
        """What the address asks."""
        return {key: request.GET.get(key, "")[:200] for key in ("permission", "on")}


class AccessWhy(AccessPage):
    """Why a person, a service account or a token may or may not do something."""

    reads = Membership
    permission = Permission.PROJECT_VIEW

    def get(self, request: HttpRequest) -> HttpResponse:
        answer, error = None, None
        asked = self.asked(request) | {key: request.GET.get(key, "")[:200] for key in ("person", "token")}
        if asked["permission"]:
            try:
                answer = why.explain(self.actor, project=self.project, **asked)
            except DomainError as refused:
                error = refused
        manage = allowed(self.actor, Permission.MEMBER_MANAGE, self.project)
        form = WhyForm(initial=asked, project=self.project, asked=answer.thing if answer else None)
        if not manage:
            del form.fields["person"]
        values = {
            "form": form, "answer": answer, "error": error, "manage": manage, "asked": asked,
            "tokens": self._tokens(answer) if answer else [],
            "is_own": answer is not None and answer.user == self.actor.user,
        }  # fmt: skip
        return render(request, "projects/access_why.html", values, status=error.status if error else 200)

    def _tokens(self, answer: why.Answer) -> list[ApiToken]:
        """Live tokens of the person here, to ask about each."""
        rows = ApiToken.objects.live().filter(user=answer.user, project=self.project)
        return list(rows.order_by("-pk")[:20])


class AccessWho(AccessPage):
    """Everybody who may do something, and through what; with ``?as_of=`` who could have."""

    reads = Membership
    permission = Permission.AUDIT_VIEW

    def get(self, request: HttpRequest) -> HttpResponse:
        found, error, span = None, None, None
        asked = self.asked(request)
        try:
            span = asked_moment(request)
            if asked["permission"]:
                found = who.holders(
                    self.actor, project=self.project, span=span, after=request.GET.get("after", ""), **asked
                )
        except DomainError as refused:
            error = refused
        values = {
            "form": WhoForm(initial=asked, project=self.project, asked=found.thing if found else None),
            "found": found, "error": error, "span": span, "as_of": request.GET.get("as_of", "")[:40],
            "asked": asked, "manage": allowed(self.actor, Permission.MEMBER_MANAGE, self.project),
        }  # fmt: skip
        return render(request, "projects/access_who.html", values, status=error.status if error else 200)
