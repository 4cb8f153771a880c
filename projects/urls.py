"""Pages of the projects app: accounts, projects, members, datasets, audit log."""

from django.urls import URLPattern, URLResolver, path

from projects.views import (
    access,
    access_requests,
    accounts,
    admin,
    audit,
    channels,
    checks,
    connections,
    dataset_diff,
    dataset_edit,
    dataset_imports,
    dataset_lineage,
    dataset_rows,
    dataset_trash,
    datasets,
    groups,
    legal_holds,
    marks,
    members,
    projects,
    second_factor,
    service_accounts,
    sessions,
    splits,
    sso,
    tokens,
)

app_name = "projects"
Routes = list[URLPattern | URLResolver]
account: Routes = [
    path("sign-in/", accounts.SignIn.as_view(), name="sign-in"),
    path("sign-in/sso/", sso.SsoStart.as_view(), name="sso-start"),
    path("sign-in/sso/return/", sso.SsoReturn.as_view(), name="sso-return"),
    path("account/confirm/sso/", sso.ConfirmStart.as_view(), name="sso-confirm"),
    path("sign-in/code/", second_factor.SecondStep.as_view(), name="second-step"),
    path("account/second-factor/", second_factor.SecondFactorPage.as_view(), name="second-factor"),
    path("account/second-factor/off/", second_factor.SecondFactorOff.as_view(), name="second-factor-off"),
    path("account/second-factor/codes/", second_factor.RecoveryCodes.as_view(), name="recovery-codes"),
    path("sign-out/", accounts.SignOut.as_view(), name="sign-out"),
    path("set-up/<str:secret>/", accounts.SetUp.as_view(), name="set-up"),
    path("account/", accounts.Account.as_view(), name="account"),
    path("account/password/", accounts.Password.as_view(), name="password"),
    path("account/default-project/", accounts.DefaultProject.as_view(), name="default-project"),
    path("account/theme/", accounts.Theme.as_view(), name="theme"),
    path("account/sessions/", sessions.SessionList.as_view(), name="session-list"),
    path("account/sessions/<str:handle>/end/", sessions.SessionEnd.as_view(), name="session-end"),
    path("account/tokens/", tokens.TokenList.as_view(), name="token-list"),
    path("account/tokens/<int:pk>/revoke/", tokens.TokenRevoke.as_view(), name="token-revoke"),
]
site: Routes = [
    path("projects/", projects.ProjectList.as_view(), name="project-list"),
    path("projects/new/", admin.ProjectNew.as_view(), name="project-new"),
    path("access/", access_requests.AccessAsk.as_view(), name="access-ask"),
    path("access/<int:pk>/withdraw/", access_requests.AccessWithdraw.as_view(), name="access-withdraw"),
    path("groups/", groups.GroupList.as_view(), name="group-list"),
    path("groups/mappings/", groups.MappingNew.as_view(), name="group-mapping-new"),
    path("groups/mappings/<int:pk>/end/", groups.MappingEnd.as_view(), name="group-mapping-end"),
    path("groups/<int:pk>/", groups.GroupPage.as_view(), name="group"),
    path("groups/<int:pk>/edit/", groups.GroupEdit.as_view(), name="group-edit"),
    path("groups/<int:pk>/archive/", groups.GroupArchive.as_view(), name="group-archive"),
    path("groups/<int:pk>/members/<int:member>/end/", groups.GroupMemberEnd.as_view(), name="group-member-end"),
    path("admin/", admin.UserList.as_view(), name="user-list"),
    path("admin/users/<str:username>/<str:action>/", admin.UserChange.as_view(), name="user-change"),
    path("admin/audit/", audit.SiteAudit.as_view(), name="site-audit"),
    path("admin/audit/anchor/", audit.SiteAnchor.as_view(), name="site-anchor"),
    path("admin/audit/export/", audit.SiteAuditExport.as_view(), name="site-audit-export"),
]
_settings = "p/<slug:project>/settings/"
settings: Routes = [
    path(_settings, projects.ProjectSettings.as_view(), name="project-settings"),
    path(f"{_settings}archive/", projects.ProjectArchive.as_view(), name="project-archive"),
    path(f"{_settings}access/", access_requests.AccessRequestList.as_view(), name="access-request-list"),
    path(f"{_settings}access/why/", access.AccessWhy.as_view(), name="access-why"),
    path(f"{_settings}access/who/", access.AccessWho.as_view(), name="access-who"),
    path(f"{_settings}access/<int:pk>/", access_requests.AccessAnswer.as_view(), name="access-answer"),
    path(f"{_settings}group-roles/", members.GroupRoleGive.as_view(), name="group-role-give"),
    path(f"{_settings}group-roles/<int:pk>/", members.GroupRoleChange.as_view(), name="group-role-change"),
    path(f"{_settings}group-roles/<int:pk>/end/", members.GroupRoleEnd.as_view(), name="group-role-end"),
    path(f"{_settings}members/", members.MemberList.as_view(), name="member-list"),
    path(f"{_settings}members/<int:pk>/role/", members.MemberRole.as_view(), name="member-role"),
    path(f"{_settings}members/<int:pk>/remove/", members.MemberRemove.as_view(), name="member-remove"),
    path(f"{_settings}service-accounts/", service_accounts.ServiceList.as_view(), name="service-list"),
    path(f"{_settings}service-accounts/<int:pk>/", service_accounts.ServicePage.as_view(), name="service"),
    path(f"{_settings}service-accounts/<int:pk>/owner/", service_accounts.ServiceOwner.as_view(), name="service-owner"),
    path(f"{_settings}service-accounts/<int:pk>/state/", service_accounts.ServiceState.as_view(), name="service-state"),
    path(
        f"{_settings}service-accounts/<int:pk>/tokens/<int:token>/revoke/",
        service_accounts.ServiceTokenRevoke.as_view(),
        name="service-token-revoke",
    ),
    path(f"{_settings}channels/", channels.ChannelList.as_view(), name="channel-list"),
    path(f"{_settings}channels/new/<slug:kind>/", channels.ChannelNew.as_view(), name="channel-new"),
    path(f"{_settings}channels/<int:number>/", channels.ChannelEdit.as_view(), name="channel-edit"),
    path(f"{_settings}channels/<int:number>/<slug:action>/", channels.ChannelAction.as_view(), name="channel-action"),
    path(f"{_settings}deliveries/<int:number>/resend/", channels.DeliveryResend.as_view(), name="delivery-resend"),
    path(f"{_settings}connections/", connections.ConnectionList.as_view(), name="connection-list"),
    path(f"{_settings}connections/new/<slug:store>/", connections.ConnectionNew.as_view(), name="connection-new"),
    path(f"{_settings}connections/<int:number>/", connections.ConnectionEdit.as_view(), name="connection-edit"),
    path(
        f"{_settings}connections/<int:number>/remove/", connections.ConnectionRemove.as_view(), name="connection-remove"
    ),
    path(f"{_settings}legal-holds/", legal_holds.LegalHoldList.as_view(), name="legal-hold-list"),
    path(f"{_settings}legal-holds/<int:number>/lift/", legal_holds.LegalHoldLift.as_view(), name="legal-hold-lift"),
    path(f"{_settings}audit/", audit.AuditList.as_view(), name="audit-list"),
    path(f"{_settings}audit/export/", audit.AuditExport.as_view(), name="audit-export"),
]
_dataset = "p/<slug:project>/datasets/<str:name>/"
_trash = "p/<slug:project>/trash/datasets/"
_import = "p/<slug:project>/datasets/imports/<int:number>/"
_version = "p/<slug:project>/datasets/<str:name>/v/<int:number>/"
data: Routes = [
    path("p/<slug:project>/datasets/", datasets.DatasetList.as_view(), name="dataset-list"),
    path("p/<slug:project>/datasets/new/", datasets.DatasetNew.as_view(), name="dataset-new"),
    path(
        "p/<slug:project>/datasets/new/<slug:source>/",
        dataset_imports.DatasetImportNew.as_view(),
        name="dataset-import-new",
    ),
    path(_import, dataset_imports.DatasetImportDetail.as_view(), name="dataset-import"),
    path(f"{_import}progress/", dataset_imports.DatasetImportProgress.as_view(), name="dataset-import-progress"),
    path(f"{_import}cancel/", dataset_imports.DatasetImportCancel.as_view(), name="dataset-import-cancel"),
    path("p/<slug:project>/datasets/<str:name>/", datasets.DatasetDetail.as_view(), name="dataset"),
    path("p/<slug:project>/datasets/<str:name>/diff/", dataset_diff.DatasetDiff.as_view(), name="dataset-diff"),
    path(f"{_version}changes/", dataset_diff.DatasetVersionChanges.as_view(), name="dataset-version-changes"),
    path(f"{_dataset}checks/", checks.DatasetChecks.as_view(), name="dataset-checks"),
    path(f"{_dataset}checks/new/", checks.CheckNew.as_view(), name="check-new"),
    path(f"{_dataset}checks/<slug:key>/", checks.CheckEdit.as_view(), name="check-edit"),
    path(f"{_version}checks/", checks.VersionChecks.as_view(), name="dataset-version-checks"),
    path(f"{_version}checks/progress/", checks.VersionChecksProgress.as_view(), name="dataset-version-checks-progress"),
    path(f"{_version}splits/", splits.VersionSplits.as_view(), name="dataset-version-splits"),
    path(f"{_version}splits/carry/", splits.SplitCarry.as_view(), name="split-carry"),
    path(f"{_version}splits/<str:split>/remove/", splits.SplitRemove.as_view(), name="split-remove"),
    path(_version, datasets.DatasetVersionDetail.as_view(), name="dataset-version"),
    path(f"{_version}progress/", datasets.DatasetVersionProgress.as_view(), name="dataset-version-progress"),
    path("p/<slug:project>/datasets/<str:name>/edit/", dataset_edit.DatasetEdit.as_view(), name="dataset-edit"),
    path("p/<slug:project>/datasets/<str:name>/delete/", dataset_edit.DatasetDelete.as_view(), name="dataset-delete"),
    path(f"{_version}delete/", dataset_edit.DatasetVersionDelete.as_view(), name="dataset-version-delete"),
    path(f"{_version}lineage/", dataset_lineage.DatasetVersionLineage.as_view(), name="dataset-version-lineage"),
    path(_trash, dataset_trash.DatasetTrash.as_view(), name="dataset-trash"),
    path(f"{_trash}<int:pk>/restore/", dataset_trash.DatasetRestore.as_view(), name="dataset-restore"),
    path(
        f"{_trash}versions/<int:pk>/restore/",
        dataset_trash.DatasetVersionRestore.as_view(),
        name="dataset-version-restore",
    ),
    path(f"{_trash}<int:pk>/remove/", dataset_trash.DatasetRemove.as_view(), name="dataset-remove"),
    path(
        f"{_trash}versions/<int:pk>/remove/",
        dataset_trash.DatasetVersionRemove.as_view(),
        name="dataset-version-remove",
    ),
    path(f"{_version}refresh/", dataset_imports.DatasetVersionRefresh.as_view(), name="dataset-version-refresh"),
    path(f"{_version}rows/", dataset_rows.DatasetVersionRows.as_view(), name="dataset-version-rows"),
    path(
        f"{_version}rows/export/", dataset_rows.DatasetVersionRowsExport.as_view(), name="dataset-version-rows-export"
    ),
    path(f"{_version}download/", datasets.DatasetVersionDownload.as_view(), name="dataset-version-download"),
]
_thing = "p/<slug:project>/things/<slug:kind>/<int:number>/"
_comment = "p/<slug:project>/comments/<int:comment>/"
marking: Routes = [
    path(_thing, marks.ThingShow.as_view(), name="thing"),
    path(f"{_thing}star/", marks.StarPut.as_view(), name="star-put"),
    path(f"{_thing}comments/", marks.CommentAdd.as_view(), name="comment-add"),
    path(_comment, marks.CommentShow.as_view(), name="comment-show"),
    path(f"{_comment}edit/", marks.CommentEdit.as_view(), name="comment-edit"),
    path(f"{_comment}delete/", marks.CommentDelete.as_view(), name="comment-delete"),
]
urlpatterns: Routes = [*account, *site, *settings, *data, *marking]
