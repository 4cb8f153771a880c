"""Who may do what: a permission enum, a grants table by role, a scope table by token, one door.

PROMOTION_SIGN lets a member take part where a step of a policy asks for their role; the step itself is checked by the
service. ``approve`` (PROMOTION_DECIDE), ``deploy`` (ENDPOINT_DEPLOY) and ``comment`` (COMMENT_ADD) are permissions of
their own, apart from editing, so that a team can hand them out separately. MARK_KEEP is what everybody keeps for
themselves: stars and private views.
"""

from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from mlportal.lib.errors import Forbidden

if TYPE_CHECKING:
    from projects.actor import Actor
    from projects.models import Project, User


class Permission(StrEnum):
    """One right inside a project; the last group is for the whole site."""

    PROJECT_VIEW = "project.view"
    PROJECT_EDIT = "project.edit"
    MEMBER_MANAGE = "member.manage"
    TOKEN_CREATE = "token.create"
    AUDIT_VIEW = "audit.view"
    COMMENT_ADD = "comment.add"
    MARK_KEEP = "mark.keep"
    CHANNEL_VIEW = "channel.view"
    CHANNEL_EDIT = "channel.edit"
    CONNECTION_EDIT = "connection.edit"

    DATASET_VIEW = "dataset.view"
    DATASET_CREATE = "dataset.create"
    DATASET_EDIT = "dataset.edit"
    DATASET_DELETE = "dataset.delete"

    RUN_VIEW = "run.view"
    RUN_LOG = "run.log"
    RUN_EDIT = "run.edit"
    RUN_DELETE = "run.delete"
    JOB_LAUNCH = "job.launch"
    JOB_CANCEL = "job.cancel"

    MODEL_VIEW = "model.view"
    MODEL_REGISTER = "model.register"
    FILE_ISSUE = "file.issue"
    PROMOTION_REQUEST = "promotion.request"
    PROMOTION_SIGN = "promotion.sign"
    PROMOTION_DECIDE = "promotion.decide"
    GATE_OVERRIDE = "gate.override"
    POLICY_EDIT = "policy.edit"
    ENDPOINT_VIEW = "endpoint.view"
    ENDPOINT_DEPLOY = "endpoint.deploy"
    ENDPOINT_PREDICT = "endpoint.predict"
    AUTOMATION_EDIT = "automation.edit"

    MONITOR_VIEW = "monitor.view"
    MONITOR_EDIT = "monitor.edit"
    ALERT_HANDLE = "alert.handle"
    PREDICTION_VIEW = "prediction.view"
    PREDICTION_LABEL = "prediction.label"

    ACCOUNT_VIEW = "account.view"
    ACCOUNT_EDIT = "account.edit"
    SESSION_END = "session.end"
    GROUP_MANAGE = "group.manage"
    ACCESS_ASK = "access.ask"
    SITE_ADMIN = "site.admin"


