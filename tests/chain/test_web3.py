"""web3.py, with no code of ours, reads from the chain what the ledger wrote."""

from __future__ import annotations

from pathlib import Path

from tests import books
from tests.onchain import books_of
from web3 import Web3

from token_ledger.chain.contracts import TOKEN_CONTRACT, artifact
from token_ledger.core.address import to_checksum
from token_ledger.ledger import batches
from token_ledger.migrate import migrate


def test_web3_reads_the_ledger_back(sqlite_url: str, tmp_path: Path, fresh_anvil: str) -> None:
    """Its decoded Transfer and BatchReplayed events are the entries and headers, one to one."""
    with books_of(sqlite_url, tmp_path) as ledger:
        address = to_checksum(migrate(ledger, fresh_anvil).contract)
        with ledger.read() as connection:
            head = batches.head(connection, ledger.token)
            sealed = [
                batches.read_batch(connection, ledger.token, number)
                for number in range(1, head.number + 1)
            ]
        web3 = Web3(Web3.HTTPProvider(fresh_anvil))
        token = web3.eth.contract(address=address, abi=list(artifact(TOKEN_CONTRACT).abi))
        expected = [
            (to_checksum(e.from_address), to_checksum(e.to_address), e.value)
            for batch in sealed
            for e in batch.entries
        ]
        transfers = token.events.Transfer().get_logs(from_block=0)
        actual = [(t["args"]["from"], t["args"]["to"], t["args"]["value"]) for t in transfers]
        assert expected == actual
        replayed = token.events.BatchReplayed().get_logs(from_block=0)
        assert [b.digest for b in sealed] == [bytes(r["args"]["digest"]) for r in replayed]
        assert ledger.get_total_supply() == token.functions.totalSupply().call()
        assert to_checksum(books.operator().address) == token.functions.sealer().call()
