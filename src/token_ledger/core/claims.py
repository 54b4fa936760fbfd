"""Claims of vaults: what an operator signs so that an account's owner controls its address.

    digest = EIP-712 digest of Claim(address vault,address owner,uint256 expiry)
             under ("token_ledger vault", "1", chain id, factory)

The vault's address binds operator and account; the domain binds the chain. On a chain it is
`VaultFactory.claimDigest`; `tests/test_claim.py` compares. Frozen with the factory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from token_ledger.core.address import VAULT_FACTORY, to_checksum
from token_ledger.core.hashing import address_word, keccak, typed_digest, word

CLAIM_TYPE_HASH = keccak(b"Claim(address vault,address owner,uint256 expiry)")
_DOMAIN_NAME, _DOMAIN_VERSION = "token_ledger vault", "1"
_DOMAIN_TYPE = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
_DOMAIN_HEAD = (
    keccak(_DOMAIN_TYPE.encode("ascii"))
    + keccak(_DOMAIN_NAME.encode("ascii"))
    + keccak(_DOMAIN_VERSION.encode("ascii"))
)
EXPIRY_MAX = 2**53 - 1


@dataclass(frozen=True, slots=True)
class Claim:
    """A vault handed to an owner on one chain. `expiry`: the last second that counts."""

    chain_id: int
    operator: bytes
    salt: bytes
    vault: bytes
    owner: bytes
    expiry: int

    @property
    def digest(self) -> bytes:
        """What the operator signs, 32 bytes."""
        separator = keccak(_DOMAIN_HEAD + word(self.chain_id) + address_word(VAULT_FACTORY))
        struct = keccak(
            CLAIM_TYPE_HASH
            + address_word(self.vault)
            + address_word(self.owner)
            + word(self.expiry)
        )
        return typed_digest(separator, struct)

    def typed_data(self) -> dict[str, Any]:
        """Return it as wallets show and sign it (eth_signTypedData_v4)."""
        names = (("name", "string"), ("version", "string"), ("chainId", "uint256"))
        domain = [*names, ("verifyingContract", "address")]
        fields = (("vault", "address"), ("owner", "address"), ("expiry", "uint256"))
        return {
            "types": {
                "EIP712Domain": [{"name": name, "type": kind} for name, kind in domain],
                "Claim": [{"name": name, "type": kind} for name, kind in fields],
            },
            "primaryType": "Claim",
            "domain": {
                "name": _DOMAIN_NAME,
                "version": _DOMAIN_VERSION,
                "chainId": self.chain_id,
                "verifyingContract": to_checksum(VAULT_FACTORY),
            },
            "message": {
                "vault": to_checksum(self.vault),
                "owner": to_checksum(self.owner),
                "expiry": self.expiry,
            },
        }
