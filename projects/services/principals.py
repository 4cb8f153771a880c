"""Finding the person or the group that somebody has named."""

from mlportal.lib import names
from mlportal.lib.errors import Invalid
from projects.models import Group, User


def person(username: str, *, field: str = "user") -> User:
    """Return the active account with a name.

    Raises
    ------
    Invalid
        When there is none.
    """
    user = User.objects.filter(username__iexact=username.strip(), is_active=True).first()
    if user is None:
        raise Invalid("There is no active account with this name.", field=field, got=username[:100])
    return user


def group(name: str, *, field: str = "group") -> Group:
    """Return the group with a name.

    Raises
    ------
    Invalid
        When there is none.
    """
    found = Group.objects.active().filter(name_key=names.key(name)).first()
    if found is None:
        raise Invalid("There is no group with this name.", field=field, got=name[:100])
    return found
