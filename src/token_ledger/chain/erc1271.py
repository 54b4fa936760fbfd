"""What a contract says of a signature: a Safe's, or another account's that is code (ERC-1271)."""

from __future__ import annotations

from token_ledger.chain.contracts import selector
from token_ledger.chain.rpc import NodeError, Rpc, hex_data
from token_ledger.core.hashing import string_tail, word

_IS_VALID_SIGNATURE = selector("isValidSignature(bytes32,bytes)")
_MAGIC = _IS_VALID_SIGNATURE.ljust(32, b"\0")


def is_contract_signature(rpc: Rpc, signer: bytes, *, digest: bytes, signature: bytes) -> bool:
    """Return whether the contract `signer` says at the latest block that it signed `digest`.

    False also where there is no contract, or one that knows no ERC-1271. Raises RpcError.
    """
    data = _IS_VALID_SIGNATURE + digest + word(64) + string_tail(signature)
    try:
        answer = rpc.call("eth_call", [{"to": hex_data(signer), "data": hex_data(data)}, "latest"])
    except NodeError:
        return False  # it reverted: no signature of its own
    return bool(answer == hex_data(_MAGIC))
