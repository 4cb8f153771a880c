"""Reads that join several tables of the deployments app."""

from collections.abc import Sequence

from django.db.models import Count

from deployments.models import ModelVersion
from projects.services.datasets import Use, Uses


def dataset_uses(version_ids: Sequence[int], *, newest: int) -> dict[int, Uses]:
    """Model versions trained on these dataset versions: how many, and the newest of them all."""
    made = ModelVersion.objects.filter(dataset_version__in=version_ids)
    found = {
        version: Uses(models=count)
        for version, count in made.order_by().values_list("dataset_version").annotate(count=Count("pk"))
    }
    for each in made.select_related("model__project").order_by("-pk")[:newest] if newest else ():
        address = f"/p/{each.model.project.slug}/models/{each.model.name}/v/{each.number}/"
        found[each.dataset_version_id] += Uses(newest=(Use("model", str(each), address),))
    return found
