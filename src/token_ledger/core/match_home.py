"""What differs where a token lives on the chain: entries that were imported, and the logs they are.

An imported entry must move what its log moves; a final log that moves something must be an entry.
Said as findings. Pure; `core.match` does the same for what was replayed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from token_ledger.core import findings as kinds
from token_ledger.core.address import to_checksum
from token_ledger.core.match import Line, MirroredTransfer, transfer_details
from token_ledger.core.strict import to_hex
from token_ledger.core.types import Finding

_WITHOUT_LOGS = (
    "the token moves balances without saying so (a fee on transfers, rebasing, a supply that was "
    "there without an event), or its import began after its first block"
)


def rule_broken(code: str, entry_id: bytes, block_number: int, log_index: int) -> Finding:
    """Return the finding for an entry that the ledger's own rules would have refused."""
    return Finding(
        kinds.RULE_BROKEN,
        f"the chain moved what the ledger would have refused ({code}): the chain decides, and it "
        "is an entry; see whether the rule should be the contract's, or no rule any more",
        {
            "rule": code,
            "entry_id": to_hex(entry_id),
            "block": block_number,
            "log_index": log_index,
        },
    )


def entry_stopped(mirrored: MirroredTransfer, held: int) -> Finding:
    """Return the finding for a transfer that its sender's entries do not cover."""
    sender = to_checksum(mirrored.transfer.from_address)
    what = f"{sender} sends more than its transfers left it: {_WITHOUT_LOGS}"
    if not any(mirrored.transfer.from_address):
        what = (
            "a mint takes the supply past 2**256 - 1, which no ERC-20 holds: the token burns or "
            "mints without saying so, or its import began after its first block"
        )
    return Finding(
        kinds.ENTRY_STOPPED,
        f"{what}. Entries stop before "
        f"block {mirrored.transfer.block_number}, the mirror goes on; the books cannot follow such "
        "a token",
        {"held": str(held), "ledger": None, **transfer_details(mirrored)},
    )


def match_import(
    line: Line | None,
    mirrored: MirroredTransfer | None,
    broken: str | None,
    link: Mapping[str, Any],
) -> list[Finding]:
    """Return how an imported entry differs from its log, and which rule it broke.

    `link`: block, transaction and place in it of the log that it was imported from. No `line`: the
    entry is gone, or an account of it.
    """
    if line is None:
        return [_entry_gone(mirrored, link)]
    details: dict[str, object] = {
        "entry_id": to_hex(line.entry_id),
        "ledger": {
            "from": to_checksum(line.from_address),
            "to": to_checksum(line.to_address),
            "value": str(line.value),
        },
    }
    if mirrored is None:
        return [
            Finding(
                kinds.MISSING_ON_CHAIN,
                "an entry was imported from a log that the mirror no longer holds: the mirror lost "
                "a row, or was made anew from a node that leaves logs out; read it anew with "
                "`import --again`, from another node if need be",
                {**details, "chain": None, **_linked(link)},
            )
        ]
    found = []
    details |= transfer_details(mirrored)
    if mirrored.movement[:2] != line.movement[:2]:
        found.append(_altered(kinds.PARTY_DIFFERS, "name different sides", details))
    elif mirrored.movement != line.movement:
        found.append(_altered(kinds.VALUE_DIFFERS, "move different amounts", details))
    if broken is not None:
        moved = mirrored.transfer
        found.append(rule_broken(broken, line.entry_id, moved.block_number, moved.log_index))
    return found


def _linked(link: Mapping[str, Any]) -> dict[str, object]:
    return {
        "block": link["block_number"],
        "block_hash": to_hex(link["block_hash"]),
        "tx": to_hex(link["tx_hash"]),
        "log_index": link["log_index"],
    }


def _entry_gone(mirrored: MirroredTransfer | None, link: Mapping[str, Any]) -> Finding:
    return Finding(
        kinds.MISSING_IN_LEDGER,
        "an entry was imported from a log and is there no more: it was deleted in the database, or "
        "an account that it names was; compare with an export or a backup, and restore it",
        {
            "ledger": None,
            "chain": None,
            **({} if mirrored is None else transfer_details(mirrored)),
            **_linked(link),
        },
    )


def _altered(kind: str, what: str, details: dict[str, object]) -> Finding:
    return Finding(
        kind,
        f"an imported entry and its log {what}: a row was altered after the import, in the ledger "
        "or in the mirror; `import --again` reads the log anew, and where it still differs the "
        "entry was altered: compare with an export or a backup",
        details,
    )


