"""The kinds of findings of `reconcile`, in one place: stable words for machines, and their terms.

Each is one way in which ledger, mirror and chain can differ. What is not a difference (entries not
sealed yet, batches not replayed yet) is counted, and is no finding. A finding is *about* something
that stays the same from run to run, which gives its id; its *figures* are what may change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from token_ledger.core.address import to_checksum
from token_ledger.core.hashing import keccak
from token_ledger.core.strict import encode
from token_ledger.core.types import Finding

MISSING_ON_CHAIN = "missing_on_chain"
"""An entry of a replayed batch has no transfer."""
MISSING_IN_LEDGER = "missing_in_ledger"
"""A transfer has no entry."""
VALUE_DIFFERS = "value_differs"
"""An entry and its transfer move different amounts."""
PARTY_DIFFERS = "party_differs"
"""An entry and its transfer name different sides."""
ORDER_DIFFERS = "order_differs"
"""An entry's transfer is there, but in another place."""
DUPLICATED = "duplicated"
"""One entry has several transfers."""
HEADER_DIFFERS = "header_differs"
"""A batch header differs between the ledger, the mirror and the contract, or is missing."""
BALANCE_DRIFT = "balance_drift"
"""An address holds something else than the entries say."""
ACCOUNT_DRIFT = "account_drift"
"""An account's stored balance is not what its own last entry says."""
SUPPLY_DRIFT = "supply_drift"
"""The total supply is not the sealed one."""
MIRROR_BEHIND = "mirror_behind"
"""The contract holds batches that were not imported: they were not compared."""
ORPHANED = "orphaned"
"""The mirror holds blocks that the chain no longer has, or a replay was taken back with its."""
MIRROR_ALTERED = "mirror_altered"
"""A row of the mirror contradicts the rest of it."""
CODE_DIFFERS = "code_differs"
"""The code at the contract's address is not the one that was deployed, or is gone."""
UNKNOWN_CONTRACT = "unknown_contract"
"""The contract is another token's, or holds another history than this ledger's."""
RULE_BROKEN = "rule_broken"
"""An entry imported from the chain did what a rule of the ledger would have refused."""
ENTRY_STOPPED = "entry_stopped"
"""A transfer of the chain takes more than its sender's entries left: the books stop before it."""
BRIDGE_MINT = "bridge_mint"
"""A bridge minted while the ledger issues the token: no issuance, and no entry."""
BRIDGE_BURN = "bridge_burn"
"""A bridge burned while the ledger issues the token: no entry."""
ENTRY_ALTERED = "entry_altered"
"""An entry is not what its own id says, or left a balance that the entries do not leave."""
UNEXPLAINED = "unexplained"
"""Rows were neither matched nor named by any other finding: the last safeguard."""
HOLD_UNCOVERED = "hold_uncovered"
"""Holds claim more than their escrow account has: the chain moved it."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a kind means and what to do about it, for people; `about` and `figures` for machines.

    `about`: the details that name the one thing that differs. `figures`: those that say by how
    much; an acknowledgement holds as long as they stay the same. `every_run`: an incremental run
    looks for it everywhere as well.
    """

    meaning: str
    advice: str
    about: tuple[str, ...] = ("entry_id",)
    figures: tuple[str, ...] = ("ledger", "chain")
    every_run: bool = False


_ALTERED = "a row was altered after sealing, in the books or in the mirror"
_EXPORT = (
    "`export` to a new directory and `verify` it against the signature: what fails shows which "
    "side was altered, and where nothing does it is the mirror: `import --again`"
)

