import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from deployments.proof import signing
from deployments.proof.signing import Keyring
from mlportal.lib.errors import Unavailable

# RFC 8032, section 7.1, test 1: the secret key and its public half.
SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
HASH = "a" * 64
SECRET = "s" * 48


def standard_ring() -> Keyring:
    private = Ed25519PrivateKey.from_private_bytes(SEED)
    return Keyring(private, {signing.key_id(private.public_key()): private.public_key()})


def test_key_id_golden_vector():
    ring = standard_ring()
    assert ring.private.public_key().public_bytes_raw() == PUBLIC
    assert ring.key_id == "21fe31dfa154a261"


def test_sign_golden_vector():
    assert signing.sign(standard_ring(), HASH) == (
        "+5uXzjcATidG4fWowgEBvqnDvdSnOIfCsVIb2eHOvtUFWVyR1euYJPrVti+hIKstaDhWpjqJaCSLUHbgC0pUCw=="
    )


def test_derive_golden_vector():
    assert signing.key_id(signing.derive(SECRET).public_key()) == "f3fcb09ae6b8b3ef"


def test_verify_knows_its_own_signature_and_nothing_else():
    ring = standard_ring()
    good = signing.sign(ring, HASH)
    assert signing.verify(ring, manifest_sha256=HASH, signature=good, signed_by=ring.key_id)
    assert not signing.verify(ring, manifest_sha256="b" * 64, signature=good, signed_by=ring.key_id)
    assert not signing.verify(ring, manifest_sha256=HASH, signature=good, signed_by="0" * 16)
    assert not signing.verify(ring, manifest_sha256=HASH, signature="A" + good[1:], signed_by=ring.key_id)
    assert not signing.verify(ring, manifest_sha256=HASH, signature="not base64!", signed_by=ring.key_id)
    assert not signing.verify(ring, manifest_sha256=HASH, signature="", signed_by=ring.key_id)


def test_keyring_of_one_secret_is_the_same_everywhere(tmp_path):
    first, second = (
        signing.keyring(SECRET, tmp_path / "a"),
        signing.keyring(SECRET, tmp_path / "b"),
    )
    assert first.key_id == second.key_id
    assert [item.name for item in (tmp_path / "a").iterdir()] == [f"{first.key_id}.pub"]


def test_keyring_keeps_old_public_keys_after_a_new_secret(tmp_path):
    old = signing.keyring(SECRET, tmp_path)
    signature = signing.sign(old, HASH)
    new = signing.keyring("t" * 48, tmp_path)
    assert new.key_id != old.key_id
    assert signing.verify(new, manifest_sha256=HASH, signature=signature, signed_by=old.key_id)
    assert signing.public_pem(new, old.key_id) == signing.public_pem(old, old.key_id)


def test_keyring_refuses_a_damaged_or_renamed_public_key(tmp_path):
    ring = signing.keyring(SECRET, tmp_path)
    (tmp_path / f"{ring.key_id}.pub").rename(tmp_path / "0000000000000000.pub")
    with pytest.raises(Unavailable, match="named for"):
        signing.keyring(SECRET, tmp_path)
    (tmp_path / "0000000000000000.pub").write_text("nothing")
    with pytest.raises(Unavailable, match="PEM"):
        signing.keyring(SECRET, tmp_path)