P = Permission
VIEWS = frozenset(
    {P.PROJECT_VIEW, P.DATASET_VIEW, P.RUN_VIEW, P.MODEL_VIEW, P.ENDPOINT_VIEW, P.MONITOR_VIEW, P.CHANNEL_VIEW}
)
# What everybody who signed in may do for themselves, outside any project; a token never edits the account.
# GROUP_MANAGE is the door to groups; the service lets in site administrators and owners of the group only.
SIGNED_IN = frozenset({P.ACCOUNT_VIEW, P.ACCOUNT_EDIT, P.SESSION_END, P.GROUP_MANAGE, P.ACCESS_ASK})
# What is left of it to a token of one project.
INSIDE_ONE_PROJECT = SIGNED_IN - {P.GROUP_MANAGE, P.ACCESS_ASK}
EVERYTHING = frozenset(Permission) - SIGNED_IN - {P.SITE_ADMIN}
# What each right inside a project is called: "may …".
WORDS: dict[Permission, str] = {
    P.PROJECT_VIEW: "look at the project",
    P.PROJECT_EDIT: "change the project",
    P.MEMBER_MANAGE: "manage members",
    P.TOKEN_CREATE: "make API tokens",
    P.AUDIT_VIEW: "read the audit log",
    P.COMMENT_ADD: "comment",
    P.MARK_KEEP: "keep stars and views of their own",
    P.CHANNEL_VIEW: "look at channels",
    P.CHANNEL_EDIT: "change channels",
    P.CONNECTION_EDIT: "change connections",
    P.DATASET_VIEW: "look at datasets",
    P.DATASET_CREATE: "add datasets",
    P.DATASET_EDIT: "change datasets",
    P.DATASET_DELETE: "delete datasets",
    P.RUN_VIEW: "look at runs",
    P.RUN_LOG: "log runs",
    P.RUN_EDIT: "change runs and folders",
    P.RUN_DELETE: "delete runs for good",
    P.JOB_LAUNCH: "launch training",
    P.JOB_CANCEL: "cancel training",
    P.MODEL_VIEW: "look at models",
    P.MODEL_REGISTER: "register models",
    P.FILE_ISSUE: "issue technical files",
    P.PROMOTION_REQUEST: "ask for a promotion",
    P.PROMOTION_SIGN: "take part in a decision",
    P.PROMOTION_DECIDE: "decide promotions",
    P.GATE_OVERRIDE: "override a gate",
    P.POLICY_EDIT: "change policies and environments",
    P.ENDPOINT_VIEW: "look at endpoints",
    P.ENDPOINT_DEPLOY: "deploy and roll back",
    P.ENDPOINT_PREDICT: "call endpoints",
    P.AUTOMATION_EDIT: "change automations",
    P.MONITOR_VIEW: "look at monitoring",
    P.MONITOR_EDIT: "change monitors and rules",
    P.ALERT_HANDLE: "handle alerts",
    P.PREDICTION_VIEW: "read predictions",
    P.PREDICTION_LABEL: "send true outcomes",
}


class Role(StrEnum):
    """What a member is in a project."""

    VIEWER = "viewer"
    SCIENTIST = "scientist"
    MANAGER = "manager"
    OPS = "ops"
    ADMIN = "admin"


ROLE_LABELS = {
    Role.VIEWER: "Viewer",
    Role.SCIENTIST: "Data scientist",
    Role.MANAGER: "Manager (approver)",
    Role.OPS: "Ops",
    Role.ADMIN: "Project admin",
}
# A project admin may change everything but decides no promotion: whoever sets the rules does not also sign.
GRANTS: dict[Role, frozenset[Permission]] = {
    Role.VIEWER: VIEWS | {P.TOKEN_CREATE, P.MARK_KEEP},
    Role.SCIENTIST: VIEWS
    | {
        P.TOKEN_CREATE, P.MARK_KEEP, P.COMMENT_ADD, P.DATASET_CREATE, P.DATASET_EDIT, P.RUN_LOG, P.RUN_EDIT,
        P.JOB_LAUNCH, P.JOB_CANCEL,
        P.MODEL_REGISTER, P.FILE_ISSUE, P.PROMOTION_REQUEST, P.PROMOTION_SIGN, P.ENDPOINT_PREDICT, P.PREDICTION_VIEW,
        P.PREDICTION_LABEL,
    },
    Role.MANAGER: VIEWS
    | {
        P.TOKEN_CREATE, P.MARK_KEEP, P.COMMENT_ADD, P.AUDIT_VIEW, P.FILE_ISSUE, P.PROMOTION_SIGN, P.PROMOTION_DECIDE,
        P.ENDPOINT_PREDICT, P.PREDICTION_VIEW,
    },
    Role.OPS: VIEWS
    | {
        P.TOKEN_CREATE, P.MARK_KEEP, P.COMMENT_ADD, P.AUDIT_VIEW, P.JOB_CANCEL, P.PROMOTION_SIGN, P.ENDPOINT_DEPLOY,
        P.ENDPOINT_PREDICT, P.AUTOMATION_EDIT, P.MONITOR_EDIT, P.ALERT_HANDLE, P.PREDICTION_VIEW, P.PREDICTION_LABEL,
        P.CHANNEL_EDIT, P.FILE_ISSUE,
    },
    Role.ADMIN: EVERYTHING - {P.PROMOTION_DECIDE},
}  # fmt: skip
# A site administrator looks after every project without being a member, but neither decides nor deploys there.
SITE_ADMIN_GRANTS = VIEWS | {P.PROJECT_EDIT, P.MEMBER_MANAGE, P.AUDIT_VIEW, P.TOKEN_CREATE, P.MARK_KEEP, P.SITE_ADMIN}

