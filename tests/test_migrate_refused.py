"""Migrate refuses what is not this ledger's: histories, code, altered books, foreign files.

Ledgers of `books` share uid, secret and operator: two of them are copies of one ledger.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests import books
from tests.onchain import ENTRIES, alter, books_of, check_on_chain, contract_of, copy_of, go_on

from token_ledger.chain import contracts
from token_ledger.chain.rpc import Rpc, hex_data
from token_ledger.chain.state import read_state
from token_ledger.core.strict import decode, encode
from token_ledger.errors import (
    ChainError,
    DatabaseError,
    FileFormatError,
    ForeignContractError,
    RevertedError,
    SigningKeyError,
)
from token_ledger.export import export
from token_ledger.ledger import Ledger
from token_ledger.migrate import migrate
from token_ledger.seal import seal


@pytest.fixture
def ledger(database_url: str, tmp_path: Path) -> Iterator[Ledger]:
    """Yield a sealed and signed ledger, on each engine."""
    with books_of(database_url, tmp_path) as ledger:
        yield ledger


@pytest.fixture
def sqlite_ledger(sqlite_url: str, tmp_path: Path) -> Iterator[Ledger]:
    """Yield a sealed and signed ledger on SQLite, where the engine does not matter."""
    with books_of(sqlite_url, tmp_path) as ledger:
        yield ledger


# --- another history


def test_a_staging_copy_is_refused(sqlite_ledger: Ledger, tmp_path: Path, fresh_anvil: str) -> None:
    """Two copies of a ledger went on by themselves: the second one to come is refused."""
    with copy_of(sqlite_ledger, tmp_path) as staging:
        go_on(sqlite_ledger, seed=2)
        go_on(staging, seed=3)
        migrate(staging, fresh_anvil)
        with pytest.raises(ForeignContractError, match="another copy of this ledger"):
            migrate(sqlite_ledger, fresh_anvil)
        assert contract_of(sqlite_ledger) is None


def test_a_copy_that_is_merely_behind_or_ahead_is_told_apart(
    sqlite_ledger: Ledger, tmp_path: Path, fresh_anvil: str
) -> None:
    """A copy ahead of the chain goes on from the contract's head; one behind it is refused."""
    with copy_of(sqlite_ledger, tmp_path) as backup:
        migrate(sqlite_ledger, fresh_anvil)
        go_on(sqlite_ledger, seed=2)
        assert (1, 0) == (
            (found := migrate(sqlite_ledger, fresh_anvil)).batches, found.deployment_gas_used,
        )  # fmt: skip
        with pytest.raises(ForeignContractError, match="restored from a backup"):
            migrate(backup, fresh_anvil)


def test_a_contract_that_is_there_already_is_adopted(
    sqlite_ledger: Ledger, tmp_path: Path, fresh_anvil: str
) -> None:
    """A ledger that does not know its own contract, as after a restore, finds and keeps it."""
    with copy_of(sqlite_ledger, tmp_path) as restored:
        first = migrate(sqlite_ledger, fresh_anvil)
        go_on(restored, seed=2)
        second = migrate(restored, fresh_anvil)
        assert (first.contract, 1, 0) == (
            second.contract, second.batches, second.deployment_gas_used,
        )  # fmt: skip
        check_on_chain(restored, fresh_anvil, entries=ENTRIES + 10)


def test_foreign_code_at_our_address_is_refused(sqlite_ledger: Ledger, fresh_anvil: str) -> None:
    """A contract that is not ours, at the known or the predicted address, is left alone."""
    address = contracts.token_address(sqlite_ledger.token, sqlite_ledger.operator)
    with Rpc(fresh_anvil) as rpc:
        rpc.call("anvil_setCode", [hex_data(address), "0x60006000fd"])
    with pytest.raises(ForeignContractError, match="is not that of any token contract of ours"):
        migrate(sqlite_ledger, fresh_anvil)


def test_a_finalized_contract_takes_nothing_more(sqlite_ledger: Ledger, fresh_anvil: str) -> None:
    """After finalize a migration with something to replay says that the token has left."""
    done = migrate(sqlite_ledger, fresh_anvil)
    operator = hex_data(sqlite_ledger.operator)
    with Rpc(fresh_anvil) as rpc:
        rpc.call("anvil_impersonateAccount", [operator])
        rpc.call("anvil_setBalance", [operator, hex(10**20)])
        call = {"from": operator, "to": hex_data(done.contract)}
        rpc.call(
            "eth_sendTransaction", [call | {"data": hex_data(contracts.selector("finalize()"))}]
        )
        assert read_state(rpc, done.contract).finalized
    assert 0 == migrate(sqlite_ledger, fresh_anvil).batches
    go_on(sqlite_ledger, seed=2)
    with pytest.raises(ChainError, match="is finalized"):
        migrate(sqlite_ledger, fresh_anvil)


