"""Addresses: EIP-55, CREATE2, and the derived ones that are frozen for ever."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from eth_abi import encode as abi_encode
from eth_utils import to_checksum_address
from hypothesis import given
from hypothesis import strategies as st
from tests import reference
from tests.core.samples import addresses, hashes, vectors
from tests.reference import unhexed

from token_ledger.core import address as module
from token_ledger.core.address import (
    create2,
    derive_vault,
    parse_address,
    to_checksum,
    vault_salt,
)
from token_ledger.errors import AddressError

GOOD = "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"
OPERATOR = b"\x22" * 20


@pytest.fixture(scope="module")
def frozen(project: Path) -> dict[str, Any]:
    """Return the constants that no release may change."""
    document: dict[str, Any] = json.loads((project / "contracts" / "FROZEN.json").read_text())
    return document


def test_checksums_agree_with_ethers(shared_data: Path) -> None:
    """Every EIP-55 address of ethers' test suite is written and read."""
    data = gzip.decompress((shared_data / "vectors/ethers/accounts.json.gz").read_bytes())
    accounts = json.loads(data)
    assert len(accounts) > 1000
    for account in accounts:
        raw = unhexed(account["address"].lower())
        assert account["checksumAddress"] == to_checksum(raw)
        assert raw == parse_address(account["checksumAddress"], allow_zero=True)


@given(addresses)
def test_checksum_round_trip(raw: bytes) -> None:
    """Every address is written as eth-utils writes it, and read back, in each of three cases."""
    text = to_checksum(raw)
    assert to_checksum_address(raw) == text
    for form in (text, text.lower(), "0x" + text[2:].upper()):
        assert raw == parse_address(form, allow_zero=True)


def test_every_single_wrong_case_is_refused() -> None:
    """Each letter in the other case breaks the checksum, and the error shows the right spelling."""
    for i, letter in enumerate(GOOD):
        if i < 2 or not letter.isalpha():
            continue
        wrong = GOOD[:i] + letter.swapcase() + GOOD[i + 1 :]
        with pytest.raises(AddressError, match=GOOD):
            parse_address(wrong)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0x",
        GOOD[2:],
        GOOD[:-1],
        GOOD + "0",
        "0X" + GOOD[2:].lower(),
        GOOD[:-1] + "g",
        GOOD + " ",
        " " + GOOD[:-1],
        GOOD[:-2] + "  ",
        GOOD[:-1] + "٣",
        GOOD[:-1] + "ａ",
        "vitalik.eth",
        "0x" + "00" * 20,
        None,
        b"\x01" * 20,
        5,
    ],
)
def test_what_is_no_address_is_refused(text: Any) -> None:
    """Wrong length, prefix, digits, white space, the zero address and other types are refused."""
    with pytest.raises(AddressError):
        parse_address(text)


def test_the_zero_address_is_allowed_on_demand_only() -> None:
    """The zero address is `system`: only who expects it may read it."""
    assert bytes(20) == parse_address("0x" + "00" * 20, allow_zero=True)


@pytest.mark.parametrize(
    ("deployer", "salt", "init_code", "expected"),
    [
        ("00" * 20, "00" * 32, "00", "0x4D1A2e2bB4F88F0250f26Ffff098B0b30B26BF38"),
        (
            "deadbeef00000000000000000000000000000000",
            "00" * 32,
            "00",
            "0xB928f69Bb1D91Cd65274e3c79d8986362984fDA3",
        ),
        (
            "00000000000000000000000000000000deadbeef",
            "00000000000000000000000000000000000000000000000000000000cafebabe",
            "deadbeef",
            "0x60f3f640a8508fC6a86d45DF051962668E1e8AC7",
        ),
        ("00" * 20, "00" * 32, "", "0xE33C0C7F7df4809055C3ebA6c09CFe4BaF1BD9e0"),
    ],
)
def test_create2_examples_of_the_eip(
    deployer: str, salt: str, init_code: str, expected: str
) -> None:
    """The examples of EIP-1014 come out."""
    code_hash = module.keccak(bytes.fromhex(init_code))
    made = create2(bytes.fromhex(deployer), bytes.fromhex(salt), code_hash)
    assert expected == to_checksum(made)


def test_frozen_constants(frozen: dict[str, Any]) -> None:
    """The code's constants are those of FROZEN.json, whose factory follows from its init code."""
    assert unhexed(frozen["deploymentProxy"].lower()) == module.DEPLOYMENT_PROXY
    assert unhexed(frozen["factory"].lower()) == module.VAULT_FACTORY
    assert unhexed(frozen["implementation"].lower()) == module.VAULT_IMPLEMENTATION
    code_hash = unhexed(frozen["factoryInitCodeHash"])
    factory = create2(module.DEPLOYMENT_PROXY, unhexed(frozen["factorySalt"]), code_hash)
    assert module.VAULT_FACTORY == factory
    # The implementation is the factory's first CREATE: keccak(rlp([factory, nonce 1])).
    assert module.VAULT_IMPLEMENTATION == module.keccak(b"\xd6\x94" + factory + b"\x01")[12:]


def test_frozen_derived_addresses(frozen: dict[str, Any]) -> None:
    """The golden derived addresses come out, salts included."""
    assert len(frozen["examples"]) >= 5
    for example in frozen["examples"]:
        secret, operator = unhexed(example["ledgerSecret"]), unhexed(example["operator"].lower())
        assert unhexed(example["salt"]) == vault_salt(secret, example["accountId"])
        made = derive_vault(secret, example["accountId"], operator)
        assert example["address"] == to_checksum(made)


def test_derived_addresses_of_the_vectors() -> None:
    """Every derived address of vaults.json comes out."""
    for vector in vectors("vaults")["vaults"]:
        secret, operator = unhexed(vector["ledgerSecret"]), unhexed(vector["operator"].lower())
        made = derive_vault(secret, vector["accountId"], operator)
        assert vector["address"] == to_checksum(made)


@given(hashes, st.text(st.characters(codec="utf-8"), min_size=1, max_size=50), addresses)
def test_derived_address_is_the_naive_one(secret: bytes, account_id: str, operator: bytes) -> None:
    """The address is CREATE2 of the clone's init code under a salt made by abi.encode."""
    salt = module.keccak(
        abi_encode(["bytes32", "string", "string"], [secret, "account", account_id])
    )
    assert salt == vault_salt(secret, account_id)
    frozen = json.loads(
        (Path(__file__).resolve().parents[2] / "contracts" / "FROZEN.json").read_text()
    )
    expected = reference.vault_address(secret, account_id, "0x" + operator.hex(), frozen)
    assert expected == to_checksum(derive_vault(secret, account_id, operator))


def test_secret_id_and_operator_all_matter() -> None:
    """Another secret, another account id or another operator is another address."""
    made = {
        derive_vault(secret, account_id, operator)
        for secret in (bytes(32), b"\x01" * 32)
        for account_id in ("alice", "alice ")
        for operator in (OPERATOR, b"\x23" * 20)
    }
    assert 8 == len(made)