# What a token may do is its owner's rights cut down to its scopes.
SCOPES: dict[str, frozenset[Permission]] = {
    "read": VIEWS | {P.PREDICTION_VIEW, P.ACCOUNT_VIEW},
    "write": frozenset(
        {
            P.DATASET_CREATE, P.DATASET_EDIT, P.RUN_LOG, P.RUN_EDIT, P.COMMENT_ADD, P.MARK_KEEP, P.PREDICTION_LABEL,
            P.FILE_ISSUE,
            P.ACCESS_ASK,
        }
    ),
    "train": frozenset({P.JOB_LAUNCH, P.JOB_CANCEL}),
    "register": frozenset({P.MODEL_REGISTER, P.PROMOTION_REQUEST}),
    "approve": frozenset({P.PROMOTION_SIGN, P.PROMOTION_DECIDE}),
    "deploy": frozenset({P.ENDPOINT_DEPLOY}),
    "predict": frozenset({P.ENDPOINT_PREDICT}),
    "alerts": frozenset({P.ALERT_HANDLE, P.MONITOR_EDIT}),
    "admin": frozenset(
        {
            P.PROJECT_EDIT, P.MEMBER_MANAGE, P.TOKEN_CREATE, P.AUDIT_VIEW, P.CHANNEL_EDIT, P.POLICY_EDIT,
            P.AUTOMATION_EDIT, P.CONNECTION_EDIT, P.DATASET_DELETE, P.RUN_DELETE, P.GATE_OVERRIDE, P.SITE_ADMIN,
            P.SESSION_END, P.GROUP_MANAGE,
        }
    ),
}  # fmt: skip


# What a role on a folder adds to experiments, runs and files below it; everything else is the project's.
FOLDER_RIGHTS = frozenset({P.RUN_LOG, P.RUN_EDIT, P.RUN_DELETE, P.JOB_LAUNCH, P.JOB_CANCEL, P.COMMENT_ADD, P.MARK_KEEP})


@runtime_checkable
class Place(Protocol):
    """Something that lies in a folder of a project: it knows which further roles a person holds there."""

    def roles_here(self, user: "User") -> list[str]:
        """Roles on the folders around it, beside those in the project."""


def allowed(by: "Actor", permission: Permission, project: "Project | None", *, within: Place | None = None) -> bool:
    """Whether the actor holds the permission in the project (``None``: for the whole site).

    ``within`` is what the action is about. Folders are asked only when the roles in the project do not suffice, so
    whoever has a role that does pays nothing for them.
    """
    if permission in by.permissions_in(project):
        return True
    if within is None or project is None or permission not in FOLDER_RIGHTS:
        return False
    return permission in by.permissions_at(within)


def require(
    by: "Actor", permission: Permission, project: "Project | None", *, within: Place | None = None,
    fresh: bool = False,
) -> None:  # fmt: skip
    """First statement of every public service: refuse unless the actor holds the permission.

    ``within`` is the run, experiment or folder the action is about. ``fresh`` reads the roles again, for decisions
    that must see a change made since the request began.

    Raises
    ------
    Forbidden
        Naming the permission and the roles that hold it.
    """
    if fresh:
        by.forget()
    if allowed(by, permission, project, within=within):
        return
    error = _refusal(by, permission)
    error.permission = permission
    raise error


def roles_with(permission: Permission) -> list[Role]:
    """Roles that hold a permission."""
    return [role for role in Role if permission in GRANTS[role]]


def scopes_with(permission: Permission) -> list[str]:
    """Scopes of tokens that let a permission through, by name."""
    return sorted(name for name, granted in SCOPES.items() if permission in granted)


def _refusal(by: "Actor", permission: Permission) -> Forbidden:
    if by.token is not None and permission not in by.scope_permissions():
        scopes = scopes_with(permission)
        return Forbidden(
            f"This token lacks the scope for {permission}; it needs: {', '.join(scopes) or 'none gives it'}.",
            field="scope", limit=scopes,
        )  # fmt: skip
    holders = [ROLE_LABELS[role] for role in roles_with(permission)]
    return Forbidden(
        f"Your role does not allow {permission}. Roles that do: {', '.join(holders) or 'site administrator'}.",
        limit=holders,
    )
