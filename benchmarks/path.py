"""How fast do 100,000 entries reach a chain, come back, and get compared?

One ledger, one Anvil. Floors of the same run: for the import, fetching the same `eth_getLogs`
answers over the same ranges with a bare HTTP client and decoding their JSON; for reconciling, the
bare join of the two tables by the database.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import orjson
import requests

from benchmarks.figures import Figure, at_least, peak_memory_mib, rate, seconds
from token_ledger.chain.anvil import Anvil
from token_ledger.chain.contracts import TRANSFER_TOPIC
from token_ledger.chain.signer import KeystoreSigner, create_keystore, password_from
from token_ledger.ingest import ingest
from token_ledger.ledger import Ledger
from token_ledger.load import load
from token_ledger.migrate import migrate
from token_ledger.reconcile import reconcile
from token_ledger.sample import write_sample
from token_ledger.seal import seal
from token_ledger.sign import sign

ROWS = 100_000
_JOIN = """
SELECT count(*) FROM (
    SELECT row_number() OVER (ORDER BY entry_no) - 1 AS seq, amount FROM token_ledger
) AS entry CROSS JOIN chain_transfers t INDEXED BY chain_transfers_by_seq
    ON t.contract_no = 1 AND t.seq = entry.seq AND t.value = entry.amount
"""


def _fetch(url: str, address: bytes, blocks: int, step: int) -> None:
    session = requests.Session()
    session.trust_env = False
    for start in range(0, blocks + 1, step):
        query = {
            "address": "0x" + address.hex(),
            "topics": ["0x" + TRANSFER_TOPIC.hex()],
            "fromBlock": hex(start),
            "toBlock": hex(min(start + step - 1, blocks)),
        }
        body = {"jsonrpc": "2.0", "id": 1, "method": "eth_getLogs", "params": [query]}
        answer = session.post(url, json=body, timeout=60)
        _decode(orjson.loads(answer.content)["result"])


def _decode(logs: list[dict[str, str]]) -> None:
    for log in logs:
        _, sender, receiver = log["topics"]
        bytes.fromhex(sender[26:])
        bytes.fromhex(receiver[26:])
        int(log["data"], 16)
        int(log["logIndex"], 16)
        bytes.fromhex(log["blockHash"][2:])


def measure() -> list[Figure]:
    """Load, seal and sign; then time replay, import and reconciliation."""
    with tempfile.TemporaryDirectory() as name, Anvil(args=("--enable-tx-gas-limit",)) as node:
        directory = Path(name)
        keystore, password = directory / "key.json", directory / "key.password"
        create_keystore(keystore, password)
        signer = KeystoreSigner(keystore, password=password_from(password))
        url = f"sqlite:///{directory / 'ledger.db'}"
        with Ledger.create(url, operator=signer.address) as ledger:
            ledger.create_token("BEN", "Benchmark", 18)
            write_sample(directory / "rows.csv", rows=ROWS, accounts=100)
            load(ledger, directory / "rows.csv", create_accounts=True)
            seal(ledger)
            sign(ledger, signer)
            return _measure(ledger, node.url)


def _measure(ledger: Ledger, url: str) -> list[Figure]:
    replayed = seconds(lambda: migrate(ledger, url))
    contract = migrate(ledger, url).contract
    before = peak_memory_mib()
    results = []
    imported = seconds(lambda: results.append(ingest(ledger, url)))
    grown = peak_memory_mib() - before
    blocks = results[0].to_block
    fetched = seconds(lambda: _fetch(url, contract, blocks, step=4))
    compared = seconds(lambda: reconcile(ledger, url))
    with ledger.read() as connection:
        joined = seconds(lambda: connection.exec_driver_sql(_JOIN).scalar())
    return [
        at_least("replay into Anvil", ours=ROWS / replayed, unit="rows/s", aim=50_000),
        rate(
            "import 100,000 transfers, beside bare fetch and decode",
            ours=ROWS / imported,
            floor=ROWS / fetched,
            unit="logs/s",
            at_least=0.5,
        ),
        Figure("memory that the import added", f"{grown:.0f} MiB", "", None, "bounded", None),
        at_least(
            "reconcile 100,000 entries with 100,000 transfers",
            ours=ROWS / compared,
            unit="entries/s",
            aim=50_000,
        ),
        Figure(
            "the bare join of them",
            f"{ROWS / compared:,.0f}/s",
            f"{ROWS / joined:,.0f}/s",
            joined / compared,
            "",
            None,
        ),
    ]
