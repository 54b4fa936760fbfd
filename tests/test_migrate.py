"""Migrate: every sealed entry once on the chain, whatever interrupts it, and only this ledger's.

Method: real databases, a real Anvil; a fake node stands in between where a node must misbehave.
Ledgers of `books` share uid, secret and operator: two of them are copies of one ledger.
"""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from sqlalchemy import text
from tests import books
from tests.chain.fake_node import FakeNode, Raw, forward

from token_ledger.chain import contracts
from token_ledger.chain.anvil import Anvil
from token_ledger.chain.rpc import Rpc, hex_data
from token_ledger.chain.signer import KeySigner
from token_ledger.chain.state import get_code, read_state, read_supply
from token_ledger.core.strict import decode, encode
from token_ledger.errors import (
    CanonicalChainError,
    ChainError,
    DatabaseError,
    FileFormatError,
    ForeignContractError,
    RevertedError,
    RpcError,
    SigningKeyError,
    UnknownBatchError,
    WrongChainError,
)
from token_ledger.export import export
from token_ledger.ingest import ingest
from token_ledger.ledger import Ledger, mirror
from token_ledger.migrate import migrate
from token_ledger.reconcile import reconcile
from token_ledger.seal import seal
from token_ledger.sign import sign

ENTRIES = 60
SMALL = 200_000  # gas a batch, so that a small ledger has several


def books_of(url: str, directory: Path, *, seed: int = 1, entries: int = ENTRIES) -> Ledger:
    """Return a ledger with entries, sealed in several batches and signed by its operator."""
    ledger = books.create(url, directory)
    books.fill(ledger, entries, seed=seed)
    seal(ledger, gas_max=SMALL)
    sign(ledger, books.operator())
    return ledger


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


def contract_of(ledger: Ledger) -> mirror.StoredContract | None:
    """Return the contract that the ledger knows of its token."""
    with ledger.read() as connection:
        return mirror.contract_of(connection, ledger.token)


def alter(ledger: Ledger, table: str, statement: str) -> None:
    """Alter a row behind the ledger's back, as a database's superuser can."""
    with ledger.write() as connection:
        if connection.dialect.name == "sqlite":
            connection.execute(text(f"DROP TRIGGER {table}_no_update"))
        else:
            connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
        connection.execute(text(statement))


def check_on_chain(ledger: Ledger, url: str, *, entries: int) -> None:
    """Check that the chain holds each entry exactly once, and nothing else."""
    imported = ingest(ledger, url)
    result = reconcile(ledger, url)
    assert (entries, entries, []) == (imported.transfers, result.matched, result.findings)


def test_everything_sealed_is_on_the_chain_once(ledger: Ledger, fresh_anvil: str) -> None:
    """All batches are replayed; a second run finds nothing to do and sends nothing."""
    done = migrate(ledger, fresh_anvil)
    assert contracts.token_address(ledger.token, ledger.operator) == done.contract
    assert (31337, ENTRIES, 0) == (done.chain_id, done.entries, done.unsealed)
    assert done.batches > 2
    assert done.gas_used > done.deployment_gas_used > 0
    with Rpc(fresh_anvil) as rpc:
        assert ledger.get_total_supply() == read_supply(rpc, done.contract)
        height = rpc.quantity("eth_blockNumber")
        again = migrate(ledger, fresh_anvil)
        assert (done.contract, 0, 0, 0) == (
            again.contract, again.batches, again.entries, again.gas_used,
        )  # fmt: skip
        assert height == rpc.quantity("eth_blockNumber")
    check_on_chain(ledger, fresh_anvil, entries=ENTRIES)


def test_what_is_sealed_later_is_added(ledger: Ledger, fresh_anvil: str) -> None:
    """A later run replays only what the contract's head lacks; unsealed entries are counted."""
    first = migrate(ledger, fresh_anvil)
    books.fill(ledger, 10, seed=2)
    assert (0, 10) == (migrate(ledger, fresh_anvil).batches, migrate(ledger, fresh_anvil).unsealed)
    seal(ledger)
    sign(ledger, books.operator())
    second = migrate(ledger, fresh_anvil)
    assert (first.contract, 1, 10, 0) == (
        second.contract, second.batches, second.entries, second.deployment_gas_used,
    )  # fmt: skip
    check_on_chain(ledger, fresh_anvil, entries=ENTRIES + 10)