def not_entered(mirrored: MirroredTransfer) -> Finding:
    """Return the finding for a final transfer that should be an entry, and is none."""
    return Finding(
        kinds.MISSING_IN_LEDGER,
        "a transfer that was final when the books passed its block is no entry: the mirror was "
        "altered, its entry was deleted, or the node that was imported from left it out at first; "
        "read it anew with `import --again`, from another node, and compare with a backup",
        {"ledger": None, **transfer_details(mirrored)},
    )


_STRANDED = (
    "an entry was left behind by the cut-over: the contract was finalized before it was "
    "replayed, and the chain will never know it; pay its holder on the chain, if it is owed"
)
_UNLINKED = (
    "an entry of a token that lives on the chain is no log's: it was written past the ledger, or "
    "the row that names its log was deleted; owe nothing for it, and compare with an export or a "
    "backup"
)


def stranded(line: Line, *, left_behind: bool) -> Finding:
    """Return the finding for an entry that no replay and no log of the chain explains.

    `left_behind`: it stood in the books when they were cut over.
    """
    return Finding(
        kinds.MISSING_ON_CHAIN,
        _STRANDED if left_behind else _UNLINKED,
        {
            "entry_id": to_hex(line.entry_id),
            "chain": None,
            "ledger": {
                "from": to_checksum(line.from_address),
                "to": to_checksum(line.to_address),
                "value": str(line.value),
            },
            **_at(None),
        },
    )


def hold_uncovered(escrow: bytes, *, claimed: int, held: int, block_number: int) -> Finding:
    """Return the finding for holds that claim more than their escrow account has.

    `block_number`: up to which the books follow the chain.
    """
    return Finding(
        kinds.HOLD_UNCOVERED,
        "the chain moved money out of an escrow vault, and the holds on it claim more than is left "
        "there: whoever operates the vault moved it. Have it brought back, or settle with the "
        "holds' owners outside the ledger and acknowledge this: no entry can, after the cut-over",
        {
            "address": to_checksum(escrow),
            "claimed": str(claimed),
            "ledger": str(held),
            **_at(block_number),
        },
    )


def _at(block_number: int | None) -> dict[str, object]:
    """Return where something was asked that no transaction did."""
    return {"block": block_number, "tx": None}


def balance_differs(address: bytes, *, expected: int, on_chain: int, block_number: int) -> Finding:
    """Return the finding for a `balanceOf` that is not what the transfers leave."""
    return Finding(
        kinds.BALANCE_DRIFT,
        f"balanceOf is not what the transfers leave: {_WITHOUT_LOGS}; or the mirror lacks logs: "
        "read it anew with `import --again`, from another node, and compare",
        {
            "address": to_checksum(address),
            "ledger": str(expected),
            "chain": str(on_chain),
            "difference": str(on_chain - expected),
            **_at(block_number),
        },
    )


def supply_differs(*, expected: int, on_chain: int, block_number: int) -> Finding:
    """Return the finding for a `totalSupply` that is not what mints and burns leave."""
    return Finding(
        kinds.SUPPLY_DRIFT,
        f"totalSupply is not what mints and burns leave: {_WITHOUT_LOGS}; or it counts what was "
        "sent to the zero address, which the books take for burned",
        {
            "ledger": str(expected),
            "chain": str(on_chain),
            "difference": str(on_chain - expected),
            **_at(block_number),
        },
    )


def upgraded(before: bytes | None, now: bytes | None, *, block_number: int) -> Finding:
    """Return the finding for a proxy that runs other code than when its token was taken in.

    `block_number`: at which it was asked.
    """
    shown = [None if address is None else to_checksum(address) for address in (before, now)]
    return Finding(
        kinds.CODE_DIFFERS,
        "the contract is a proxy and runs other code than when the token was taken in: "
        "its owner upgraded it; read what changed, for transfers may mean something else now",
        {
            "aspect": "implementation",
            "ledger": shown[0],
            "chain": shown[1],
            **_at(block_number),
        },
    )


def code_differs(recorded: bytes | None, found: bytes | None, *, block_number: int) -> Finding:
    """Return the finding for a contract whose code is not what it was when it was taken in."""
    return Finding(
        kinds.CODE_DIFFERS,
        "the code of the contract is not what it was when the token was taken in, or it is gone: "
        "is it the right chain and address?",
        {
            "aspect": "code",
            "ledger": None if recorded is None else to_hex(recorded),
            "chain": None if found is None else to_hex(found),
            **_at(block_number),
        },
    )
