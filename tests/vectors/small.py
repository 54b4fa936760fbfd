"""Vectors of single things: entries, rows, signatures, derived addresses."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_keys import keys
from eth_utils import keccak
from tests import reference
from tests.reference import ZERO_ADDRESS, hexed, unhexed
from tests.vectors.batches import UINT256_MAX, account, ledger

FROZEN = Path(__file__).resolve().parents[2] / "contracts" / "FROZEN.json"
CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141

# As given, and the RFC 8785 text of it, written down by hand.
METADATA = [
    ("{}", "{}"),
    ("null", "null"),
    ('"text"', '"text"'),
    ("[ ]", "[]"),
    ('{"z": 1, "a": [true, null, "é"]}', '{"a":[true,null,"é"],"z":1}'),
    ('{"10": 1, "9": 2, "a": 3, "A": 4}', '{"10":1,"9":2,"A":4,"a":3}'),
    ('{"ﬃ": 1, "🚀": 2}', '{"🚀":2,"ﬃ":1}'),  # sorted by UTF-16 units, not by code points
    (r'{"a": "\u0041\/\u000f\n\t\"\\"}', r'{"a":"A/\u000f\n\t\"\\"}'),
    ("[1.0, -0.0, 1e2, 0.1, 1e-7, 1e300]", "[1,0,100,0.1,1e-7,1e+300]"),
    ("[333333333.33333329, 9007199254740991]", "[333333333.3333333,9007199254740991]"),
    (r'["\\u0000 is text"]', r'["\\u0000 is text"]'),
]
TEXTS = {
    "plain": ("pay", "artifact", "42", "first"),
    "all empty": ("", "", "", ""),
    "separators move: a|b and empty": ("a|b", "", "", ""),
    "separators move: a and b": ("a", "b", "", ""),
    "31 bytes": ("r" * 31, "", "", "m" * 31),
    "32 bytes": ("r" * 32, "", "", "m" * 32),
    "33 bytes": ("r" * 33, "", "", "m" * 33),
    "composed": ("\u00e9", "", "", ""),
    "decomposed": ("e\u0301", "", "", ""),
    "line breaks, quotes, backslash": ('a\nb\r\n"c"\\', "\t", " ", "'"),
    "four-byte characters": ("🚀" * 9, "漢字", "עברית", "\u2028"),
    "long": ("x" * 1000, "y" * 255, "z" * 256, "m" * 2001),
}


def entries() -> dict[str, Any]:
    """Return entries.json."""
    books = ledger("entries", symbol="ENT", name="Einträge", decimals=18)
    rng = random.Random("entries")
    cases: list[tuple[str, tuple[str, str, str, str], tuple[str, str] | None]] = [
        (name, texts, None) for name, texts in TEXTS.items()
    ]
    cases += [(f"metadata {given}", ("m", "", "", ""), (given, jcs)) for given, jcs in METADATA]
    values = [1, 2, 2**63, 2**64 - 1, 2**128, 10**18, UINT256_MAX]
    vectors = []
    for i, (name, texts, metadata) in enumerate(cases):
        given, text = metadata or (None, None)
        nonce = reference.entry_nonce(books.secret, name)
        salt = reference.ref_salt(books.secret, nonce)
        ref = reference.entry_ref(salt, *texts, text)
        sides = [account(rng), account(rng)]
        if i % 5 < 2:
            sides[i % 5] = ZERO_ADDRESS
        value = values[i % len(values)]
        entry = reference.entry_id(books.uid, sides[0], sides[1], value, nonce, ref)
        vectors.append(
            {
                "name": name,
                "idempotencyKey": name,
                "from": sides[0],
                "to": sides[1],
                "value": str(value),
                "reason": texts[0],
                "referenceType": texts[1],
                "referenceId": texts[2],
                "memo": texts[3],
                "metadata": given,
                "metadataText": text,
                "nonce": hexed(nonce),
                "salt": hexed(salt),
                "ref": hexed(ref),
                "id": hexed(entry),
            }
        )
    return {
        "about": "nonce, salt, ref and id of entries; `metadata` is JSON as given, `metadataText` "
        "its RFC 8785 form, which is what is hashed",
        "ledgerUid": hexed(books.ledger_uid),
        "ledgerSecret": hexed(books.secret),
        "symbol": books.symbol,
        "name": books.name,
        "decimals": books.decimals,
        "tokenUid": hexed(books.uid),
        "entries": vectors,
    }


def imports() -> dict[str, Any]:
    """Return imports.json."""
    books = ledger("imports", symbol="IMP", name="Imported", decimals=18)
    rng = random.Random("imports")
    a, b, bridge = (account(rng) for _ in range(3))
    kinds = [
        ("chain:transfer", a, b, None),
        ("chain:mint", ZERO_ADDRESS, a, None),
        ("chain:burn", b, ZERO_ADDRESS, None),
        ("bridge:mint", ZERO_ADDRESS, b, bridge),
        ("bridge:burn", a, ZERO_ADDRESS, bridge),
    ]
    places = [(1, 0), (1, 1), (1, 2**31 - 1), (10, 42), (31337, 7), (2**63 - 1, 255)]
    vectors = []
    for i, (chain_id, log_index) in enumerate(places):
        reason, payer, payee, who = kinds[i % len(kinds)]
        tx_hash = rng.randbytes(32)
        key = reference.import_key(books.secret, chain_id, tx_hash, log_index)
        texts = (reason, "tx", f"{hexed(tx_hash)}:{log_index}", "")
        metadata = None if who is None else f'{{"bridge":"{who}"}}'
        nonce = reference.entry_nonce(books.secret, key)
        ref = reference.entry_ref(reference.ref_salt(books.secret, nonce), *texts, metadata)
        value = 10**18 + i
        vectors.append(
            {
                "chainId": str(chain_id),
                "txHash": hexed(tx_hash),
                "logIndex": log_index,
                "from": payer,
                "to": payee,
                "value": str(value),
                "bridge": who,
                "idempotencyKey": key,
                "reason": texts[0],
                "referenceType": texts[1],
                "referenceId": texts[2],
                "metadata": metadata,
                "nonce": hexed(nonce),
                "ref": hexed(ref),
                "id": hexed(reference.entry_id(books.uid, payer, payee, value, nonce, ref)),
            }
        )
    return {
        "about": "key, texts and id of entries that are transfers of a chain",
        "ledgerUid": hexed(books.ledger_uid),
        "ledgerSecret": hexed(books.secret),
        "tokenUid": hexed(books.uid),
        "imports": vectors,
    }


def _moves(accounts: int, rng: random.Random, value: int) -> list[tuple[str, str, int]]:
    table = [account(rng) for _ in range(accounts)]
    moves = [(table[i], table[i + 1], value) for i in range(0, accounts - 1, 2)]
    if accounts % 2:
        moves.append((table[-1], table[0], 1))
    return moves


def _altered_rows() -> dict[str, tuple[int, bytes]]:
    rng = random.Random("altered rows")
    a, b, c = sorted(account(rng) for _ in range(3))
    good = reference.pack_rows([(ZERO_ADDRESS, a, 700), (a, b, 300), (b, ZERO_ADDRESS, 5)])
    zero, first, second = bytes(20), unhexed(a), unhexed(b)
    table, tail = zero + first + second, good[64:]
    references, values = tail[:6], tail[6:]
    two_columns = references + values
    wide = b"".join(v.to_bytes(3, "big") for v in (700, 300, 5))
    pairs = b"".join(bytes([0, r]) for r in references)
    return {
        "empty": (3, b""),
        "one byte": (3, good[:1]),
        "header alone": (3, good[:4]),
        "truncated by one byte": (3, good[:-1]),
        "one byte too many": (3, good + b"\0"),
        "version 0": (3, b"\0" + good[1:]),
        "version 2": (3, b"\2" + good[1:]),
        "values of 0 bytes": (3, b"\1\0" + good[2:4] + table + references),
        "values of 33 bytes": (
            3,
            b"\1\41" + good[2:4] + table + references + bytes(33 * 3 - 1) + b"\1",
        ),
        "values wider than needed": (3, b"\1\3" + good[2:4] + table + references + wide),
        "value 0": (3, good[:-2] + b"\0\0"),
        "no accounts": (3, b"\1\2\0\0" + bytes(6) + values),
        "one account": (3, b"\1\2\0\1" + zero + bytes(6) + values),
        "accounts descending": (3, good[:4] + zero + second + first + two_columns),
        "an account twice": (3, good[:4] + zero + first + first + two_columns),
        "an account that no row names": (
            3,
            b"\1\2\0\4" + table + unhexed(c) + two_columns,
        ),
        "reference outside the table": (3, good[:64] + b"\3" + good[65:]),
        "references of two bytes for three accounts": (3, good[:64] + pairs + values),
        "count too low": (2, good),
        "count too high": (4, good),
        "count 0": (0, good),
    }


def rows() -> dict[str, Any]:
    """Return rows.json."""
    rng = random.Random("rows")
    a, b = account(rng), account(rng)
    valid = {
        "one mint": [(ZERO_ADDRESS, a, 1)],
        "one burn of everything": [(a, ZERO_ADDRESS, UINT256_MAX)],
        "to and fro": [(a, b, 255), (b, a, 256)],
        "a value of 32 bytes among small ones": [(a, b, 1), (b, a, 2**255), (a, b, 1)],
        "256 accounts: references of one byte": _moves(256, rng, 10**18),
        "257 accounts: references of two bytes": _moves(257, rng, 10**18),
    }
    valid |= {
        f"the largest value of {size} bytes": [(a, b, 256**size - 1)] for size in (1, 2, 8, 31, 32)
    }
    return {
        "about": "rows, version 1; `invalid` ones are not the canonical form of `count` movements",
        "valid": [
            {
                "name": name,
                "movements": [[f, t, str(value)] for f, t, value in moves],
                "rows": hexed(reference.pack_rows(moves)),
            }
            for name, moves in valid.items()
        ],
        "invalid": [
            {"name": name, "count": count, "rows": hexed(data)}
            for name, (count, data) in _altered_rows().items()
        ],
    }


def _word(number: int) -> bytes:
    return number.to_bytes(32, "big")


def signatures() -> dict[str, Any]:
    """Return signatures.json."""
    rng = random.Random("signatures")
    key = keys.PrivateKey(rng.randbytes(32))
    signer = Account.from_key(key.to_bytes()).address
    good: dict[int, tuple[bytes, bytes]] = {}
    while len(good) < 2:  # one with each parity
        digest = rng.randbytes(32)
        signature = key.sign_msg_hash(digest).to_bytes()
        good[27 + signature[64]] = (digest, signature[:64] + bytes([27 + signature[64]]))
    digest, signature = good[27]
    r, s = signature[:32], signature[32:64]
    high_s = r + _word(CURVE_ORDER - int.from_bytes(s, "big")) + b"\x1c"
    cases = [(f"v {v}", *good[v], signer) for v in (27, 28)]
    cases += [
        (name, digest, data, None)
        for name, data in {
            "empty": b"",
            "64 bytes": signature[:64],
            "66 bytes": signature + b"\0",
            "v 0": signature[:64] + b"\0",
            "v 1": signature[:64] + b"\1",
            "v 29": signature[:64] + b"\x1d",
            "high s": high_s,
            "all zero": bytes(65),
            "r 0": bytes(32) + s + b"\x1b",
            "s 0": r + bytes(32) + b"\x1b",
            "r the order of the curve": _word(CURVE_ORDER) + s + b"\x1b",
            "s the order of the curve": r + _word(CURVE_ORDER) + b"\x1b",
            "r all ones": b"\xff" * 32 + s + b"\x1b",
            "r that is on no point": _word(5) + s + b"\x1b",
        }.items()
    ]
    other = keccak(digest)
    elsewhere = keys.Signature(signature[:64] + b"\0").recover_public_key_from_msg_hash(other)
    cases.append(
        ("another digest: another signer", other, signature, elsewhere.to_checksum_address())
    )
    return {
        "about": "who signed `digest`; `signer` null where the signature is refused",
        "signatures": [
            {"name": name, "digest": hexed(d), "signature": hexed(data), "signer": who}
            for name, d, data, who in cases
        ],
    }


def vaults() -> dict[str, Any]:
    """Return vaults.json: derived addresses, beside the examples that contracts/FROZEN.json has."""
    frozen = json.loads(FROZEN.read_text(encoding="utf-8"))
    rng = random.Random("vaults")
    ids = [
        "a",
        "alice",
        "Alice",
        "user:1",
        "\u00e9",
        "e\u0301",
        "x" * 1000,
        "🚀",
        "escrow|1",
        "31" * 15,
    ]
    vectors = []
    for account_id in ids:
        secret, operator = rng.randbytes(32), account(rng)
        vectors.append(
            {
                "accountId": account_id,
                "ledgerSecret": hexed(secret),
                "operator": operator,
                "address": reference.vault_address(secret, account_id, operator, frozen),
            }
        )
    return {"about": "addresses of accounts that registered none", "vaults": vectors}