def test_progress_is_told_in_entries(sqlite_ledger: Ledger, fresh_anvil: str) -> None:
    """The listener hears of every batch, and the last word is the total."""
    told: list[tuple[str, int, int | None]] = []
    migrate(sqlite_ledger, fresh_anvil, progress=lambda *words: told.append(words))
    assert ("replay", ENTRIES, ENTRIES) == told[-1]
    assert sorted(told) == told


# --- refused before anything is sent


def test_nothing_sealed_is_refused(sqlite_url: str, tmp_path: Path) -> None:
    """Without a batch there is nothing to migrate; the error names `seal`."""
    with books.create(sqlite_url, tmp_path) as ledger:
        books.fill(ledger, 5)
        with pytest.raises(UnknownBatchError, match="run `seal --sign` first"):
            migrate(ledger, "http://127.0.0.1:9")


@pytest.mark.parametrize("by_stranger", [False, True])
def test_unsigned_batches_are_refused(
    database_url: str, tmp_path: Path, fresh_anvil: str, by_stranger: bool
) -> None:
    """Without the sealer's own signature nothing is deployed; another key's is no help."""
    with books.create(database_url, tmp_path) as ledger:
        books.fill(ledger, 20)
        seal(ledger)
        if by_stranger:
            sign(ledger, books.stranger())
        with pytest.raises(SigningKeyError, match="run `sign` with the sealer's key"):
            migrate(ledger, fresh_anvil)
        with Rpc(fresh_anvil) as rpc:
            assert b"" == get_code(rpc, contracts.token_address(ledger.token, ledger.operator))
        assert contract_of(ledger) is None


def test_a_payer_without_money_is_refused(sqlite_ledger: Ledger, fresh_anvil: str) -> None:
    """A gas key that holds nothing is told before anything is recorded."""
    broke = KeySigner(Account.from_key("0x" + "0e" * 32))
    with pytest.raises(ChainError, match="nothing to pay gas with"):
        migrate(sqlite_ledger, fresh_anvil, gas_signer=broke)
    assert contract_of(sqlite_ledger) is None


def test_any_funded_key_may_pay(sqlite_ledger: Ledger, fresh_anvil: str) -> None:
    """The gas key is no sealer: anybody's key can submit what the sealer signed."""
    payer = books.stranger()
    with Rpc(fresh_anvil) as rpc:
        rpc.call("anvil_setBalance", [hex_data(payer.address), hex(10**20)])
    assert ENTRIES == migrate(sqlite_ledger, fresh_anvil, gas_signer=payer).entries


# --- a node that is none


@pytest.mark.parametrize(
    "raw", [Raw(body=b"<html>"), Raw(status=500, body=b"oops"), Raw(body=b'{"id":1,"result":null}')]
)
def test_a_node_that_answers_nonsense_changes_nothing(sqlite_ledger: Ledger, raw: Raw) -> None:
    """HTML, 500 and null are RpcErrors, and the ledger knows no chain afterwards."""
    with FakeNode(lambda *_: raw) as node, pytest.raises(RpcError):
        migrate(sqlite_ledger, node.url)
    assert contract_of(sqlite_ledger) is None


def test_a_node_that_fails_in_the_middle_is_gone_on_with(ledger: Ledger, fresh_anvil: str) -> None:
    """Whichever call a node fails at, the next run finishes, and nothing is there twice."""
    real = forward(fresh_anvil)
    budget = [0]

    def answer(method: str, params: list[Any]) -> Any:
        budget[0] -= 1
        return Raw(status=400, body=b"broken") if budget[0] < 0 else real(method, params)

    with FakeNode(answer) as node:
        for calls in range(3, 200, 5):
            budget[0] = calls
            try:
                migrate(ledger, node.url)
            except RpcError:
                continue
            break
    assert 0 == migrate(ledger, fresh_anvil).batches
    check_on_chain(ledger, fresh_anvil, entries=ENTRIES)


# --- killed


_CHILD = """
import sys
from token_ledger.ledger import Ledger
from token_ledger.migrate import migrate
with Ledger.open(sys.argv[1], secret_file=sys.argv[2]) as ledger:
    print("ready", flush=True)
    migrate(ledger, sys.argv[3])
"""


