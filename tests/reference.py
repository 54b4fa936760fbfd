"""The naive twin: every format of docs/spec.md transcribed word by word, as slowly as it likes.

Shares no line with `token_ledger`: ABI encoding is eth-abi's, EIP-712 is eth-account's, keccak is
eth-hash's, the tree follows the text of @openzeppelin/merkle-tree. The fast code is held against
this one, and the vectors in `tests/vectors` are made by it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from eth_abi import encode as abi_encode
from eth_account import Account
from eth_account.messages import SignableMessage, encode_typed_data
from eth_utils import keccak, to_checksum_address

DOMAIN_FIELDS = [
    {"name": "name", "type": "string"},
    {"name": "version", "type": "string"},
    {"name": "salt", "type": "bytes32"},
]
ENTRY_FIELDS = [
    {"name": "from", "type": "address"},
    {"name": "to", "type": "address"},
    {"name": "value", "type": "uint256"},
    {"name": "nonce", "type": "bytes32"},
    {"name": "ref", "type": "bytes32"},
]
BATCH_FIELDS = [
    {"name": "number", "type": "uint64"},
    {"name": "parent", "type": "bytes32"},
    {"name": "firstSeq", "type": "uint64"},
    {"name": "count", "type": "uint32"},
    {"name": "entriesRoot", "type": "bytes32"},
    {"name": "rowsHash", "type": "bytes32"},
    {"name": "totalSupply", "type": "uint256"},
    {"name": "sealedAt", "type": "uint64"},
]
HEADER_TYPE = "(uint64,bytes32,uint64,uint32,bytes32,bytes32,uint256,uint64)"
ENTRY_TYPE = "(uint64,uint64,address,address,uint256,bytes32,bytes32)"
ZERO_ADDRESS = "0x" + "00" * 20
ZERO_HASH = "0x" + "00" * 32


def hexed(data: bytes) -> str:
    """Return 0x-hex."""
    return "0x" + bytes(data).hex()


def unhexed(text: str) -> bytes:
    """Return the bytes of 0x-hex."""
    assert text[:2] == "0x"
    return bytes.fromhex(text[2:])


def digest_of(message: SignableMessage) -> bytes:
    """Return what a wallet signs: keccak256(0x19 ‖ version ‖ header ‖ body), EIP-191."""
    return keccak(b"\x19" + message.version + message.header + message.body)


def typed_message(
    uid: bytes, primary: str, fields: list[dict[str, str]], message: dict[str, Any]
) -> SignableMessage:
    """Return an EIP-712 message under a token's domain."""
    return encode_typed_data(
        full_message={
            "types": {"EIP712Domain": DOMAIN_FIELDS, primary: fields},
            "primaryType": primary,
            "domain": {"name": "token_ledger", "version": "1", "salt": uid},
            "message": message,
        }
    )


# Section "Token", "Entry"


def token_uid(ledger_uid: bytes, symbol: str, name: str, decimals: int) -> bytes:
    """Return keccak256(abi.encode(ledger_uid, symbol, name, uint8 decimals))."""
    types = ["bytes32", "string", "string", "uint8"]
    return keccak(abi_encode(types, [ledger_uid, symbol, name, decimals]))


def entry_nonce(secret: bytes, key: str) -> bytes:
    """Return keccak256(abi.encode(bytes32 ledger_secret, string idempotency_key))."""
    return keccak(abi_encode(["bytes32", "string"], [secret, key]))


def import_key(secret: bytes, chain_id: int, tx_hash: bytes, log_index: int) -> str:
    """Return the idempotency key of an entry that is a transfer of a chain."""
    types = ["bytes32", "string", "uint256", "bytes32", "uint256"]
    content = keccak(abi_encode(types, [secret, "chain", chain_id, tx_hash, log_index]))
    return "chain:" + content.hex()


def ref_salt(secret: bytes, nonce: bytes) -> bytes:
    """Return keccak256(abi.encode(bytes32 ledger_secret, bytes32 nonce))."""
    return keccak(abi_encode(["bytes32", "bytes32"], [secret, nonce]))


def entry_ref(
    salt: bytes,
    reason: str = "",
    reference_type: str = "",
    reference_id: str = "",
    memo: str = "",
    metadata: str | None = None,
) -> bytes:
    """Return the salted commitment to an entry's texts; `metadata` is RFC 8785 text."""
    metadata_hash = bytes(32) if metadata is None else keccak(metadata.encode("utf-8"))
    types = ["bytes32", "string", "string", "string", "string", "bytes32"]
    texts = [salt, reason, reference_type, reference_id, memo, metadata_hash]
    return keccak(abi_encode(types, texts))


def entry_id(
    uid: bytes, from_address: str, to_address: str, value: int, nonce: bytes, ref: bytes
) -> bytes:
    """Return the EIP-712 digest of an entry."""
    message = {"from": from_address, "to": to_address, "value": value, "nonce": nonce, "ref": ref}
    return digest_of(typed_message(uid, "Entry", ENTRY_FIELDS, message))


