"""Transactions as files: for a Safe, for a key without a network, for any broadcaster.

Method: the files are executed on a real Anvil by whoever would execute them, and the next
`migrate` finds that nothing is left; every altered file is refused before anything is signed.
"""

from __future__ import annotations

import json
import multiprocessing
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from eth_account import Account
from tests import books

from token_ledger.broadcast import broadcast
from token_ledger.chain.anvil import Anvil
from token_ledger.chain.calls import described
from token_ledger.chain.contracts import selector
from token_ledger.chain.rpc import Rpc, hex_data
from token_ledger.chain.sender import Sender
from token_ledger.chain.signer import KeySigner, NodeAccount
from token_ledger.chain.state import read_state
from token_ledger.compose import compose, sign_file, unsigned_file
from token_ledger.core.address import to_checksum as shown
from token_ledger.core.forecast import parse_gas_price
from token_ledger.core.outbox import (
    Call,
    UnsignedFile,
    read_signed,
    read_unsigned,
    safe_checksum,
    safe_document,
    safe_groups,
)
from token_ledger.core.strict import decode, encode
from token_ledger.errors import (
    ChainError,
    FileFormatError,
    NotReadyError,
    RevertedError,
    SigningKeyError,
    UnknownBatchError,
    UsageError,
    WrongChainError,
)
from token_ledger.ingest import ingest
from token_ledger.ledger import Ledger
from token_ledger.migrate import migrate
from token_ledger.seal import seal
from token_ledger.sign import sign

PAYER = KeySigner(Account.from_key("0x" + "0d" * 32))
SAFE = b"\x5a" * 20


@pytest.fixture
def url(fresh_anvil: str) -> str:
    with Rpc(fresh_anvil) as rpc:
        for address in (PAYER.address, SAFE, books.operator().address):
            rpc.call("anvil_setBalance", [hex_data(address), hex(10**21)])
    return fresh_anvil


@pytest.fixture
def ledger(sqlite_url: str, tmp_path: Path) -> Iterator[Ledger]:
    """Yield a ledger of three sealed and signed batches."""
    with books.create(sqlite_url, tmp_path) as ledger:
        for seed in range(1, 4):
            books.fill(ledger, 20, seed=seed)
            seal(ledger)
        sign(ledger, books.operator())
        yield ledger


def execute(url: str, document: dict) -> None:
    """Do what a Safe does with a file of the Transaction Builder."""
    with Rpc(url) as rpc:
        rpc.call("anvil_impersonateAccount", [hex_data(SAFE)])
        sender = Sender(rpc, NodeAccount(SAFE), chain_id=int(document["chainId"]))
        for transaction in document["transactions"]:
            to, data = (bytes.fromhex(transaction[name][2:]) for name in ("to", "data"))
            assert sender.send_and_wait(to, data, gas=16_000_000).succeeded


def offline(ledger: Ledger, url: str, **words) -> UnsignedFile:
    return unsigned_file(compose(ledger, url), url, payer=PAYER.address, **words)


def test_a_safe_migrates(ledger: Ledger, url: str) -> None:
    """Deployment and replays through a Safe's files: the next migrate has nothing left to do."""
    made = compose(ledger, url)
    assert 4 == len(made.calls)
    for group in safe_groups(made.calls):
        document = safe_document(group, chain_id=31337, safe=SAFE, name="x", created_ms=1)
        execute(url, document)
    done = migrate(ledger, url)
    assert (made.contract, 0, 0) == (done.contract, done.batches, done.gas_used)
    assert 60 == ingest(ledger, url).transfers
    with pytest.raises(NotReadyError, match="lacks nothing"):
        compose(ledger, url)


