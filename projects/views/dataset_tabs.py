"""The row of tabs that all pages of one dataset version share."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.urls import reverse

from projects.models import DatasetVersion


@dataclass(frozen=True)
class Tab:
    """One tab.

    Parameters
    ----------
    key : str
        What a page says it is: ``{% include "projects/_dataset_head.html" with tab="checks" %}``.
    label : str
        Word on the tab.
    route : str
        Name of a route of a version, in the projects app.
    part : str
        Part of that page, when the tab has no page of its own.
    """

    key: str
    label: str
    route: str
    part: str = ""


# In the order shown. A page that is new adds its line here, and its count to `shown` if it has one.
TABS = (
    Tab("profile", "Profile", "dataset-version"),
    Tab("rows", "Preview", "dataset-version-rows"),
    Tab("changes", "Changes", "dataset-version-changes"),
    Tab("checks", "Checks", "dataset-version-checks"),
    Tab("splits", "Splits", "dataset-version-splits"),
    Tab("lineage", "Lineage", "dataset-version-lineage"),
    Tab("used", "Used by", "dataset-version", "#us-h"),
)


def shown(version: DatasetVersion, counts: Mapping[str, int]) -> list[dict[str, str | int | None]]:
    """Tabs of one version with their addresses and, where known, how much is behind them."""
    dataset = version.dataset
    where = [dataset.project.slug, dataset.name, version.number]
    tabs: list[dict[str, str | int | None]] = [
        {"key": tab.key, "label": tab.label, "href": reverse(f"projects:{tab.route}", args=where) + tab.part,
         "count": counts.get(tab.key)}
        for tab in TABS
    ]  # fmt: skip
    everything = reverse("projects:dataset", args=where[:2])
    return [*tabs, {"key": "versions", "label": "Versions", "href": everything, "count": counts.get("versions")}]