def leaf_of(entry: dict[str, Any]) -> bytes:
    """Return the `standard-v1` leaf of an entry as an export shows it."""
    types = ["bytes32", "uint64", "uint64", "address", "address", "uint256"]
    values = [
        unhexed(entry["id"]),
        entry["seq"],
        int(entry["timestamp"]),
        entry["from"],
        entry["to"],
        int(entry["value"]),
    ]
    return keccak(keccak(abi_encode(types, values)))


# Section "Tree": @openzeppelin/merkle-tree, src/core.ts, line for line


def hash_pair(a: bytes, b: bytes) -> bytes:
    """Return keccak256 of the pair, the smaller one first."""
    return keccak(b"".join(sorted([a, b])))


def make_tree(leaves: list[bytes]) -> list[bytes]:
    """Return the nodes, the root first, of a tree over leaves that are sorted here."""
    assert leaves
    leaves = sorted(leaves)
    tree = [b""] * (2 * len(leaves) - 1)
    for i, leaf in enumerate(leaves):
        tree[len(tree) - 1 - i] = leaf
    for i in range(len(tree) - 1 - len(leaves), -1, -1):
        tree[i] = hash_pair(tree[2 * i + 1], tree[2 * i + 2])
    return tree


def proof_of(tree: list[bytes], index: int) -> list[bytes]:
    """Return the siblings of node `index` on its way to the root."""
    proof = []
    while index > 0:
        proof.append(tree[index - (-1) ** (index % 2)])
        index = (index - 1) // 2
    return proof


def process_proof(leaf: bytes, proof: list[bytes]) -> bytes:
    """Return the root that a leaf and its proof imply."""
    for sibling in proof:
        leaf = hash_pair(leaf, sibling)
    return leaf


# Section "Rows"


def pack_rows(moves: list[tuple[str, str, int]]) -> bytes:
    """Return rows, version 1."""
    accounts = sorted({unhexed(side) for move in moves for side in move[:2]})
    value_size = 1
    while any(value >= 256**value_size for _, _, value in moves):
        value_size += 1
    reference_size = 1 if len(accounts) <= 256 else 2
    rows = b"\x01" + bytes([value_size]) + len(accounts).to_bytes(2, "big") + b"".join(accounts)
    for from_address, to_address, _ in moves:
        for side in (from_address, to_address):
            rows += accounts.index(unhexed(side)).to_bytes(reference_size, "big")
    for _, _, value in moves:
        rows += value.to_bytes(value_size, "big")
    return rows


# Section "Header"


def header_message(uid: bytes, header: dict[str, Any]) -> SignableMessage:
    """Return the message that a sealer signs, of a header as its file shows it."""
    message = {
        name: unhexed(value) if str(value)[:2] == "0x" else int(value)
        for name, value in header.items()
    }
    return typed_message(uid, "Batch", BATCH_FIELDS, message)


def header_digest(uid: bytes, header: dict[str, Any]) -> bytes:
    """Return the EIP-712 digest of a header as its file shows it."""
    return digest_of(header_message(uid, header))


def encode_header(header: dict[str, Any]) -> bytes:
    """Return abi.encode of the contract's `Batch` struct."""
    names = [item["name"] for item in BATCH_FIELDS]
    values = [header[name] for name in names]
    values = [unhexed(v) if str(v)[:2] == "0x" else int(v) for v in values]
    return abi_encode([HEADER_TYPE], [values])


def encode_entry(entry: dict[str, Any]) -> bytes:
    """Return abi.encode of the contract's `Entry` struct."""
    values = [
        entry["seq"],
        int(entry["timestamp"]),
        entry["from"],
        entry["to"],
        int(entry["value"]),
        unhexed(entry["nonce"]),
        unhexed(entry["ref"]),
    ]
    return abi_encode([ENTRY_TYPE], [values])


# Section "Accounts"


def vault_address(secret: bytes, account_id: str, operator: str, frozen: dict[str, Any]) -> str:
    """Return a derived account's EIP-55 address; `frozen` is contracts/FROZEN.json."""
    salt = keccak(abi_encode(["bytes32", "string", "string"], [secret, "account", account_id]))
    clone = frozen["cloneInitCode"]
    init_code = b"".join(
        map(unhexed, (clone["prefix"], frozen["implementation"], clone["infix"], operator))
    )
    whole = keccak(b"\xff" + unhexed(frozen["factory"]) + salt + keccak(init_code))
    return to_checksum_address(whole[12:])


# A ledger as a dict of balances