TERMS: Mapping[str, Terms] = {
    MISSING_ON_CHAIN: Terms(
        "an entry has no transfer: the node left logs out, or the mirror lost a row; or the entry "
        "was written past the ledger, or left behind by the cut-over, as the sentence says",
        "`import --again` reads the mirror anew, from another node if need be; what is missing "
        "then, the sentence explains",
    ),
    MISSING_IN_LEDGER: Terms(
        "a transfer that no entry explains: entries were deleted, or another copy of the ledger "
        "replayed",
        "compare with an export or a backup, and restore from it what is missing; `import --again` "
        "shows whether the transfer is there at all",
        about=("tx", "log_index", "seq"),
    ),
    VALUE_DIFFERS: Terms(f"entry and transfer move different amounts: {_ALTERED}", _EXPORT),
    PARTY_DIFFERS: Terms(f"entry and transfer name different sides: {_ALTERED}", _EXPORT),
    ORDER_DIFFERS: Terms(
        "an entry's transfer stands in another entry's place",
        _EXPORT,
        figures=("ledger", "chain", "place"),
    ),
    DUPLICATED: Terms(
        "an entry has a second transfer; the contract replays nothing twice: the mirror was "
        "altered",
        "`import --again` reads the mirror anew",
        about=("entry_id", "tx", "log_index"),
    ),
    HEADER_DIFFERS: Terms(
        "a header, with its root, differs between books, mirror and contract, or is missing from "
        "one",
        "`verify` the last good export against the contract; if the contract is right, the "
        "database was altered: restore it",
        about=("batch", "aspect"),
    ),
    BALANCE_DRIFT: Terms(
        "an address holds something else than the entries left: storage was changed without a log, "
        "or an entry was altered",
        "do not finalize; compare the account's statement with its transfers",
        about=("address",),
        figures=("difference",),
        every_run=True,
    ),
    ACCOUNT_DRIFT: Terms(
        "an account's stored balance is not what its own last entry left: either it was changed "
        "in the database, or the account's last entry was deleted there",
        "change nothing yet: an `export` or a backup tells whether an entry is gone, and then the "
        "balance is right; find who had the owner's role, and restore the database",
        about=("address",),
        figures=("difference",),
        every_run=True,
    ),
    SUPPLY_DRIFT: Terms(
        "`totalSupply`, or the supply stored in the books, is not what the entries left: storage "
        "was changed without a log, or the database without an entry",
        "do not finalize; find out by whom",
        about=("aspect",),
        figures=("difference",),
        every_run=True,
    ),
    ENTRY_ALTERED: Terms(
        "an entry's id is not that of its row, or the balance or supply that it left is not what "
        "the entries up to it leave: a row of the books was altered, deleted or added",
        "`check` tells more; an `export` or a backup shows what the entry was",
        about=("entry_id", "aspect", "address"),
        figures=("ledger", "stored"),
    ),
    UNEXPLAINED: Terms(
        "rows were neither matched nor named by any other finding: the counts do not add up",
        "take nothing for clean; compare with a backup, and report it",
        about=("aspect",),
        figures=("ledger", "counted"),
    ),
    MIRROR_BEHIND: Terms(
        "the contract holds batches that the mirror does not: they were not imported yet, or the "
        "mirror lost them",
        "`import`, then `reconcile` again; where that brings nothing, `import --again`",
        about=(),
        every_run=True,
    ),
    ORPHANED: Terms(
        "the chain was reorganised: it no longer has the last imported block, or a replay that was "
        "imported is on it no more",
        "`import` again, which follows the chain; `migrate` replays again what was taken back",
        about=("tx", "block_hash"),
        every_run=True,
    ),
    MIRROR_ALTERED: Terms(
        "a row of the mirror contradicts the rest of it: its block has no header, or it names "
        "another block, transaction or place than the rows that belong to it",
        "`import --again` reads the mirror anew",
        about=("aspect", "block", "log_index"),
        figures=("mirror",),
    ),
    CODE_DIFFERS: Terms(
        "the code at the contract's address is gone, or another than what was deployed: it is no "
        "contract of ours, or a later release's",
        "check chain and address; `--allow-code` names code that you vouch for",
        about=("aspect",),
        every_run=True,
    ),
    UNKNOWN_CONTRACT: Terms(
        "the contract is another token's, or it stands at a batch that the ledger does not hold",
        "is it the right chain and the right copy of the database? A staging copy may have "
        "replayed there",
        about=(),
        every_run=True,
    ),
    RULE_BROKEN: Terms(
        "an entry that was imported moved what a rule of the ledger would have refused: it came "
        "from a frozen account, passed a limit or the token's maximum",
        "the chain decides; should the rule be the contract's, or no rule any more?",
        figures=("rule",),
        every_run=True,
    ),
    ENTRY_STOPPED: Terms(
        "a transfer of the chain takes more than its sender's transfers left it: a fee on "
        "transfers, rebasing, a supply that was there without an event, or an import that began "
        "too late; entries stop before its block, the mirror goes on",
        "the books cannot follow such a token: use the mirror, and `balanceOf`",
        about=("tx", "log_index"),
        figures=("held",),
        every_run=True,
    ),
    BRIDGE_MINT: Terms(
        "a bridge minted while the ledger issues the token: no issuance, and no entry",
        "find out who lets a bridge in before the cut-over",
        about=("tx", "log_index"),
    ),
    BRIDGE_BURN: Terms(
        "a bridge burned while the ledger issues the token: no entry",
        "find out who lets a bridge in before the cut-over",
        about=("tx", "log_index"),
    ),
    HOLD_UNCOVERED: Terms(
        "holds claim more than their escrow account has: the chain moved money out of its vault",
        "whoever operates the vault did it: have it brought back, or settle with the holds' owners "
        "outside the ledger, and acknowledge it",
        about=("address",),
        figures=("claimed", "ledger"),
        every_run=True,
    ),
}
KINDS = frozenset(TERMS)


def finding_id(finding: Finding, *, chain_id: int, contract: bytes) -> bytes:
    """Return the 32 bytes that name a finding in every run: its kind and what it is about.

    Keccak of the RFC 8785 text of kind, chain, contract and the details that `about` lists.
    """
    return keccak(
        encode(
            {
                "kind": finding.kind,
                "chainId": str(chain_id),
                "contract": to_checksum(contract),
                "about": {
                    name: finding.details.get(name) for name in TERMS[finding.kind].about
                },
            }
        )
    )  # fmt: skip


def figures_digest(finding: Finding) -> bytes:
    """Return the keccak of a finding's figures: equal as long as it says the same."""
    names = TERMS[finding.kind].figures
    return keccak(encode({name: finding.details.get(name) for name in names}))
