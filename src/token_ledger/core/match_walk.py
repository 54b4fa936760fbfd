"""What is wrong with entries in themselves, and with what is stored beside them, said as findings.

An entry's id is that of its row; each batch's entries give its root; each balance is what the
entries up to it leave. Pure; `core.match` says what differs between entries and transfers.
"""

from __future__ import annotations

from token_ledger.core import findings as kinds
from token_ledger.core.address import to_checksum
from token_ledger.core.match_headers import header_differs
from token_ledger.core.strict import to_hex
from token_ledger.core.types import ZERO_ADDRESS, Finding

_WHAT = {
    "id": "its id is not that of its row: sides, amount, nonce or ref were altered, or the id",
    "account": "it names an account that is not there: the account was deleted",
    "amount": "it moves what is no amount: it was altered",
    "balance_after": "the balance that it left is not what the entries up to it leave: the balance "
    "was altered, or an entry of the account was deleted or added before it",
    "supply_after": "the supply that it left is not what the entries up to it leave: the supply "
    "was altered, or a mint or burn was deleted or added before it",
}


def entry_altered(
    aspect: str,
    *,
    entry_id: bytes,
    entry_no: int,
    stored: object,
    computed: object,
    address: bytes | None = None,
) -> Finding:
    """Return the finding for an entry that is not what it says of itself, or what it left."""
    where = {} if address is None else {"address": to_checksum(address)}
    return Finding(
        kinds.ENTRY_ALTERED,
        f"{_WHAT[aspect]}; `check` tells more, compare the entry with an export or a backup",
        {
            "aspect": aspect,
            "entry_id": to_hex(entry_id),
            "entry_no": entry_no,
            **where,
            "ledger": computed,
            "stored": stored,
            "chain": None,
            "block": None,
            "tx": None,
        },
    )


def between_batches(entry_id: bytes, entry_no: int) -> Finding:
    """Return the finding for an entry below the head that no batch holds."""
    return Finding(
        kinds.MISSING_ON_CHAIN,
        "an entry lies between two sealed batches and in neither, so it was never replayed: it was "
        "written past the ledger, or was another token's; compare with an export or a backup",
        {
            "entry_id": to_hex(entry_id),
            "entry_no": entry_no,
            "seq": None,
            "ledger": {"entry_no": entry_no},
            "chain": None,
            "block": None,
            "tx": None,
        },
    )


def root_differs(number: int, *, sealed: bytes, computed: bytes | None) -> Finding:
    """Return the finding for a batch whose entries no longer give the root that was sealed."""
    return header_differs(
        number,
        "root",
        "its entries no longer give the root that was sealed: one of them was altered, moved, "
        "deleted or added in the books; an export that was made before shows which",
        {
            "ledger": None if computed is None else to_hex(computed),
            "stored": to_hex(sealed),
            "chain": None,
            "block": None,
            "tx": None,
        },
    )


def stored_supply_differs(stored: int | None, by_entries: int) -> Finding:
    """Return the finding for a stored supply that is not what the last mint or burn left."""
    return Finding(
        kinds.SUPPLY_DRIFT,
        "the supply that is stored beside the books is not what the last mint or burn left: it was "
        "changed in the database, or that entry was deleted; compare with an export or a backup",
        {
            "aspect": "stored",
            "address": to_checksum(ZERO_ADDRESS),
            "stored": None if stored is None else str(stored),
            "ledger": str(by_entries),
            "difference": "missing" if stored is None else str(stored - by_entries),
            "chain": None,
            "block": None,
            "tx": None,
        },
    )


def does_not_add_up(aspect: str, *, expected: int, counted: int) -> Finding:
    """Return the finding for rows of which some are neither matched nor named by any other."""
    return Finding(
        kinds.UNEXPLAINED,
        f"{counted} {aspect} were accounted for of the {expected} that are there, and no other "
        "finding says which are not: rows were altered in a way that this comparison does not "
        "know; compare with a backup, and take nothing for clean",
        {
            "aspect": aspect,
            "ledger": str(expected),
            "counted": str(counted),
            "chain": None,
            "block": None,
            "tx": None,
        },
    )