@dataclass
class NaiveLedger:
    """One token's books, from postings to signed batch files, with nothing clever in it."""

    ledger_uid: bytes
    secret: bytes
    symbol: str = "REF"
    name: str = "Reference"
    decimals: int = 18
    sealer_key: bytes = b"\x01" * 32
    lawless: bool = False
    balances: dict[str, int] = field(default_factory=dict)
    keys: set[str] = field(default_factory=set)
    unsealed: list[dict[str, Any]] = field(default_factory=list)
    batches: list[dict[str, Any]] = field(default_factory=list)
    seq: int = 0

    @property
    def uid(self) -> bytes:
        """The token's uid."""
        return token_uid(self.ledger_uid, self.symbol, self.name, self.decimals)

    @property
    def supply(self) -> int:
        """What is issued: the sum of the balances."""
        return sum(self.balances.values())

    def post(
        self,
        from_address: str,
        to_address: str,
        value: int,
        *,
        key: str,
        timestamp: int = 0,
        **texts: Any,
    ) -> dict[str, Any]:
        """Post one entry, as an export will show it. The rules are asserted unless lawless."""
        assert self.lawless or from_address != to_address
        assert self.lawless or 0 < value < 2**256
        assert self.lawless or key not in self.keys
        self.keys.add(key)
        if from_address != ZERO_ADDRESS:
            assert self.lawless or self.balances.get(from_address, 0) >= value
            self.balances[from_address] = self.balances.get(from_address, 0) - value
        if to_address != ZERO_ADDRESS:
            self.balances[to_address] = self.balances.get(to_address, 0) + value
        assert self.lawless or self.supply < 2**256
        nonce = entry_nonce(self.secret, key)
        ref = entry_ref(ref_salt(self.secret, nonce), **texts)
        entry = {
            "seq": self.seq,
            "id": hexed(entry_id(self.uid, from_address, to_address, value, nonce, ref)),
            "timestamp": str(timestamp),
            "from": from_address,
            "to": to_address,
            "value": str(value),
            "nonce": hexed(nonce),
            "ref": hexed(ref),
        }
        self.seq += 1
        self.unsealed.append(entry)
        return entry

    def seal(self, *, sealed_at: int, sign: bool = True) -> dict[str, Any]:
        """Seal what was posted since the last batch; return the batch file's document."""
        entries, self.unsealed = self.unsealed, []
        rows = pack_rows([(e["from"], e["to"], int(e["value"])) for e in entries])
        batch = {
            "format": "token-ledger-batch-v1",
            "domain": self.domain,
            "header": self._header(entries, rows, sealed_at),
            "entries": entries,
            "rows": hexed(rows),
        }
        self.sign(batch)
        if not sign:
            batch["signature"] = None
        self.batches.append(batch)
        return batch

    def _header(self, entries: list[dict[str, Any]], rows: bytes, sealed_at: int) -> dict[str, Any]:
        return {
            "number": len(self.batches) + 1,
            "parent": self.batches[-1]["digest"] if self.batches else ZERO_HASH,
            "firstSeq": entries[0]["seq"],
            "count": len(entries),
            "entriesRoot": hexed(make_tree([leaf_of(entry) for entry in entries])[0]),
            "rowsHash": hexed(keccak(rows)),
            "totalSupply": str(self.supply),
            "sealedAt": str(sealed_at),
        }

    def sign(self, batch: dict[str, Any]) -> None:
        """Put in a batch's document the digest of its header, and the sealer's signature."""
        message = header_message(self.uid, batch["header"])
        batch["digest"] = hexed(digest_of(message))
        batch["signature"] = hexed(Account.sign_message(message, self.sealer_key).signature)

    @property
    def domain(self) -> dict[str, str]:
        """The EIP-712 domain as every file shows it."""
        return {"name": "token_ledger", "version": "1", "salt": hexed(self.uid)}

    @property
    def sealer(self) -> str:
        """The EIP-55 address that signs."""
        return Account.from_key(self.sealer_key).address

    def manifest(self) -> dict[str, Any]:
        """Return the manifest's document."""
        digest = self.batches[-1]["digest"] if self.batches else ZERO_HASH
        return {
            "format": "token-ledger-export-v1",
            "domain": self.domain,
            "ledgerUid": hexed(self.ledger_uid),
            "token": {
                "symbol": self.symbol,
                "name": self.name,
                "decimals": self.decimals,
                "uid": hexed(self.uid),
            },
            "head": {"number": len(self.batches), "digest": digest},
            "batches": [f"{i:08d}.json" for i in range(1, len(self.batches) + 1)],
        }

    def prove(self, number: int, place: int) -> dict[str, Any]:
        """Return the proof file's document of the entry at `place` in batch `number`."""
        batch = self.batches[number - 1]
        leaves = [leaf_of(entry) for entry in batch["entries"]]
        tree = make_tree(leaves)
        return {
            "format": "token-ledger-proof-v1",
            "domain": self.domain,
            "header": batch["header"],
            "digest": batch["digest"],
            "signature": batch["signature"],
            "entry": batch["entries"][place],
            "proof": [hexed(node) for node in proof_of(tree, tree.index(leaves[place]))],
        }
