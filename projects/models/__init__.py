"""Tables of the projects app, one module a noun."""

from projects.models.accounts import ApiToken, SetupSecret, User
from projects.models.channels import Channel, Delivery
from projects.models.datasets import Dataset, DatasetVersion
from projects.models.events import ChainHead, Event, EventDelivery
from projects.models.files import UnnamedFile
from projects.models.idempotency import IdempotencyKey
from projects.models.marks import Comment, Mention, Star
from projects.models.projects import Membership, Project

__all__ = [
    "ApiToken",
    "ChainHead",
    "Channel",
    "Comment",
    "Dataset",
    "DatasetVersion",
    "Delivery",
    "Event",
    "EventDelivery",
    "IdempotencyKey",
    "Membership",
    "Mention",
    "Project",
    "SetupSecret",
    "Star",
    "UnnamedFile",
    "User",
]
