"""Pages that join the apps: home, inbox, overview, search, errors, the API's description."""

from mlportal.views.client_link import ClientLink
from mlportal.views.docs import ApiDocs, ApiSchema
from mlportal.views.errors import bad_request, csrf_failed, forbidden, not_found, server_error
from mlportal.views.example import Example
from mlportal.views.home import Home, Inbox, ShellBadges
from mlportal.views.live import Live
from mlportal.views.ops import Ops
from mlportal.views.overview import Overview
from mlportal.views.search import Search

__all__ = [
    "ApiDocs",
    "ApiSchema",
    "ClientLink",
    "Example",
    "Home",
    "Inbox",
    "Live",
    "Ops",
    "Overview",
    "Search",
    "ShellBadges",
    "bad_request",
    "csrf_failed",
    "forbidden",
    "not_found",
    "server_error",
]
