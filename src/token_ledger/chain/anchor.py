"""What a chain vouches for: the header digests that a token's contract holds at a final block.

Everything is asked at one block, the finalized one, pinned by its number: what is later could
still be taken back. Judges nothing: `verify` compares.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from token_ledger.chain import contracts
from token_ledger.chain.erc1271 import is_contract_signature
from token_ledger.chain.rpc import NodeError, Rpc
from token_ledger.chain.state import call_contract, get_code, read_digests, read_state
from token_ledger.core.address import to_checksum
from token_ledger.core.hashing import keccak
from token_ledger.core.signature import recover_signer
from token_ledger.core.types import ZERO_HASH
from token_ledger.errors import ForeignContractError, RpcError


@dataclass(frozen=True, slots=True)
class ChainAnchor:
    """A contract as seen at the finalized block: `digests` by batch number, where it holds any.

    `pending`: those that it holds in the latest block only, and that could still be taken back.
    `closed`: once the token was cut over, the last batch that it will ever hold; later ones, with
    the entries that `import` made, are on no contract. `sealer`: whose signature it took till then.
    `signed`: the later batches that this sealer signed, a key's or a contract's (ERC-1271).
    """

    chain_id: int
    contract: bytes
    block_number: int
    code_known: bool
    code_hash: bytes
    token_uid: bytes
    digests: dict[int, bytes]
    pending: dict[int, bytes]
    closed: int | None = None
    sealer: bytes | None = None
    signed: frozenset[int] = frozenset()

    @property
    def name(self) -> str:
        """What a report calls this anchor."""
        return (
            f"contract {to_checksum(self.contract)} on chain {self.chain_id} "
            f"at finalized block {self.block_number}"
        )


Signed = Mapping[int, tuple[bytes, bytes | None]]
"""Batches by number: the digest of each, and its signature, if it has one."""


def read_chain_anchor(url: str, contract: bytes, batches: Signed) -> ChainAnchor:
    """Return what `contract` holds for some batches at the chain's finalized block.

    Raises RpcError where the node cannot be asked or knows no finalized block, and
    ForeignContractError where there is no contract of ours' kind at that block.
    """
    with Rpc(url) as rpc:
        chain_id = rpc.quantity("eth_chainId")
        block = rpc.call("eth_getBlockByNumber", ["finalized", False])
        if not isinstance(block, dict) or not isinstance(block.get("number"), str):
            raise RpcError(
                f"{rpc.shown} knows no finalized block",
                hint="use a chain with finality, or another anchor",
            )
        at = block["number"]
        code = get_code(rpc, contract, block=at)
        if not code:
            raise ForeignContractError(
                f"there is no contract at {to_checksum(contract)} in finalized block "
                f"{int(at, 16)} of chain {chain_id}",
                hint="check address and chain; if it was deployed just now, wait for finality",
            )
        uid = _token_uid(rpc, contract, at)
        numbers = list(batches)
        closed, sealer = _cut_over(rpc, contract, code, at)
        return ChainAnchor(
            chain_id=chain_id,
            contract=contract,
            block_number=int(at, 16),
            code_known=any(contracts.is_our_code(code, name) for name in contracts.ANCHORS),
            code_hash=keccak(code),
            token_uid=uid,
            digests=(final := _read(rpc, contract, numbers, at)),
            pending=_read(rpc, contract, [n for n in numbers if n not in final], "latest"),
            closed=closed,
            sealer=sealer,
            signed=frozenset()
            if closed is None or sealer is None
            else _signed(rpc, sealer, {n: batches[n] for n in numbers if n > closed}),
        )


def _cut_over(
    rpc: Rpc, contract: bytes, code: bytes, block: str
) -> tuple[int | None, bytes | None]:
    """Return the last batch of a token's contract that was cut over, and its sealer."""
    if not contracts.is_our_code(code, contracts.TOKEN_CONTRACT):
        return None, None
    state = read_state(rpc, contract, block=block)
    return (state.head_number, state.sealer) if state.finalized else (None, None)


def _signed(rpc: Rpc, sealer: bytes, batches: Signed) -> frozenset[int]:
    return frozenset(
        number
        for number, (digest, signature) in batches.items()
        if signature is not None
        and (
            recover_signer(digest, signature) == sealer
            or is_contract_signature(rpc, sealer, digest=digest, signature=signature)
        )
    )


def _token_uid(rpc: Rpc, contract: bytes, block: str) -> bytes:
    """Return the token that a contract is bound to: what every contract of ours answers."""
    try:
        answer = call_contract(rpc, contract, contracts.TOKEN_UID_CALL, block=block)
    except NodeError as error:
        if error.rpc_code != 3 and error.data is None and "revert" not in error.text:
            raise
        answer = b""
    if len(answer) != 32:
        raise ForeignContractError(
            f"{to_checksum(contract)} is no contract of a token-ledger", hint="check the address"
        )
    return answer


def _read(rpc: Rpc, contract: bytes, numbers: Sequence[int], block: str) -> dict[int, bytes]:
    digests = read_digests(rpc, contract, numbers, block=block)
    found = zip(numbers, digests, strict=True)
    return {number: digest for number, digest in found if digest != ZERO_HASH}
