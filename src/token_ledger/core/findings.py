"""The kinds of findings of `reconcile`, in one place: stable words for machines.

Each is one way in which ledger, mirror and chain can differ. What is not a difference (entries not
sealed yet, batches not replayed yet) is counted, and is no finding.
"""

from __future__ import annotations

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
"""The mirror holds blocks that the chain no longer has."""
UNKNOWN_CONTRACT = "unknown_contract"
"""What stands at the contract's address is not this ledger's contract, or holds another history."""

KINDS = frozenset(
    {
        MISSING_ON_CHAIN,
        MISSING_IN_LEDGER,
        VALUE_DIFFERS,
        PARTY_DIFFERS,
        ORDER_DIFFERS,
        DUPLICATED,
        HEADER_DIFFERS,
        BALANCE_DRIFT,
        ACCOUNT_DRIFT,
        SUPPLY_DRIFT,
        MIRROR_BEHIND,
        ORPHANED,
        UNKNOWN_CONTRACT,
    }
)
