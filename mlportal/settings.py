"""The one settings file. Everything that differs between installations comes from the environment."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from csp.constants import NONE, SELF

from mlportal.env import data_dir, environment, given_secret, secret, socket_path
from mlportal.lib import spans
from mlportal.openapi import DESCRIPTION
from mlportal.schedule import schedule
from mlportal.wiring import *  # noqa: F403 - names that the apps below read from the settings

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = data_dir()

# --- addresses -------------------------------------------------------------------------------
PORT = environment.int("MLPORTAL_PORT", default=8000)
BIND = environment.str("MLPORTAL_BIND", default="127.0.0.1")
SERVE_PORT = environment.int("MLPORTAL_SERVE_PORT", default=PORT + 1)
# Where the web process reaches the serving process; set by the operator, never by a client.
SERVE_URL = environment.str("MLPORTAL_SERVE_URL", default=f"http://127.0.0.1:{SERVE_PORT}")
BASE_URL = environment.str("MLPORTAL_BASE_URL", default=f"http://127.0.0.1:{PORT}").rstrip("/")
ALLOWED_HOSTS = environment.list("MLPORTAL_ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"])
CSRF_TRUSTED_ORIGINS = environment.list("MLPORTAL_TRUSTED_ORIGINS", default=[])

# --- secrets ---------------------------------------------------------------------------------
DEBUG = environment.bool("MLPORTAL_DEBUG", default=False)
SECRET_KEY = secret("secret_key", DATA_DIR)
SIGNING_KEY_SEED = secret("signing_key", DATA_DIR)  # Ed25519 keys of model manifests derive from it
FIELD_KEY_SEED = secret("field_key", DATA_DIR)  # encrypts webhook secrets at rest
FIELD_KEY_SEEDS_OLD = environment.list("MLPORTAL_FIELD_KEYS_OLD", default=[])  # still read after a change of key

# --- parts -----------------------------------------------------------------------------------
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_structlog",
    "csp",
    "allauth.account",  # socialaccount stands on it; none of its pages is mounted
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "mlportal",
    "projects",
    "experiments",
    "monitoring",
    "deployments",
]
MIDDLEWARE = [
    "mlportal.tracing.RequestSpans",
    "mlportal.metrics.RequestMetrics",
    "mlportal.lib.limits.RequestLimits",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "mlportal.lib.compress.Compress",
    "csp.middleware.CSPMiddleware",
    "mlportal.lib.headers.SecurityHeaders",
    "django_structlog.middlewares.RequestMiddleware",
    "mlportal.logs.RequestId",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "projects.access.ActorMiddleware",
    "projects.views.step_up.StepUp",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "mlportal.lib.pages.DomainErrors",
]
ROOT_URLCONF = "mlportal.urls"
WSGI_APPLICATION = "mlportal.wsgi.application"
ASGI_APPLICATION = "mlportal.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,  # the API description brings its own page
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "projects.access.shell",
            ],
            "builtins": [
                "mlportal.lib.ui",
                "mlportal.lib.folded",
                "django.templatetags.static",
                "projects.templatetags.marks",
                "mlportal.views.event_tags",
            ],
        },
    }
]

# --- database --------------------------------------------------------------------------------
# SQLite: IMMEDIATE because a read that turns into a write fails at once otherwise; FULL because an
# acknowledged change must survive a power cut; no automatic checkpoint because SQLite before 3.51.3
# can corrupt the log when a checkpoint races a commit, so one supervisor thread checkpoints alone.
SQLITE_OPTIONS = {
    "timeout": 20,
    "transaction_mode": "IMMEDIATE",
    "init_command": (
        "PRAGMA journal_mode=WAL;PRAGMA synchronous=FULL;PRAGMA foreign_keys=ON;"
        "PRAGMA wal_autocheckpoint=0;PRAGMA cache_size=-20000;"
    ),
}


def _database() -> dict[str, Any]:
    url = environment.str("DATABASE_URL", default="")
    if not url:
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": DATA_DIR / "db.sqlite3",
            "OPTIONS": SQLITE_OPTIONS,
            "CONN_MAX_AGE": None,
            # Tests run several processes on the same file, so it must be a file.
            "TEST": {"NAME": DATA_DIR / "test.sqlite3"},
        }
    given = dict(environment.db_url_config(url))
    if given["ENGINE"].endswith("sqlite3"):
        given["OPTIONS"] = SQLITE_OPTIONS
        given["TEST"] = {"NAME": f"{given['NAME']}.test"}
    else:
        # Compiling a query takes 20 to 50 ms and saves nothing on a page of 100 rows; trying the orders of few joins
        # spares planning (docs/adr/0085-plans-of-postgresql.md).
        options = given.get("OPTIONS", {})
        told = f"{options.get('options', '')} -c jit=off -c join_collapse_limit=4".strip()
        given["OPTIONS"] = {**options, "options": told}
    return {**given, "CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": True}


DATABASES = {"default": _database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- broker, cache, jobs ---------------------------------------------------------------------
BROKER_SOCKET = environment.str("MLPORTAL_BROKER_SOCKET", default=str(socket_path(DATA_DIR)))
REDIS_URL = environment.str("REDIS_URL", default="")
CELERY_BROKER_URL = f"{REDIS_URL.rstrip('/')}/0" if REDIS_URL else f"redis+socket://{BROKER_SOCKET}?virtual_host=0"
CACHE_URL = environment.str(
    "MLPORTAL_CACHE_URL", default=f"{REDIS_URL.rstrip('/')}/2" if REDIS_URL else f"unix://{BROKER_SOCKET}?db=2"
)
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": CACHE_URL,
        "OPTIONS": {"socket_timeout": 2, "socket_connect_timeout": 2},
    }
}
# How long a worker may be silent before its work is given to another, and how often it must speak.
LEASE_SECONDS = environment.float("MLPORTAL_LEASE_SECONDS", default=45.0)
HEARTBEAT_SECONDS = environment.float("MLPORTAL_HEARTBEAT_SECONDS", default=5.0)
SWEEP_SECONDS = environment.float("MLPORTAL_SWEEP_SECONDS", default=15.0)
REPUBLISH_SECONDS = environment.float("MLPORTAL_REPUBLISH_SECONDS", default=30.0)
MAX_ATTEMPTS = 3
# Bounds of the child process that reads an uploaded table.
PROFILE_MEMORY_MB = environment.int("MLPORTAL_PROFILE_MEMORY_MB", default=1536)
CHECK_SQL_MEMORY_MB = environment.int("MLPORTAL_CHECK_SQL_MEMORY_MB", default=768)
CHECK_SQL_SECONDS = environment.int("MLPORTAL_CHECK_SQL_SECONDS", default=30)
PROFILE_SECONDS = environment.int("MLPORTAL_PROFILE_SECONDS", default=3600)
# Readers of rows for the grid of a dataset: files that can be made again, and bounds of their processes.
GRID_DIR = Path(environment.str("MLPORTAL_GRID_DIR", default=str(DATA_DIR / "grid")))
GRID_CACHE_MB = environment.int("MLPORTAL_GRID_CACHE_MB", default=8192)
GRID_MEMORY_MB = environment.int("MLPORTAL_GRID_MEMORY_MB", default=256)
# Folders below which tables may be registered by reference; named by the operator, none by default.
DATA_ROOTS = environment.list("MLPORTAL_DATA_ROOTS", default=[])
# Bounds of a fetch from elsewhere.
IMPORT_SECONDS = environment.int("MLPORTAL_IMPORT_SECONDS", default=3600)
IMPORT_ROWS = environment.int("MLPORTAL_IMPORT_ROWS", default=100_000_000)
# How often a worker writes new metrics and log lines of a job.
FLUSH_SECONDS = environment.float("MLPORTAL_FLUSH_SECONDS", default=1.0)
# How often a worker reads what a training and its machine use; 0: never.
SAMPLE_SECONDS = environment.float("MLPORTAL_SAMPLE_SECONDS", default=2.0)
# Days that predictions are kept where an endpoint says nothing else; 0 for ever. A new endpoint says 30.
PREDICTION_DAYS = environment.int("MLPORTAL_PREDICTION_DAYS", default=0)
# Days that counts, windows and scores of monitoring are kept; 0 for ever. Rules look back 90 days at the most.
STATISTICS_DAYS = environment.int("MLPORTAL_STATISTICS_DAYS", default=400)
if STATISTICS_DAYS and STATISTICS_DAYS < 100:
    raise RuntimeError(f"MLPORTAL_STATISTICS_DAYS is {STATISTICS_DAYS}; give 0 for ever, or at least 100.")
# Days that approvals and manifests of a removed project are kept; regulators ask for half a year at least.
RECORD_DAYS = environment.int("MLPORTAL_RECORD_DAYS", default=1096)
if RECORD_DAYS < 183:
    raise RuntimeError(f"MLPORTAL_RECORD_DAYS is {RECORD_DAYS}; approvals are kept for 183 days at the least.")
# What one training process may use, at most; the launch form offers less.
TRAINING_MEMORY_MB = environment.int("MLPORTAL_TRAINING_MEMORY_MB", default=4096)
TRAINING_WALL_SECONDS = environment.int("MLPORTAL_TRAINING_WALL_SECONDS", default=3600)
# One: as many jobs run at a time as there are cores, and threads that wait for a busy core cost more than they give.
TRAINING_THREADS = environment.int("MLPORTAL_TRAINING_THREADS", default=1)
TRAINING_FILE_MB = environment.int("MLPORTAL_TRAINING_FILE_MB", default=4096)
TRAINING_PROCESSES = environment.int("MLPORTAL_TRAINING_PROCESSES", default=4096)
TRAINING_LOG_BYTES = environment.int("MLPORTAL_TRAINING_LOG_BYTES", default=10 * 2**20)

CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_BEAT_SCHEDULE = schedule(SWEEP_SECONDS)
# Second places for anchors of the audit log; without a setting a file beside the data directory.
AUDIT_ANCHOR_FILE = environment.str("MLPORTAL_AUDIT_ANCHOR_FILE", default="")
AUDIT_ANCHOR_WEBHOOK = environment.str("MLPORTAL_AUDIT_ANCHOR_WEBHOOK", default="")
AUDIT_ANCHOR_MAIL = environment.list("MLPORTAL_AUDIT_ANCHOR_MAIL", default=[])

# --- files -----------------------------------------------------------------------------------
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": DATA_DIR / "blobs"}},
    "staticfiles": {"BACKEND": "mlportal.lib.assets.Assets"},
}
S3_BUCKET = environment.str("MLPORTAL_S3_BUCKET", default="")
if S3_BUCKET:
    STORAGES["default"] = {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": S3_BUCKET,
            "endpoint_url": environment.str("MLPORTAL_S3_ENDPOINT", default="") or None,
            "default_acl": None,
            "file_overwrite": True,
        },
    }
STATIC_URL = "/static/"
STATIC_ROOT = environment.str("MLPORTAL_STATIC_ROOT", default=str(BASE_DIR / "static-root"))
WHITENOISE_KEEP_ONLY_HASHED_FILES = True
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = not Path(STATIC_ROOT, "staticfiles.json").exists()  # before collectstatic
SPOOL_DIR = Path(environment.str("MLPORTAL_SPOOL_DIR", default=str(DATA_DIR / "spool")))
SPOOL_QUOTA_BYTES = environment.int("MLPORTAL_SPOOL_QUOTA_BYTES", default=2 << 30)
TEMP_DIR = DATA_DIR / "tmp"
FILE_UPLOAD_TEMP_DIR = TEMP_DIR
TEMP_DIR.mkdir(mode=0o700, exist_ok=True)

# --- limits (reliability: limits before parsing) ------------------------------------------------
MAX_JSON_BYTES = 8 * 2**20
MAX_JSON_DEPTH = 32
MAX_QUERY_VALUE = 20_000  # 1,000 runs by their numbers
MAX_UPLOAD_BYTES = environment.int("MLPORTAL_MAX_UPLOAD_BYTES", default=10 * 2**30)
MAX_ARTIFACT_BYTES = environment.int("MLPORTAL_MAX_ARTIFACT_BYTES", default=10 * 2**30)
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_JSON_BYTES
DATA_UPLOAD_MAX_NUMBER_FIELDS = 12_000  # a form may name 10,000 columns
DATA_UPLOAD_MAX_NUMBER_FILES = 20

# --- live pages: event streams of one web process -------------------------------------------------
LIVE_WATCHERS = environment.int("MLPORTAL_LIVE_WATCHERS", default=500)
LIVE_WATCHERS_A_USER = environment.int("MLPORTAL_LIVE_WATCHERS_A_USER", default=30)
LIVE_SECONDS = environment.float("MLPORTAL_LIVE_SECONDS", default=600.0)

# --- people and sessions ------------------------------------------------------------------------
AUTH_USER_MODEL = "projects.User"
LOGIN_URL = "projects:sign-in"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "projects:sign-in"
# Single sign-on with one OpenID Connect provider; without an issuer there is none.
OIDC_ISSUER = environment.str("MLPORTAL_OIDC_ISSUER", default="")
OIDC_CLIENT_ID = environment.str("MLPORTAL_OIDC_CLIENT_ID", default="")
OIDC_CLIENT_SECRET = given_secret("oidc_client_secret")
OIDC_NAME = environment.str("MLPORTAL_OIDC_NAME", default="single sign-on")
OIDC_SCOPES = environment.list("MLPORTAL_OIDC_SCOPES", default=["openid", "profile", "email"])
OIDC_DOMAINS = environment.list("MLPORTAL_OIDC_DOMAINS", default=[])  # of mail addresses; empty: any
OIDC_CREATE = environment.bool("MLPORTAL_OIDC_CREATE", default=False)  # accounts at the first sign-in
OIDC_GROUPS_CLAIM = environment.str("MLPORTAL_OIDC_GROUPS_CLAIM", default="")
SOCIALACCOUNT_ADAPTER = "projects.services.oidc.client.Adapter"
ACCOUNT_ADAPTER = "allauth.account.adapter.DefaultAccountAdapter"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
HTTPS = BASE_URL.startswith("https://")
SESSION_ENGINE = "projects.services.session_store"
# A session ends this long after the sign-in, and one of a site administrator when nobody used it for a while; 0: never.
SESSION_COOKIE_AGE = int(timedelta(hours=environment.float("MLPORTAL_SESSION_HOURS", default=12.0)).total_seconds())
SESSION_IDLE_MINUTES = environment.int("MLPORTAL_SESSION_IDLE_MINUTES", default=0)
SESSION_IDLE_MINUTES_ADMIN = environment.int("MLPORTAL_SESSION_IDLE_MINUTES_ADMIN", default=30)
# Roles (and "site" for site administrators) that need a second factor; nobody by default.
SECOND_FACTOR_ROLES = environment.list("MLPORTAL_SECOND_FACTOR_ROLES", default=[])
# Whether people sign in with passwords kept here; off, only the identity provider lets in.
LOCAL_PASSWORDS = environment.bool("MLPORTAL_LOCAL_PASSWORDS", default=True)
if not LOCAL_PASSWORDS and not (OIDC_ISSUER and OIDC_CLIENT_ID):
    raise RuntimeError("MLPORTAL_LOCAL_PASSWORDS is off and there is no identity provider, so nobody could sign in.")
# How recent a sign-in must be for decisions, policies, break-glass and credentials; 0: any.
if unknown := set(SECOND_FACTOR_ROLES) - {"viewer", "scientist", "manager", "ops", "admin", "site"}:
    raise RuntimeError(f"MLPORTAL_SECOND_FACTOR_ROLES names {min(unknown)!r}, which is no role.")
STEP_UP_MINUTES = environment.int("MLPORTAL_STEP_UP_MINUTES", default=10)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_NAME = "mlportal_session"
CSRF_COOKIE_NAME = "mlportal_csrf"
CSRF_FAILURE_VIEW = "mlportal.views.csrf_failed"
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
TRUSTED_PROXIES = environment.int("MLPORTAL_TRUSTED_PROXIES", default=0)
if TRUSTED_PROXIES and HTTPS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:", "blob:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}

# --- REST API --------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],  # scoped views name theirs; the default knows nobody
    "DEFAULT_PERMISSION_CLASSES": ["mlportal.lib.deny.DenyAll"],
    "DEFAULT_RENDERER_CLASSES": ["mlportal.lib.api.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["mlportal.lib.api.StrictJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "mlportal.lib.api.problem",
    "DEFAULT_THROTTLE_CLASSES": [],
    "URL_FORMAT_OVERRIDE": None,  # format= names the file that is wanted, not the shape of answers
    "NUM_PROXIES": TRUSTED_PROXIES,
    "UNAUTHENTICATED_USER": None,
    "DATETIME_FORMAT": "iso-8601",
}
SPECTACULAR_SETTINGS = DESCRIPTION

# --- mail ------------------------------------------------------------------------------------
# Without an SMTP server messages are kept as files, so that an alert mail can be read on the machine.
EMAIL_URL = environment.str("EMAIL_URL", default="")
if EMAIL_URL:
    vars().update(environment.email_url_config(EMAIL_URL))
else:
    EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    EMAIL_FILE_PATH = DATA_DIR / "mail"
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = environment.str("MLPORTAL_FROM_EMAIL", default="mlportal@localhost")
# Hosts that a webhook may reach although their address is private; named by the operator.
OUTBOUND_ALLOW = environment.list("MLPORTAL_OUTBOUND_ALLOW", default=[])

# --- language, time, logs ----------------------------------------------------------------------
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = True
LOGGING_CONFIG = "mlportal.logs.configure"
LOGGING = {
    "level": environment.str("MLPORTAL_LOG_LEVEL", default="INFO"),
    "format": environment.str("MLPORTAL_LOG_FORMAT", default="json"),
}
DJANGO_STRUCTLOG_CELERY_ENABLED = True  # a task's log lines carry the id of the request that sent it
DJANGO_STRUCTLOG_TRUST_UPSTREAM_REQUEST_ID = TRUSTED_PROXIES > 0  # else a client could choose it
spans.configure(os.environ)  # by OpenTelemetry's own names; see docs/how-to/traces.md
METRICS_TOKEN = environment.str("MLPORTAL_METRICS_TOKEN", default="")
TESTING = environment.bool("MLPORTAL_TESTING", default=False)
