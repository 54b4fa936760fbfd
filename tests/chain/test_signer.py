"""Keys are made once, kept private, and never shown."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest
from eth_account import Account

from token_ledger.chain.signer import (
    EnvironmentSigner,
    KeySigner,
    KeystoreSigner,
    NodeAccount,
    Signer,
    create_keystore,
    keystore_address,
    password_from,
)
from token_ledger.core.signature import recover_signer
from token_ledger.errors import SigningKeyError

KEY = "0b" * 32
DIGEST = bytes(range(32))


def test_a_new_keystore_opens_with_its_password_and_signs(tmp_path: Path) -> None:
    """The keystore, its password file and the returned address belong together."""
    address = create_keystore(tmp_path / "key", tmp_path / "password")
    signer = KeystoreSigner(tmp_path / "key", password=password_from(tmp_path / "password"))
    assert address == signer.address == keystore_address(tmp_path / "key")
    assert address == recover_signer(DIGEST, signer.sign_digest(DIGEST))
    assert isinstance(signer, Signer)


def test_keystore_and_password_are_for_their_owner_alone(tmp_path: Path) -> None:
    """Both files have mode 0600."""
    create_keystore(tmp_path / "key", tmp_path / "password")
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in ("key", "password")]
    assert [0o600, 0o600] == modes


@pytest.mark.parametrize("present", ["key", "password"])
def test_nothing_is_overwritten(tmp_path: Path, present: str) -> None:
    """A file that is there already stops the making of a key, and stays as it is."""
    (tmp_path / present).write_text("precious")
    with pytest.raises(SigningKeyError, match="is there already"):
        create_keystore(tmp_path / "key", tmp_path / "password")
    assert ["precious"] == [path.read_text() for path in tmp_path.iterdir()]


def test_other_wallets_can_open_the_keystore(tmp_path: Path) -> None:
    """It is an ordinary version 3 keystore: eth-account opens it by itself."""
    address = create_keystore(tmp_path / "key", tmp_path / "password")
    key = Account.decrypt((tmp_path / "key").read_text(), (tmp_path / "password").read_text()[:-1])
    assert address.hex() == Account.from_key(key).address[2:].lower()


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"crypto": {}}', '{"crypto": 5}'])
def test_what_is_no_keystore_is_refused(tmp_path: Path, content: str | None) -> None:
    """A missing or foreign file is a SigningKeyError that names the file."""
    if content is not None:
        (tmp_path / "key").write_text(content)
    with pytest.raises(SigningKeyError, match="key"):
        KeystoreSigner(tmp_path / "key", password=lambda: "x")


def test_a_wrong_password_is_told_and_not_repeated(tmp_path: Path) -> None:
    """The error names the file, never the password."""
    create_keystore(tmp_path / "key", tmp_path / "password")
    with pytest.raises(SigningKeyError, match="does not open with this password") as caught:
        KeystoreSigner(tmp_path / "key", password=lambda: "hunter2")
    assert "hunter2" not in str(caught.value)
    with pytest.raises(SigningKeyError, match="missing"):
        KeystoreSigner(tmp_path / "key", password=password_from(tmp_path / "missing"))


def test_a_key_comes_from_the_environment() -> None:
    """With or without 0x, the variable's key signs."""
    expected = bytes.fromhex(Account.from_key(KEY).address[2:])
    for text in (KEY, "0x" + KEY):
        assert expected == EnvironmentSigner("K", {"K": text}).address


@pytest.mark.parametrize("text", ["", "0x", "5" * 63, "zz" * 32, "00" * 32, "ff" * 32])
def test_a_wrong_key_in_the_environment_is_never_shown(text: str) -> None:
    """The error names the variable, not its value."""
    with pytest.raises(SigningKeyError, match="K ") as caught:
        EnvironmentSigner("K", {"K": text} if text else {})
    assert caught.value.__cause__ is None
    if len(text) > 2:
        assert text not in str(caught.value)


def test_a_signer_shows_its_address_and_nothing_else() -> None:
    """Neither repr nor the attributes of a signer hold the key, and it is never serialized."""
    signer = KeySigner(Account.from_key(KEY))
    assert "KeySigner(0x1f9090aaE28b8a3dCeaDf281B0F12828e676c326)"[:10] == repr(signer)[:10]
    assert KEY not in repr(signer)
    with pytest.raises(TypeError, match="private key"):
        pickle.dumps(signer)
    with pytest.raises(TypeError, match="private key"):
        copy.copy(signer)


def test_a_nodes_account_is_no_signer() -> None:
    """An account of the node pays gas; it cannot vouch for a batch."""
    assert not isinstance(NodeAccount(bytes(20)), Signer)