@pytest.mark.parametrize("args", [(), ("--block-time", "1")], ids=["at once", "in blocks"])
def test_a_migration_killed_at_any_instant_is_finished_by_the_next(
    database_url: str, tmp_path: Path, args: tuple[str, ...]
) -> None:
    """SIGKILL at random instants, with transactions on their way or not: each entry lands once."""
    chance = random.Random(7)
    with books_of(database_url, tmp_path, entries=400) as ledger, Anvil(args=args) as node:
        command = [
            sys.executable, "-c", _CHILD, database_url, str(tmp_path / "secret"), node.url,
        ]  # fmt: skip
        for _ in range(4):
            child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            assert child.stdout is not None
            assert "ready\n" == child.stdout.readline()
            time.sleep(chance.uniform(0.01, 0.3))
            child.send_signal(signal.SIGKILL)
            child.wait()
            child.stdout.close()
        done = migrate(ledger, node.url)
        with Rpc(node.url) as rpc:
            query = {"fromBlock": "0x0", "toBlock": "latest"}
            logs = rpc.call("eth_getLogs", [query | {"address": hex_data(done.contract)}])
            proxies = rpc.call("eth_getLogs", [query])
        transfer = hex_data(contracts.TRANSFER_TOPIC)
        assert 400 == sum(1 for log in logs if log["topics"][0] == transfer)
        assert {hex_data(done.contract)} == {log["address"] for log in proxies}
        check_on_chain(ledger, node.url, entries=400)


# --- another history


def copy_of(ledger: Ledger, tmp_path: Path) -> Ledger:
    """Return a copy of a SQLite ledger, as a staging environment or a backup is."""
    with ledger.write() as connection:
        connection.execute(text("SELECT 1"))
    source = Path(str(ledger.engine.url.database))
    ledger.engine.dispose()  # the last connection writes the log back into the file
    shutil.copyfile(source, tmp_path / "copy.db")
    return Ledger.open(f"sqlite:///{tmp_path / 'copy.db'}", secret_file=tmp_path / "secret")


def go_on(ledger: Ledger, seed: int) -> None:
    """Post, seal and sign something more."""
    books.fill(ledger, 10, seed=seed)
    seal(ledger)
    sign(ledger, books.operator())


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
    with pytest.raises(ForeignContractError, match="is not that of this release"):
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


# --- chains


def test_a_restarted_test_chain_is_another_chain(ledger: Ledger) -> None:
    """What was mirrored of the old Anvil is dropped; the new one gets everything."""
    for _ in range(2):
        with Anvil() as node:
            assert ENTRIES == migrate(ledger, node.url).entries
            check_on_chain(ledger, node.url, entries=ENTRIES)


def test_a_test_chain_that_was_taken_back_is_filled_again(
    sqlite_ledger: Ledger, fresh_anvil: str
) -> None:
    """After evm_revert the known contract is gone: it is deployed again at the same address."""
    with Rpc(fresh_anvil) as rpc:
        snapshot = rpc.call("evm_snapshot")
        first = migrate(sqlite_ledger, fresh_anvil)
        ingest(sqlite_ledger, fresh_anvil)
        rpc.call("evm_revert", [snapshot])
    second = migrate(sqlite_ledger, fresh_anvil)
    assert (first.contract, ENTRIES) == (second.contract, second.entries)
    check_on_chain(sqlite_ledger, fresh_anvil, entries=ENTRIES)


def test_a_token_has_one_canonical_chain(ledger: Ledger) -> None:
    """Outside test chains the first deployment binds the token; test chains stay open to it."""
    with Anvil(args=("--chain-id", "5")) as five, Anvil(args=("--chain-id", "6")) as six:
        migrate(ledger, five.url)
        with pytest.raises(CanonicalChainError, match="lives on chain 5, not on 6"):
            migrate(ledger, six.url)
        assert 0 == migrate(ledger, five.url).batches
        # Another block 0, whatever the second in which both were started.
        with (
            Anvil(args=("--chain-id", "5", "--timestamp", "1")) as imposter,
            pytest.raises(WrongChainError, match="another chain 5 than the ledger knows"),
        ):
            migrate(ledger, imposter.url)
        check_on_chain(ledger, five.url, entries=ENTRIES)
        with Anvil() as test_chain:
            assert ENTRIES == migrate(ledger, test_chain.url).entries
