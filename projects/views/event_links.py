"""Where the thing that an event speaks of has its page."""

from urllib.parse import quote

from projects.models import Event

# Kind of object: its place inside the project, by number or by name.
PLACES = {
    "run": "runs/{id}/", "trainingjob": "jobs/{id}/", "promotionrequest": "promotions/{id}/", "alert": "alerts/{id}/",
    "dataset": "datasets/{label}/", "registeredmodel": "models/{label}/", "endpoint": "deployments/{label}/",
    "policy": "settings/policies/", "environment": "settings/policies/", "membership": "settings/members/",
    "user": "settings/members/", "channel": "settings/channels/", "connection": "settings/connections/",
    "legalhold": "settings/legal-holds/",
    "project": "settings/", "report": "reports/{id}/", "batch": "batches/{id}/",
}  # fmt: skip


def address(event: Event) -> str:
    """Return the address of the object of an event, empty when it has no page or its name is none of an address."""
    if event.project is None:
        return "/admin/" if event.target_type == "user" else ""
    root, label = f"/p/{event.project.slug}/", event.label
    if event.target_type == "modelversion":
        name, _, number = label.rpartition(" v")
        return f"{root}models/{quote(name, safe='')}/v/{number}/" if name and number.isdigit() else ""
    place = PLACES.get(event.target_type, "")
    if "{label}" in place and (not label or "/" in label or " " in label):
        return ""
    return root + place.format(id=event.target_id, label=quote(label, safe="")) if place else ""
