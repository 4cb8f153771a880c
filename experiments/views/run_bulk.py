"""Actions on several chosen runs."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from experiments.models import Run
from experiments.services import runs
from experiments.views.runs_of import RunsOf, numbers
from mlportal.lib.errors import Invalid
from projects.permissions import Permission

BULK_LIMIT = 200


class RunBulk(RunsOf):
    """One change to several chosen runs."""

    write_permission = Permission.RUN_EDIT

    def post(self, request: HttpRequest, experiment: str) -> HttpResponse:
        """Archive, restore or tag the chosen runs."""
        found = self.experiment(experiment)
        chosen_numbers = numbers(",".join(request.POST.getlist("run")[:BULK_LIMIT]))
        chosen = (
            Run.objects.visible_to(self.actor).filter(experiment=found, pk__in=chosen_numbers).select_related("project")
        )
        action, tag = request.POST.get("action", ""), request.POST.get("tag", "").strip()
        done = 0
        for run in chosen:
            if action == "archive":
                runs.delete(self.actor, run=run)
            elif action == "restore":
                runs.restore(self.actor, run=run)
            elif action == "tag" and tag:
                name, _, value = tag.partition("=")
                runs.set_tags(self.actor, run=run, tags={name.strip(): value.strip()})
            else:
                raise Invalid("Choose archive, restore, or a tag.", field="action")
            done += 1
        words = {"archive": "archived", "restore": "restored", "tag": f"tagged {tag}"}[action or "tag"]
        messages.success(request, f"{done} {'run' if done == 1 else 'runs'} {words}.")
        back = request.POST.get("back", "")
        query = back if back.startswith("?") else ""
        return redirect(reverse("experiments:run-list", args=[self.project.slug, found.address]) + query)
