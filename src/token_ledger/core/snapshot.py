"""A snapshot: the balances at a sealed batch as a tree, what a sealer signs of it, and its proofs.

    leaf     keccak256(keccak256(abi.encode(address account, uint256 amount)))   (`standard-v1`)
    digest   EIP-712 digest of Snapshot(bytes32 batchDigest, bytes32 balancesRoot,
             uint256 totalSupply, uint64 deadline, uint256 chainId, address token) under the
             token's ledger domain: for one contract on one chain

Accounts with no balance are left out; each account is one leaf; the sum is the batch's supply.
`contracts/src/SnapshotToken.sol` computes the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from token_ledger.core.files import header_to_json
from token_ledger.core.hashing import address_word, domain_separator, keccak, typed_digest, word
from token_ledger.core.merkle import MerkleTree
from token_ledger.core.strict import address_text, to_hex
from token_ledger.core.types import Header
from token_ledger.errors import DatabaseError

SNAPSHOT_FORMAT = "token-ledger-snapshot-v1"
BALANCE_PROOF_FORMAT = "token-ledger-balance-proof-v1"
SNAPSHOT_TYPE_HASH = keccak(
    b"Snapshot(bytes32 batchDigest,bytes32 balancesRoot,uint256 totalSupply,uint64 deadline,"
    b"uint256 chainId,address token)"
)
DEADLINE_MAX = 2**53 - 1

Holding = tuple[bytes, int]
"""An address and what it holds, in base units."""


def balance_leaf(account: bytes, amount: int) -> bytes:
    """Return the leaf of one balance, 32 bytes."""
    return keccak(keccak(address_word(account) + word(amount)))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Balances after the last entry of a batch. `deadline`: the last second for claims.

    `signature`: of `digest_for` one contract on one chain, made elsewhere; in no file, since
    whoever has it may open the claims.
    """

    token_uid: bytes
    header: Header
    digest: bytes
    deadline: int
    holdings: tuple[Holding, ...]
    tree: MerkleTree
    signature: bytes | None = None

    @property
    def root(self) -> bytes:
        """The root of the tree of balances."""
        return self.tree.root

    def digest_for(self, chain_id: int, contract: bytes) -> bytes:
        """Return what the sealer signs, 32 bytes: it opens that contract on that chain alone."""
        struct = keccak(
            SNAPSHOT_TYPE_HASH
            + self.digest
            + self.root
            + word(self.header.total_supply)
            + word(self.deadline)
            + word(chain_id)
            + address_word(contract)
        )
        return typed_digest(domain_separator(self.token_uid), struct)

    def proof(self, account: bytes, amount: int) -> tuple[bytes, ...]:
        """Return the path from a holding to the root."""
        return self.tree.path(balance_leaf(account, amount))

    def to_json(self) -> dict[str, Any]:
        """Return the document of the snapshot's own file."""
        return {
            "format": SNAPSHOT_FORMAT,
            "tokenUid": to_hex(self.token_uid),
            "header": header_to_json(self.header),
            "batchDigest": to_hex(self.digest),
            "balancesRoot": to_hex(self.root),
            "totalSupply": str(self.header.total_supply),
            "deadline": self.deadline,
            "accounts": len(self.holdings),
        }

    def proof_to_json(self, account: bytes, amount: int) -> dict[str, Any]:
        """Return the document of one holder's file: all that a claim takes."""
        return {
            "format": BALANCE_PROOF_FORMAT,
            "balancesRoot": to_hex(self.root),
            "account": address_text(account),
            "amount": str(amount),
            "proof": [to_hex(node) for node in self.proof(account, amount)],
        }


def make_snapshot(
    token_uid: bytes,
    header: Header,
    digest: bytes,
    holdings: Sequence[Holding],
    *,
    deadline: int,
) -> Snapshot:
    """Return the snapshot of a batch from every balance after it, zeros left out, sorted.

    Raises DatabaseError where the balances are not the supply of the batch's header.
    """
    held = tuple(sorted(holding for holding in holdings if holding[1] > 0))
    total = sum(amount for _, amount in held)
    if total != header.total_supply:
        raise DatabaseError(
            f"the balances after batch {header.number} are {total} base units in all, its header "
            f"says {header.total_supply}: rows were altered",
            hint="compare the database with an export or a backup",
        )
    assert held, "a snapshot of nothing does not exist"
    tree = MerkleTree([balance_leaf(*holding) for holding in held])
    return Snapshot(token_uid, header, digest, deadline, held, tree)
