"""What a transaction does, told from its recipient and calldata alone, for whoever signs it.

A file's own words on its transactions may have been altered with them: nothing here reads those.
"""

from __future__ import annotations

from collections.abc import Callable

from token_ledger.chain import contracts, creation
from token_ledger.chain.creation import destination_calldata
from token_ledger.chain.vaults import CLAIM_SELECTOR, FACTORY_CONTRACT
from token_ledger.core.address import (
    DEPLOYMENT_PROXY,
    VAULT_FACTORY,
    create2,
    to_checksum,
    vault_address,
)
from token_ledger.core.counting import counted
from token_ledger.core.hashing import keccak

FINALIZE_CALL = contracts.selector("finalize()")
DEPLOYED = (
    contracts.TOKEN_CONTRACT,
    creation.REGISTRY,
    creation.SNAPSHOT_TOKEN,
    FACTORY_CONTRACT,
)
_DESTINATION_SELECTOR = destination_calldata(bytes(20))[:4]


def described(to: bytes, data: bytes) -> str:
    """Return what a call does, and to which contract; unknown ones by their selector."""
    if to == DEPLOYMENT_PROXY:
        return _deployment(data)
    if to == VAULT_FACTORY and data[:4] == CLAIM_SELECTOR:
        return _vault_claim(data)
    return f"{_call(data)}, at {to_checksum(to)}"


def _deployment(data: bytes) -> str:
    init_code = data[32:]
    name = next(
        (n for n in DEPLOYED if init_code.startswith(contracts.artifact(n).bytecode)),
        "an unknown contract",
    )
    address = create2(DEPLOYMENT_PROXY, data[:32], keccak(init_code))
    return f"deploy {name} to {to_checksum(address)}"


def _vault_claim(data: bytes) -> str:
    """Return which vault goes to whom: its address follows from operator and salt."""
    operator = _word(data, 0).to_bytes(32, "big")[12:]
    vault = vault_address(data[36:68], operator)
    return (
        f"claim vault {to_checksum(vault)} of operator {to_checksum(operator)} "
        f"for {_address(data, 2)}, until {_word(data, 3)}"
    )


def _call(data: bytes) -> str:
    tell = _CALLS.get(data[:4])
    return f"0x{data[:4].hex()}…" if tell is None else tell(data)


def _word(data: bytes, place: int) -> int:
    return int.from_bytes(data[4 + 32 * place : 36 + 32 * place], "big")


def _address(data: bytes, place: int) -> str:
    return to_checksum(_word(data, place).to_bytes(32, "big")[12:])


def _part(data: bytes) -> str:
    rows = counted(_word(data, 10), "row")
    return f"replay batch {_word(data, 0)}, the next {rows} of {_word(data, 3)}"


_CALLS: dict[bytes, Callable[[bytes], str]] = {
    contracts.REPLAY_SELECTOR: lambda data: (
        f"replay batch {_word(data, 0)}, {counted(_word(data, 3), 'entry')}"
    ),
    contracts.REPLAY_PART_SELECTOR: _part,
    FINALIZE_CALL: lambda _: "FINALIZE: close replay and open transfers, for ever",
    creation.ANCHOR_SELECTOR: lambda data: (
        f"anchor {counted(_word(data, 2), 'header')}, from batch {_word(data, 3)}"
    ),
    creation.OPEN_SELECTOR: lambda data: f"open the snapshot of batch {_word(data, 0)}, for ever",
    creation.CLAIM_SELECTOR: lambda data: (
        f"claim {_word(data, 1)} base units for {_address(data, 0)}"
    ),
    creation.SWEEP_CALL: lambda _: "sweep what nobody claimed",
    _DESTINATION_SELECTOR: lambda data: f"name {_address(data, 0)} as the sweep's destination",
}
