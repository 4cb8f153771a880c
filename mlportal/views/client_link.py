"""Where the addresses lead that MLflow clients print after a run."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from experiments.models import LoggedModel, Run
from mlportal.lib.errors import Missing
from projects.access import SiteView
from projects.models import Project
from projects.permissions import Permission


class ClientLink(SiteView):
    """``/from-client/<id>/``: a client knows runs and logged models by their ids, and not their project."""

    reads = Project
    permission = Permission.ACCOUNT_VIEW

    def get(self, request: HttpRequest, uuid: str) -> HttpResponse:
        """Open the page of what has this id."""
        run = Run.objects.visible_to(self.actor).filter(uuid=uuid).select_related("project").first()
        if run is not None:
            return redirect("experiments:run-show", run.project.slug, run.pk)
        model = LoggedModel.objects.visible_to(self.actor).filter(uuid=uuid).select_related("project").first()
        if model is None:
            raise Missing(f"There is no run and no logged model {uuid[:40]!r}.")
        return redirect("experiments:logged-model-show", model.project.slug, model.uuid)