# --- altered


def test_entries_altered_after_sealing_are_not_replayed(ledger: Ledger, fresh_anvil: str) -> None:
    """Rows that no longer hash to the sealed header stop the migration there."""
    one = "X'" + "00" * 31 + "01'" if ledger.engine.dialect.name == "sqlite" else "1"
    alter(ledger, "token_ledger", f"UPDATE token_ledger SET amount = {one} WHERE entry_no = 3")
    with pytest.raises(DatabaseError, match="entries were altered"):
        migrate(ledger, fresh_anvil)


def test_an_altered_header_is_refused_by_the_contract(ledger: Ledger, fresh_anvil: str) -> None:
    """The contract recomputes the digest that was signed: another header has no signature."""
    alter(ledger, "token_batches", "UPDATE token_batches SET sealed_at = 1 WHERE number = 2")
    with pytest.raises(RevertedError, match="refuses batch 2: InvalidSignature"):
        migrate(ledger, fresh_anvil)
    with Rpc(fresh_anvil) as rpc:
        address = contracts.token_address(ledger.token, ledger.operator)
        assert 1 == read_state(rpc, address).head_number


# --- from an export


def test_an_export_is_replayed_like_the_database(
    ledger: Ledger, tmp_path: Path, fresh_anvil: str
) -> None:
    """`--from DIR` takes the batches from files, as far as they go."""
    export(ledger, tmp_path / "export")
    go_on(ledger, seed=2)
    done = migrate(ledger, fresh_anvil, export_dir=tmp_path / "export")
    assert ENTRIES == done.entries
    assert 10 == migrate(ledger, fresh_anvil).entries
    check_on_chain(ledger, fresh_anvil, entries=ENTRIES + 10)


def change_file(path: Path, **fields: Any) -> None:
    """Rewrite a file with some top-level fields replaced, in canonical form."""
    path.write_bytes(encode(decode(path.read_bytes()) | fields))


def test_an_export_that_disagrees_is_refused(
    sqlite_ledger: Ledger, tmp_path: Path, fresh_anvil: str
) -> None:
    """Altered, unsigned, missing or foreign files stop the migration with their name."""
    root = tmp_path / "export"
    export(sqlite_ledger, root)
    batch = root / "batches" / "00000001.json"
    good = batch.read_bytes()
    entries = decode(good)["entries"]
    entries[0]["value"] = "1"
    change_file(batch, entries=entries)
    with pytest.raises(FileFormatError, match=r"00000001\.json does not agree"):
        migrate(sqlite_ledger, fresh_anvil, export_dir=root)
    batch.write_bytes(good)
    change_file(batch, signature=None)
    with pytest.raises(SigningKeyError, match=r"00000001\.json is not signed"):
        migrate(sqlite_ledger, fresh_anvil, export_dir=root)
    batch.unlink()
    with pytest.raises(FileFormatError, match="cannot be read"):
        migrate(sqlite_ledger, fresh_anvil, export_dir=root)
    with pytest.raises(FileFormatError, match="cannot be read"):
        migrate(sqlite_ledger, fresh_anvil, export_dir=tmp_path / "nothing")


def test_another_ledgers_export_is_refused(
    sqlite_ledger: Ledger, tmp_path: Path, fresh_anvil: str
) -> None:
    """An export of another token, or of a copy that went on by itself, is not replayed."""
    with copy_of(sqlite_ledger, tmp_path) as copy:
        go_on(copy, seed=3)
        export(copy, tmp_path / "export")
    with pytest.raises(FileFormatError, match="which this ledger does not hold"):
        migrate(sqlite_ledger, fresh_anvil, export_dir=tmp_path / "export")
    other_url = f"sqlite:///{tmp_path / 'other.db'}"
    with Ledger.create(other_url, operator=books.operator().address) as other:
        other.create_token("TKN", "Token of the tests", 18)
        books.fill(other, 5)
        seal(other)
        export(other, tmp_path / "foreign")
    with pytest.raises(FileFormatError, match="the export of another token"):
        migrate(sqlite_ledger, fresh_anvil, export_dir=tmp_path / "foreign")
