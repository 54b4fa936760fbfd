"""Valid histories: chains of batches with everything that a contract and an auditor need."""

from __future__ import annotations

import random
from typing import Any

from eth_utils import to_checksum_address
from tests import reference
from tests.reference import ZERO_ADDRESS, NaiveLedger, hexed, unhexed

UINT256_MAX = 2**256 - 1
TIMESTAMP_MAX = 253_402_300_799_999_999
START = 1_700_000_000_000_000


def account(rng: random.Random) -> str:
    """Return a random EIP-55 address."""
    return to_checksum_address(rng.randbytes(20))


def ledger(seed: str, *, lawless: bool = False, **token: Any) -> NaiveLedger:
    """Return an empty ledger whose identity, secret and sealer come from a seed."""
    rng = random.Random(f"token-ledger vectors: {seed}")
    return NaiveLedger(
        ledger_uid=rng.randbytes(32),
        secret=rng.randbytes(32),
        sealer_key=rng.randbytes(32),
        lawless=lawless,
        **token,
    )


def small() -> NaiveLedger:
    """Return a history of nine batches of 1 to 9 entries: every shape of a small tree."""
    books = ledger("small", symbol="SML", name="Small", decimals=6)
    rng = random.Random("small")
    accounts = [account(rng) for _ in range(6)]
    for count in range(1, 10):
        for _ in range(count):
            funded = [a for a in accounts if books.balances.get(a, 0)]
            side = rng.choice(funded) if funded and rng.random() < 0.75 else ZERO_ADDRESS
            held = books.balances.get(side, 0)
            other = rng.choice([a for a in (*accounts, ZERO_ADDRESS) if a != side])
            if side == ZERO_ADDRESS:
                value = rng.randrange(1, 10 ** rng.randrange(1, 30))
            else:
                value = held if rng.random() < 0.2 else rng.randrange(1, held + 1)
            books.post(
                side,
                other,
                value,
                key=f"key {books.seq}",
                timestamp=START + books.seq * 1_000_001,
                reason=rng.choice(["", "earn:publish", "pay|pay"]),
                memo=rng.choice(["", "größer", "🚀"]),
            )
        books.seal(sealed_at=START + 10**9 * count)
    return books


def extremes() -> NaiveLedger:
    """Return a history at the bounds: the whole uint256 minted, moved and burned at once."""
    books = ledger("extremes", symbol="X" * 31, name="31 bytes of a name, and no more", decimals=0)
    rng = random.Random("extremes")
    a, b = account(rng), "0x" + "00" * 19 + "01"
    books.post(ZERO_ADDRESS, a, UINT256_MAX, key="all", timestamp=0)
    books.seal(sealed_at=0)
    books.post(a, b, UINT256_MAX, key="move", timestamp=TIMESTAMP_MAX)
    books.post(b, a, 1, key="one", timestamp=0)
    books.post(a, ZERO_ADDRESS, 1, key="burn one", timestamp=1)
    books.post(ZERO_ADDRESS, b, 1, key="issue it again", timestamp=1)
    books.seal(sealed_at=TIMESTAMP_MAX)
    books.post(b, ZERO_ADDRESS, UINT256_MAX, key="burn all", timestamp=5)
    books.seal(sealed_at=6)
    books.post(ZERO_ADDRESS, a, 1, key="begin again", timestamp=7)
    books.seal(sealed_at=7)
    return books


def many() -> NaiveLedger:
    """Return one batch of 300 new holders: references of two bytes, 18 decimals."""
    books = ledger("many", symbol="MNY", name="Many", decimals=18)
    rng = random.Random("many")
    for i in range(300):
        books.post(ZERO_ADDRESS, account(rng), 10**18 + i, key=str(i), timestamp=START + i)
    books.seal(sealed_at=START)
    return books


def flat(books: NaiveLedger) -> dict[str, Any]:
    """Return a history with every encoded form beside the readable one."""
    batches = []
    for batch in books.batches:
        entries = batch["entries"]
        leaves = [reference.leaf_of(entry) for entry in entries]
        tree = reference.make_tree(leaves)
        shown = range(len(entries)) if len(entries) < 20 else (0, 1, len(entries) - 1)
        batches.append(
            {
                "header": batch["header"],
                "headerEncoded": hexed(reference.encode_header(batch["header"])),
                "digest": batch["digest"],
                "rows": batch["rows"],
                "signature": batch["signature"],
                "entries": entries,
                "leaves": [hexed(leaf) for leaf in leaves],
                "proofs": [
                    {
                        "place": i,
                        "entryEncoded": hexed(reference.encode_entry(entries[i])),
                        "path": [
                            hexed(node) for node in reference.proof_of(tree, tree.index(leaves[i]))
                        ],
                    }
                    for i in shown
                ],
            }
        )
    holders = sorted(books.balances)
    return {
        "ledgerUid": hexed(books.ledger_uid),
        "symbol": books.symbol,
        "name": books.name,
        "decimals": books.decimals,
        "tokenUid": hexed(books.uid),
        "domainSeparator": hexed(
            reference.header_message(books.uid, books.batches[0]["header"]).header
        ),
        "sealer": books.sealer,
        "batches": batches,
        "holders": holders,
        "balances": [str(books.balances[holder]) for holder in holders],
        "totalSupply": str(books.supply),
    }


def batches() -> dict[str, Any]:
    """Return batches.json."""
    return {
        "about": "valid histories; headerEncoded and entryEncoded are abi.encode of the contract's "
        "structs Batch and Entry, holders and balances the state after the last batch",
        "chains": {
            "small": flat(small()),
            "extremes": flat(extremes()),
            "many": flat(many()),
        },
    }


def leaves_of(batch: dict[str, Any]) -> list[bytes]:
    """Return the leaves of a batch document, in the order of its entries."""
    return [reference.leaf_of(entry) for entry in batch["entries"]]


def resealed(books: NaiveLedger, batch: dict[str, Any]) -> dict[str, Any]:
    """Return a batch document made consistent again after a tampering: root, digest, signature."""
    batch["header"]["entriesRoot"] = hexed(reference.make_tree(leaves_of(batch))[0])
    batch["header"]["rowsHash"] = hexed(reference.keccak(unhexed(batch["rows"])))
    books.sign(batch)
    return batch