def test_the_safes_checksum_is_the_builders(tmp_path: Path, project: Path) -> None:
    """The checksum is the one that the Transaction Builder's own algorithm computes."""
    calls = [Call(b"\1" * 20, b"\2\3", 5, 'a "name", é'), Call(b"\4" * 20, b"", 5, "b")]
    document = safe_document(calls, chain_id=10, safe=None, name="é", created_ms=1_700_000_000_000)
    path = tmp_path / "safe.json"
    path.write_bytes(encode(document))
    script = project / "tests" / "javascript" / "safe_checksum.mjs"
    told = subprocess.run(
        ["node", str(script), str(path)],
        cwd=project / "contracts",
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    answer = json.loads(told.stdout)
    assert answer["checksum"] == answer["computed"] == safe_checksum(document)


def test_a_safes_files_stay_small() -> None:
    """Calls are grouped in order so that each file is one transaction of a Safe."""
    calls = [Call(b"\1" * 20, bytes(50_000), 5_000_000, str(n)) for n in range(5)]
    groups = list(safe_groups(calls))
    assert calls == [call for group in groups for call in group]
    assert [2, 2, 1] == [len(group) for group in groups]
    assert [[calls[0]]] == list(safe_groups(calls[:1]))


def test_signed_without_a_network(ledger: Ledger, url: str) -> None:
    """Composed, signed by a key that meets no node, broadcast twice: everything is there once."""
    file = read_unsigned(decode(encode(offline(ledger, url).to_json())))
    signed = sign_file(file, PAYER)
    again = read_signed(decode(encode(signed.to_json())))
    assert signed == again
    first = broadcast(again, url)
    assert (4, 0) == (first.sent, first.known)
    second = broadcast(again, url)
    assert (0, 4, first.gas_used) == (second.sent, second.known, second.gas_used)
    assert 0 == migrate(ledger, url).batches
    assert 60 == ingest(ledger, url).transfers


def test_fixed_nonces_and_fees(ledger: Ledger, url: str) -> None:
    """Nonces follow each other from the one given; the fee is the one given; cost is bounded."""
    file = offline(ledger, url, nonce=7, fee_max=parse_gas_price("3"))
    assert [7, 8, 9, 10] == [t.nonce for t in file.transactions]
    assert {3 * 10**9} == {t.fee_max_wei for t in file.transactions}
    assert 3 * 10**9 * sum(t.call.gas for t in file.transactions) == file.cost_max_wei


def test_what_the_books_refuse_is_not_composed(sqlite_url: str, tmp_path: Path, url: str) -> None:
    """Nothing sealed, and batches without the sealer's signature, are refused as migrate does."""
    with books.create(sqlite_url, tmp_path) as ledger:
        with pytest.raises(UnknownBatchError):
            compose(ledger, url)
        books.fill(ledger, 10)
        seal(ledger)
        with pytest.raises(SigningKeyError, match="not signed"):
            compose(ledger, url)


def altered(file: UnsignedFile) -> dict[str, UnsignedFile]:
    first, *rest = file.transactions

    def changed(**what) -> UnsignedFile:
        call = replace(first.call, **what)
        return replace(file, transactions=(replace(first, call=call), *rest))

    second = rest[0]
    elsewhere = replace(second, call=replace(second.call, to=b"\x66" * 20))
    return {
        "a call to somebody": changed(to=b"\x66" * 20, data=b"\1\2\3\4"),
        "a transfer": changed(data=selector("transfer(address,uint256)") + bytes(64)),
        "plain money": changed(to=b"\x66" * 20, data=b""),
        "another contract deployed": changed(data=bytes(32) + b"\x60\x00"),
        "a second contract": replace(file, transactions=(first, second, elsewhere, *rest[2:])),
    }


@pytest.mark.parametrize(
    "what",
    [
        "a call to somebody",
        "a transfer",
        "plain money",
        "another contract deployed",
        "a second contract",
    ],
)
def test_nothing_else_is_signed(ledger: Ledger, url: str, what: str) -> None:
    """A file that was altered on its way to the offline machine is not signed."""
    file = offline(ledger, url)
    with pytest.raises(FileFormatError, match="none of these commands"):
        sign_file(altered(file)[what], PAYER)


def test_a_cut_over_is_signed_only_by_itself_and_when_it_is_asked_for(
    ledger: Ledger, url: str
) -> None:
    """Replacing a replay by finalize() signs nothing, with or without --finalize.

    A file of one finalize() is signed with it, for the contract that was named.
    """
    file = offline(ledger, url)
    first, second, *rest = file.transactions
    slipped = replace(second, call=replace(second.call, data=selector("finalize()")))
    swapped = replace(file, transactions=(first, slipped, *rest))
    there = {"chain_id": file.chain_id, "contract": second.call.to}
    for words in ({}, {"finalize": True, **there}):
        with pytest.raises(FileFormatError, match="cut-over"):
            sign_file(swapped, PAYER, **words)
    alone = replace(file, transactions=(slipped,))
    with pytest.raises(FileFormatError, match="cut-over"):
        sign_file(alone, PAYER)
    with pytest.raises(FileFormatError, match="cut-over"):
        sign_file(alone, PAYER, finalize=True, chain_id=31337, contract=b"\x66" * 20)
    for lacking in there:
        with pytest.raises(UsageError, match="that were named"):
            sign_file(alone, PAYER, finalize=True, **{**there, lacking: None})
    redirected = replace(alone, chain_id=5002)
    with pytest.raises(FileFormatError, match="is for chain 5002, not for 31337"):
        sign_file(redirected, PAYER, finalize=True, **there)
    signed = sign_file(alone, PAYER, finalize=True, **there)
    assert [f"FINALIZE: close replay and open transfers, for ever, at {shown(second.call.to)}"] == [
        transaction.what for transaction in signed.transactions
    ]


def test_what_is_signed_is_told_from_the_calldata(ledger: Ledger, url: str) -> None:
    """Each signed transaction is described by its recipient and data; the file's words are not."""
    file = offline(ledger, url)
    lying = replace(
        file,
        transactions=tuple(
            replace(t, call=replace(t.call, what="harmless")) for t in file.transactions
        ),
    )
    contract = shown(file.transactions[1].call.to)
    assert [
        f"deploy LedgerToken to {contract}",
        *(f"replay batch {n}, 20 entries, at {contract}" for n in (1, 2, 3)),
    ] == [t.what for t in sign_file(lying, PAYER).transactions]
    part = compose(ledger, url, part_rows=1).calls[2]
    rows = int(re.findall(r"of (\d+)$", part.what)[0])
    assert f"replay batch 1, the next 1 row of {rows}, at {contract}" == (
        described(part.to, part.data)
    )


def test_only_the_payer_signs_only_this_contract(ledger: Ledger, url: str) -> None:
    """Another key, and another contract or chain than the one that was named, are refused."""
    file = offline(ledger, url)
    with pytest.raises(SigningKeyError):
        sign_file(file, books.stranger())
    with pytest.raises(FileFormatError):
        sign_file(file, PAYER, contract=b"\x66" * 20)
    with pytest.raises(FileFormatError, match="chain"):
        sign_file(file, PAYER, chain_id=1)
    assert 4 == len(sign_file(file, PAYER, contract=compose(ledger, url).contract).transactions)


@pytest.mark.parametrize(
    "change",
    [
        {"format": "token-ledger-signed-v2"},
        {"chainId": 0},
        {"from": "0x" + "5a" * 20},
        {"transactions": []},
        {"more": 1},
    ],
)
def test_a_malformed_file_is_refused(ledger: Ledger, url: str, change: dict) -> None:
    """Unknown formats and keys, no transactions, addresses without a checksum."""
    signed = sign_file(offline(ledger, url), PAYER).to_json()
    with pytest.raises(FileFormatError):
        read_signed(signed | change)


def test_an_altered_signed_file_is_refused(ledger: Ledger, url: str) -> None:
    """A raw transaction that is not its hash's or not the payer's, and a gap of nonces."""
    document = sign_file(offline(ledger, url), PAYER).to_json()
    one = document["transactions"][0]
    for change in ({"raw": one["raw"][:-2] + "00"}, {"hash": "0x" + "00" * 32}, {"nonce": 77}):
        with pytest.raises(FileFormatError):
            read_signed(document | {"transactions": [one | change, *document["transactions"][1:]]})
    with pytest.raises(FileFormatError, match="not signed by"):
        broadcast(read_signed(document | {"from": hex_data(b"\0" * 20)}), url)


def test_broadcast_says_what_stops_it(ledger: Ledger, url: str) -> None:
    """Another chain, a nonce taken by another transaction, and a replay that somebody else made."""
    file = offline(ledger, url)
    other_chain = sign_file(replace(file, chain_id=5), PAYER)
    with pytest.raises(WrongChainError):
        broadcast(other_chain, url)
    signed = sign_file(file, PAYER)
    cheaper = offline(ledger, url, fee_max=parse_gas_price("90"))
    broadcast(sign_file(cheaper, PAYER), url)
    with pytest.raises(ChainError, match="took nonce"):
        broadcast(signed, url)
    late = sign_file(
        replace(
            file,
            transactions=tuple(replace(t, nonce=t.nonce + 4 - 1) for t in file.transactions[1:]),
        ),
        PAYER,
    )
    with pytest.raises(RevertedError, match="replay batch 1"):
        broadcast(late, url)


def run_migrate(url: str, database: str, secret: str, key: str | None, results) -> None:
    """Migrate in a process of its own."""
    signer = None if key is None else KeySigner(Account.from_key(key))
    with Ledger.open(database, secret_file=secret) as ledger:
        done = migrate(ledger, url, gas_signer=signer)
        results.put((done.batches, done.entries))


@pytest.mark.parametrize("keys", [("0d", "0e"), ("0d", "0d"), (None, None)], ids=str)
def test_two_operators_at_once_replay_once(
    database_url: str, tmp_path: Path, keys: tuple[str | None, str | None]
) -> None:
    """Two processes, with two keys or with one, on one database: each entry is one Transfer."""
    with books.create(database_url, tmp_path) as ledger, Anvil() as node:
        for number in range(30):
            books.fill(ledger, 12, seed=number)
            seal(ledger)
        sign(ledger, books.operator())
        with Rpc(node.url) as rpc:
            for key in {key for key in keys if key}:
                address = Account.from_key("0x" + key * 32).address
                rpc.call("anvil_setBalance", [address, hex(10**21)])
        context = multiprocessing.get_context("spawn")
        results = context.Queue()
        processes = [
            context.Process(
                target=run_migrate,
                args=(
                    node.url,
                    database_url,
                    str(tmp_path / "secret"),
                    None if key is None else "0x" + key * 32,
                    results,
                ),
            )
            for key in keys
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join(120)
        assert [0, 0] == [process.exitcode for process in processes]
        done = [results.get(timeout=10) for _ in processes]
        final = migrate(ledger, node.url)
        with Rpc(node.url) as rpc:
            assert 30 == read_state(rpc, final.contract).head_number
        assert 0 == final.batches
        assert sum(batches for batches, _ in done) <= 30
        assert 360 == ingest(ledger, node.url).transfers
