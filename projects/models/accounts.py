"""People and their tokens."""

from typing import TYPE_CHECKING, ClassVar, Self

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager
from django.db import models
from django.utils import timezone

if TYPE_CHECKING:
    from projects.actor import Actor


class UserManager(BaseUserManager["User"]):
    """Makes users; there is no default password and no superuser flag."""

    def create_user(self, username: str, *, email: str, password: str | None = None, **extra: object) -> "User":
        """Store a user; without a password nobody can sign in as them."""
        user = self.model(username=username, email=self.normalize_email(email), **extra)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def get_by_natural_key(self, username: str | None) -> "User":
        """Sign-in name, whatever its case."""
        return self.get(username__iexact=username)


class User(AbstractBaseUser):
    """A person or a service account."""

    class Theme(models.TextChoices):
        SYSTEM = "", "Like the system"
        LIGHT = "light", "Light"
        DARK = "dark", "Dark"

    class Density(models.TextChoices):
        COMPACT = "compact", "Compact"
        COMFORTABLE = "comfortable", "Comfortable"

    username = models.CharField(max_length=100, unique=True)
    email = models.EmailField(max_length=254, unique=True)
    display_name = models.CharField(max_length=100, blank=True)
    is_active = models.BooleanField(default=True)
    is_site_admin = models.BooleanField(default=False)
    theme = models.CharField(max_length=5, choices=Theme, default=Theme.SYSTEM, blank=True)
    density = models.CharField(max_length=11, choices=Density, default=Density.COMPACT)
    time_zone = models.CharField(max_length=50, default="UTC")
    single_keys = models.BooleanField(default=True, help_text="Single-key shortcuts are on.")
    # Where tracking clients log when neither the token nor the request names a project.
    default_project = models.ForeignKey("projects.Project", models.SET_NULL, null=True, blank=True, related_name="+")
    must_change_password = models.BooleanField(default=False)
    # An address that its owner typed links no account of an identity provider: anybody can type anybody's.
    email_confirmed = models.BooleanField(default=True, help_text="Given or confirmed by an administrator.")
    # Whoever types another address stays the person they were, until an administrator says that it is theirs.
    email_before = models.EmailField(
        max_length=254, blank=True, help_text="Address that held before one that nobody has confirmed yet."
    )
    second_factor_at = models.DateTimeField(null=True, help_text="Since when sign-in asks for a second factor.")
    created_at = models.DateTimeField(auto_now_add=True)
    # A service account: it works in this project only, has no password, and somebody answers for it.
    service_project = models.ForeignKey(
        "projects.Project", models.PROTECT, null=True, blank=True, related_name="service_accounts"
    )

    objects = UserManager()
    USERNAME_FIELD = "username"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["email"]

    def __str__(self) -> str:
        return self.display_name or self.username

    @property
    def is_service(self) -> bool:
        """Whether this is a service account, not a person."""
        return self.service_project_id is not None

    @property
    def is_erased(self) -> bool:
        """Whether name and address were erased."""
        return self.username == f"erased-{self.pk}"

    @property
    def initials(self) -> str:
        """Two letters for the avatar."""
        words = (self.display_name or self.username).replace("-", " ").replace("_", " ").split()
        return ("".join(word[0] for word in words[:2]) or "?").upper()


class ServiceOwner(models.Model):
    """Who answers for a service account, for a span of time."""

    account = models.ForeignKey(User, models.CASCADE, related_name="owners")
    person = models.ForeignKey(User, models.PROTECT, related_name="+")
    valid_from = models.DateTimeField(auto_now_add=True)
    valid_to = models.DateTimeField(null=True)
    named_by = models.ForeignKey(User, models.PROTECT, related_name="+")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["account"], condition=models.Q(valid_to=None), name="one_owner_of_a_service"
            )
        ]

    def __str__(self) -> str:
        return f"{self.person} answers for {self.account}"


class SetupSecret(models.Model):
    """The one-time link of the first site administrator. Only the sha256 is kept."""

    sha256 = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"set-up link of {self.created_at:%Y-%m-%d %H:%M}"


class ApiTokenQuerySet(models.QuerySet["ApiToken"]):
    """Reads of tokens."""

    def visible_to(self, actor: "Actor") -> Self:
        """Own tokens only; administrators see others' through the members page."""
        return self.filter(user=actor.user) if actor.user else self.none()

    def live(self) -> Self:
        """Tokens that work now."""
        return self.filter(revoked_at=None, user__is_active=True, expires_at__gt=timezone.now())


class ApiToken(models.Model):
    """A credential for automation. Only the sha256 of the secret is kept; it is shown once."""

    user = models.ForeignKey(User, models.CASCADE, related_name="tokens")
    project = models.ForeignKey("projects.Project", models.CASCADE, related_name="tokens", null=True, blank=True)
    name = models.CharField(max_length=100)
    sha256 = models.CharField(max_length=64, unique=True)
    hint = models.CharField(max_length=12, help_text="First characters, to tell tokens apart.")
    scopes = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)
    # Who minted it: for a token of a service account another person than its owner.
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")

    objects = ApiTokenQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.hint}… ({self.name})"
