"""How much gas does a replay use, beside what no contract can go below?

The floor is that of design: 21,000 + 1,756 a log + 5,000 an existing and 22,100 a new account +
calldata. Real transactions on Anvil, gas as their receipts say.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.figures import Figure, cost
from token_ledger.chain.anvil import Anvil
from token_ledger.chain.contracts import replay_calldata
from token_ledger.chain.signer import KeystoreSigner, create_keystore, password_from
from token_ledger.core.gas import gas_floor
from token_ledger.core.types import Record, Texts
from token_ledger.ledger import Ledger, batches
from token_ledger.migrate import migrate
from token_ledger.seal import seal
from token_ledger.sign import sign

ROWS, ACCOUNTS, NEW_HOLDERS = 4_000, 100, 5_000


class _Bench:
    """One ledger on one Anvil: posts, replays, and says gas used and floor of the new batches."""

    def __init__(self, directory: Path, url: str) -> None:
        create_keystore(directory / "key.json", directory / "key.password")
        self.signer = KeystoreSigner(
            directory / "key.json", password=password_from(directory / "key.password")
        )
        self.ledger = Ledger.create(
            f"sqlite:///{directory / 'ledger.db'}", operator=self.signer.address
        )
        self.ledger.create_token("BEN", "Benchmark", 18)
        self.url = url
        self.seen: set[bytes] = set()

    def replay(self, records: Sequence[Record]) -> tuple[int, int, int]:
        """Return gas used, the summed floors and the number of batches."""
        ledger = self.ledger
        ledger.post_many(records)
        with ledger.read() as connection:
            first = batches.head(connection, ledger.token).number + 1
        seal(ledger)
        sign(ledger, self.signer)
        done = migrate(ledger, self.url)
        floor = 0
        for number in range(first, first + done.batches):
            with ledger.read() as connection:
                batch = batches.read_batch(connection, ledger.token, number)
            touched = {a for e in batch.entries for a in (e.from_address, e.to_address)}
            new = touched - self.seen
            self.seen |= touched
            floor += gas_floor(
                rows=batch.header.count,
                old_accounts=len(touched - new),
                new_accounts=len(new),
                calldata=replay_calldata(batch),
            )
        return done.gas_used - done.deployment_gas_used, floor, done.batches


def _record(sender: str, receiver: str, value: int) -> Record:
    return Record(sender, receiver, value, Texts(reason="bench"))


def measure() -> list[Figure]:
    """Replay 4,000 rows among 100 existing accounts, then 5,000 new holders."""
    chance = random.Random(7)
    people = [f"old-{i}" for i in range(ACCOUNTS)]
    with (
        tempfile.TemporaryDirectory() as name,
        Anvil(args=("--enable-tx-gas-limit",)) as node,
    ):
        bench = _Bench(Path(name), node.url)
        with bench.ledger as ledger:
            for person in people:
                ledger.create_account(person)
            bench.replay([_record("system", person, 2**90) for person in people])
            rows = [
                _record(*chance.sample(people, 2), chance.randint(2**64, 2**72 - 1))
                for _ in range(ROWS)
            ]
            used, floor, count = bench.replay(rows)
            assert count == 1, "4,000 rows among 100 accounts fit one batch"
            holders = [f"new-{i}" for i in range(NEW_HOLDERS)]
            for holder in holders:
                ledger.create_account(holder)
            mints = [_record("system", h, chance.randint(2**64, 2**72 - 1)) for h in holders]
            new_used, new_floor, _ = bench.replay(mints)
    return [
        cost(
            "4,000 rows among 100 existing accounts",
            ours=used,
            floor=floor,
            unit="gas",
            at_most=1.10,
        ),
        Figure(
            "the same, a row",
            f"{used / ROWS:,.0f} gas",
            f"{floor / ROWS:,.0f} gas",
            used / floor,
            "≤ 9,100,000 in all",
            used <= 9_100_000,
        ),
        cost("5,000 new holders", ours=new_used, floor=new_floor, unit="gas", at_most=1.05),
    ]
