"""Tables of the projects app, one module a noun."""

from projects.models.access_requests import AccessRequest
from projects.models.accounts import ApiToken, ServiceOwner, SetupSecret, User
from projects.models.channels import Channel, Delivery
from projects.models.datasets import Dataset, DatasetVersion
from projects.models.events import (
    Anchor,
    AnchorCopy,
    ChainHead,
    Event,
    EventDelivery,
    ObjectState,
    Particulars,
)
from projects.models.factors import RecoveryCode, SecondFactor
from projects.models.files import UnnamedFile
from projects.models.groups import Group, GroupGrant, GroupMapping, GroupMember
from projects.models.idempotency import IdempotencyKey
from projects.models.imports import Connection, DatasetImport
from projects.models.legal_holds import LegalHold
from projects.models.marks import Comment, Mention, Star
from projects.models.projects import Membership, Project, Somewhere
from projects.models.quality import Check, CheckResult, CheckRun, CheckSet, SplitRecipe
from projects.models.removals import ProjectRemoval
from projects.models.sessions import Session

__all__ = [
    "AccessRequest",
    "Anchor",
    "AnchorCopy",
    "ApiToken",
    "ChainHead",
    "Channel",
    "Check",
    "CheckResult",
    "CheckRun",
    "CheckSet",
    "Comment",
    "Connection",
    "Dataset",
    "DatasetImport",
    "DatasetVersion",
    "Delivery",
    "Event",
    "EventDelivery",
    "Group",
    "GroupGrant",
    "GroupMapping",
    "GroupMember",
    "IdempotencyKey",
    "LegalHold",
    "Membership",
    "Mention",
    "ObjectState",
    "Particulars",
    "Project",
    "ProjectRemoval",
    "RecoveryCode",
    "SecondFactor",
    "ServiceOwner",
    "Session",
    "SetupSecret",
    "Somewhere",
    "SplitRecipe",
    "Star",
    "UnnamedFile",
    "User",
]
