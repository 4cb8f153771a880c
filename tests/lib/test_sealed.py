"""Secrets at rest."""

import pytest

from mlportal.lib import sealed


def test_seal_and_unseal():
    kept = sealed.seal("whsec_abc")
    assert "whsec_abc" not in kept
    assert sealed.unseal(kept) == "whsec_abc"
    assert sealed.seal("whsec_abc") != kept


def test_old_key_is_still_read(settings):
    settings.FIELD_KEY_SEED = "old" * 20
    kept = sealed.seal("plain")
    settings.FIELD_KEY_SEED = "new" * 20
    with pytest.raises(sealed.Unreadable, match="no key"):
        sealed.unseal(kept)
    settings.FIELD_KEY_SEEDS_OLD = ["old" * 20]
    assert sealed.unseal(kept) == "plain"


def test_damaged_secret_is_unreadable():
    kept = sealed.seal("plain")
    with pytest.raises(sealed.Unreadable, match="damaged"):
        sealed.unseal(kept[:-4] + "AAA=")
