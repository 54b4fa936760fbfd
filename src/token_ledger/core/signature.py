"""Who signed a digest: ECDSA recovery over secp256k1 as Ethereum does it.

Signatures of contracts (ERC-1271) say nothing without the chain: `chain` asks it.
"""

from __future__ import annotations

from eth_keys.datatypes import Signature
from eth_keys.exceptions import BadSignature
from eth_utils.exceptions import ValidationError

_HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
EOA_SIGNATURE_BYTES = 65


def recover_signer(digest: bytes, signature: bytes) -> bytes | None:
    """Return the 20-byte address whose key signed `digest`, or None where no key could have.

    `signature` is r ‖ s ‖ v with v 27 or 28. The high-s twin of a signature is refused, as
    OpenZeppelin's ECDSA does (EIP-2), so that a signature has one form.
    """
    if len(signature) != EOA_SIGNATURE_BYTES or signature[64] not in (27, 28):
        return None
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
    if s > _HALF_ORDER:
        return None
    try:
        parsed = Signature(vrs=(signature[64] - 27, r, s))
        public_key = parsed.recover_public_key_from_msg_hash(digest)
    except (BadSignature, ValidationError, ValueError):
        return None
    address: bytes = public_key.to_canonical_address()
    return address
