"""Batches replayed by parts, as anybody may: migrate finishes them, import numbers their transfers.

Method: a stranger's account of a real Anvil submits the parts of a batch that the sealer signed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from eth_abi.abi import encode
from sqlalchemy import select
from tests.onchain import ENTRIES, books_of, check_on_chain, go_on, mined

from token_ledger.chain import contracts
from token_ledger.chain.rpc import Rpc, hex_data
from token_ledger.core.types import Header
from token_ledger.ingest import ingest
from token_ledger.ledger import Ledger, batches, mirror
from token_ledger.ledger.mirror_schema import chain_transfers
from token_ledger.migrate import migrate
from token_ledger.reconcile import reconcile

ALL = ENTRIES + 10  # `go_on` adds one batch of ten
_BATCH = "(uint64,bytes32,uint64,uint32,bytes32,bytes32,uint256,uint64)"
_REPLAY_PART = contracts.selector(f"replayPart({_BATCH},bytes,bytes,uint32)")


@pytest.fixture
def ledger(database_url: str, tmp_path: Path, fresh_anvil: str) -> Iterator[Ledger]:
    """Yield a migrated ledger with one more batch of ten, sealed and signed, on each engine."""
    with books_of(database_url, tmp_path) as ledger:
        migrate(ledger, fresh_anvil)
        go_on(ledger, seed=2)
        yield ledger


def replay_part(ledger: Ledger, url: str, rows_max: int) -> None:
    """Have a stranger submit the next rows of the ledger's last batch."""
    with ledger.read() as connection:
        number = batches.head(connection, ledger.token).number
        batch = mirror.read_replayable(connection, ledger.token, number, ledger.operator)
    fields = tuple(getattr(batch.header, name) for name in Header.__slots__)
    arguments = [fields, batch.rows, batch.signature, rows_max]
    data = _REPLAY_PART + encode([_BATCH, "bytes", "bytes", "uint32"], arguments)
    to = contracts.token_address(ledger.token, ledger.operator)
    with Rpc(url) as rpc:
        sender = rpc.call("eth_accounts")[5]
        call = {"from": sender, "to": hex_data(to), "data": hex_data(data)}
        sent = rpc.call("eth_sendTransaction", [call | {"gas": hex(5_000_000)}])
        assert "0x1" == mined(rpc, sent)["status"]


@pytest.mark.parametrize("rows", [1, 9])
def test_migrate_finishes_what_a_stranger_began(
    ledger: Ledger, fresh_anvil: str, rows: int
) -> None:
    """A batch of which a part is on the chain is completed: each entry is there exactly once."""
    replay_part(ledger, fresh_anvil, rows)
    assert 1 == migrate(ledger, fresh_anvil).batches
    check_on_chain(ledger, fresh_anvil, entries=ALL)


def test_a_batch_replayed_by_a_stranger_alone_is_like_any_other(
    ledger: Ledger, fresh_anvil: str
) -> None:
    """One row, then the rest: migrate finds nothing to do, and reconcile nothing to report."""
    replay_part(ledger, fresh_anvil, 1)
    replay_part(ledger, fresh_anvil, 100)
    assert 0 == migrate(ledger, fresh_anvil).batches
    check_on_chain(ledger, fresh_anvil, entries=ALL)


def test_parts_may_come_in_several_imports(ledger: Ledger, fresh_anvil: str) -> None:
    """Each import numbers the transfers of its own parts; the last one completes the batch."""
    ingest(ledger, fresh_anvil)
    for rows, added, completed in ((3, 3, 0), (4, 4, 0), (100, 3, 1)):
        replay_part(ledger, fresh_anvil, rows)
        done = ingest(ledger, fresh_anvil)
        assert (added, completed, 0) == (done.transfers, done.batches, done.skipped)
    with ledger.read() as connection:
        seqs = connection.execute(select(chain_transfers.c.seq)).scalars().all()
    assert list(range(ALL)) == sorted(seqs)
    result = reconcile(ledger, fresh_anvil)
    assert (ALL, []) == (result.matched, result.findings)
