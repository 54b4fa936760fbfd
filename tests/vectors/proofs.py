"""Proof files: valid ones, and forgeries named by what is wrong."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from tests import reference
from tests.reference import NaiveLedger, hexed
from tests.vectors.batches import TIMESTAMP_MAX, leaves_of, ledger, many, resealed, small

Document = dict[str, Any]
Forgery = Callable[[Document], None]

H = "0x" + "11" * 32
NUMBER, PLACE = 5, 2  # the proof that is forged: third of five entries of the chain "small"


def _put(path: str, value: Any) -> Forgery:
    def forge(document: Document) -> None:
        *way, last = path.split(".")
        target: Any = document
        for step in way:
            target = target[int(step) if step.isdigit() else step]
        target[int(last) if last.isdigit() else last] = value

    return forge


def _change(path: str, change: Callable[[Any], Any]) -> Forgery:
    def forge(document: Document) -> None:
        value: Any = document
        for step in path.split("."):
            value = value[int(step) if step.isdigit() else step]
        _put(path, change(value))(document)

    return forge


def _drop(path: str) -> Forgery:
    def forge(document: Document) -> None:
        *way, last = path.split(".")
        target: Any = document
        for step in way:
            target = target[step]
        del target[last]

    return forge


def _swap_sides(document: Document) -> None:
    entry = document["entry"]
    entry["from"], entry["to"] = entry["to"], entry["from"]


def _of(number: int, place: int) -> Forgery:
    def forge(document: Document) -> None:
        document["proof"] = small().prove(number, place)["proof"]

    return forge


def _single_leaf(document: Document) -> None:
    """Claim that the batch has one entry, so that an empty path has the right length."""
    document["header"]["count"] = 1
    document["header"]["firstSeq"] = document["entry"]["seq"]
    document["proof"] = []


def _duplicated_leaf(document: Document) -> None:
    """Seal four entries as a tree of five leaves, the last one twice."""
    books = small()
    batch = books.batches[3]
    leaves = sorted(leaves_of(batch))
    tree = reference.make_tree([*leaves, leaves[-1]])
    batch["header"] |= {"count": 5, "entriesRoot": hexed(tree[0])}
    books.sign(batch)
    entry = batch["entries"][0] | {"seq": batch["header"]["firstSeq"] + 4}
    document |= {"header": batch["header"], "digest": batch["digest"], "entry": entry}
    document["signature"] = batch["signature"]
    leaf = reference.leaf_of(batch["entries"][0])
    document["proof"] = [hexed(node) for node in reference.proof_of(tree, tree.index(leaf))]


def _outside(document: Document) -> None:
    """Seal an entry whose seq is not one of its batch's, with everything else in order."""
    books = small()
    batch = books.batches[NUMBER - 1]
    batch["entries"][PLACE]["seq"] += 100
    resealed(books, batch)
    document |= books.prove(NUMBER, PLACE)


def _other_token(document: Document) -> None:
    document["domain"]["salt"] = hexed(ledger("another").uid)


# What verification finds, by what was done to the proof; the contract says false to all of them.
FORGERIES: dict[str, tuple[Forgery, list[str]]] = {
    "sibling altered": (_put("proof.0", H), ["root_differs"]),
    "empty path for many leaves": (_put("proof", []), ["path_length", "root_differs"]),
    "empty path, header of one leaf": (_single_leaf, ["digest_differs", "root_differs"]),
    "path one node too short": (
        _change("proof", lambda p: p[:-1]),
        ["path_length", "root_differs"],
    ),
    "path one node too long": (_change("proof", lambda p: [*p, H]), ["root_differs"]),
    "path far too long": (
        _change("proof", lambda p: [*p, H, H, H]),
        ["path_length", "root_differs"],
    ),
    "path reversed": (_change("proof", lambda p: p[::-1]), ["root_differs"]),
    "path of the neighbour": (_of(NUMBER, PLACE + 1), ["root_differs"]),
    "path of another batch": (_of(6, 1), ["root_differs"]),
    "root itself as path": (
        lambda d: d.update(proof=[d["header"]["entriesRoot"]] * 2),
        ["root_differs"],
    ),
    "leaf doubled to fill the tree": (_duplicated_leaf, ["root_differs"]),
    "sealed outside of its batch": (_outside, ["position_differs"]),
    "seq of the neighbour": (_change("entry.seq", lambda seq: seq + 1), ["root_differs"]),
    "seq before the batch": (_put("entry.seq", 0), ["position_differs", "root_differs"]),
    "seq after the batch": (
        _change("entry.seq", lambda seq: seq + 5),
        ["position_differs", "root_differs"],
    ),
    "value altered": (
        _change("entry.value", lambda value: str(int(value) + 1)),
        ["id_differs", "root_differs"],
    ),
    "sides swapped": (_swap_sides, ["id_differs", "root_differs"]),
    "timestamp altered": (_put("entry.timestamp", str(TIMESTAMP_MAX)), ["root_differs"]),
    "nonce altered": (_put("entry.nonce", H), ["id_differs"]),
    "ref altered": (_put("entry.ref", H), ["id_differs"]),
    "id altered": (_put("entry.id", H), ["id_differs", "root_differs"]),
    "another token's domain": (_other_token, ["digest_differs", "id_differs"]),
    "digest altered": (_put("digest", H), ["digest_differs"]),
    "number altered": (_put("header.number", 6), ["digest_differs"]),
    "parent altered": (_put("header.parent", H), ["digest_differs"]),
    "first seq altered": (
        _change("header.firstSeq", lambda seq: seq - 1),
        ["digest_differs"],
    ),
    "count altered": (_put("header.count", 6), ["digest_differs"]),
    "root altered": (_put("header.entriesRoot", H), ["digest_differs", "root_differs"]),
    "rows hash altered": (_put("header.rowsHash", H), ["digest_differs"]),
    "supply altered": (_put("header.totalSupply", "1"), ["digest_differs"]),
    "sealing time altered": (_put("header.sealedAt", "1"), ["digest_differs"]),
}
# The contract is given id-less entries and computes digest and id itself.
_NOT_FOR_A_CONTRACT = {"id altered", "another token's domain", "digest altered"}

# What is no proof file at all.
REFUSED: dict[str, Forgery] = {
    "another format": _put("format", "token-ledger-proof-v2"),
    "a batch's format": _put("format", "token-ledger-batch-v1"),
    "domain of another name": _put("domain.name", "token-ledger"),
    "domain of another version": _put("domain.version", "2"),
    "domain version as a number": _put("domain.version", 1),
    "no signature key": _drop("signature"),
    "no id": _drop("entry.id"),
    "unknown key": _put("chainId", 1),
    "unknown key in the entry": _put("entry.reason", "pay"),
    "unknown key in the header": _put("header.uid", H),
    "header is null": _put("header", None),
    "entry is a list": _put("entry", []),
    "path is an object": _put("proof", {}),
    "path node of 31 bytes": _put("proof.0", "0x" + "11" * 31),
    "path node of 33 bytes": _put("proof.0", "0x" + "11" * 33),
    "path node without 0x": _put("proof.0", "11" * 33),
    "hash in upper case": _put("digest", "0x" + "AB" * 32),
    "hash with 0X": _put("digest", "0X" + "ab" * 32),
    "hash with an odd digit": _put("digest", "0x" + "a" * 63),
    "address in lower case": _change("entry.to", str.lower),
    "address in upper case": _change("entry.to", lambda a: "0x" + a[2:].upper()),
    "address with a wrong checksum": _change("entry.to", lambda a: "0x" + a[2:].swapcase()),
    "address of 19 bytes": _change("entry.to", lambda a: a[:-2]),
    "value with a leading zero": _change("entry.value", lambda v: "0" + v),
    "value as a number": _put("entry.value", 5),
    "value with a sign": _put("entry.value", "+5"),
    "value negative": _put("entry.value", "-5"),
    "value with an exponent": _put("entry.value", "5e3"),
    "value in hex": _put("entry.value", "0x5"),
    "value in other digits": _put("entry.value", "٥"),
    "value with white space": _put("entry.value", "5 "),
    "value empty": _put("entry.value", ""),
    "value 2^256": _put("entry.value", str(2**256)),
    "supply 2^256": _put("header.totalSupply", str(2**256)),
    "timestamp after 9999": _put("entry.timestamp", str(TIMESTAMP_MAX + 1)),
    "seq negative": _put("entry.seq", -1),
    "seq as text": _put("entry.seq", "1"),
    "seq true": _put("entry.seq", True),
    "seq with a fraction": _put("entry.seq", 1.5),
    "seq beyond 2^53": _put("entry.seq", 2**53),
    "number 0": _put("header.number", 0),
    "count 0": _put("header.count", 0),
    "count 2^32": _put("header.count", 2**32),
    "signature empty": _put("signature", "0x"),
    "signature a number": _put("signature", 1),
    "opening null": _put("opening", None),
    "opening without a salt": _put(
        "opening",
        {"reason": "", "referenceType": "", "referenceId": "", "memo": "", "metadata": None},
    ),
}


def opened(books: NaiveLedger, number: int, place: int, key: str, **texts: Any) -> Document:
    """Return a proof with an opening: the salt and the texts."""
    document = books.prove(number, place)
    salt = reference.ref_salt(books.secret, reference.entry_nonce(books.secret, key))
    names = {"reference_type": "referenceType", "reference_id": "referenceId"}
    shown = {"reason": "", "referenceType": "", "referenceId": "", "memo": "", "metadata": None}
    shown |= {names.get(name, name): text for name, text in texts.items()}
    return document | {"opening": {"salt": hexed(salt), **shown}}


def _with_texts() -> tuple[Document, Document]:
    books = ledger("opened", symbol="OPN", name="Opened", decimals=0)
    texts = {
        "reason": "pay",
        "reference_type": "invoice",
        "reference_id": "2024/1",
        "memo": 'für "Jürgen" \n🚀',
        "metadata": '{"a":1}',
    }
    books.post(reference.ZERO_ADDRESS, "0x" + "00" * 19 + "01", 1, key="k", **texts)
    books.seal(sealed_at=1)
    good = opened(books, 1, 0, "k", **texts)
    return good, opened(books, 1, 0, "k", **{**texts, "memo": "something else"})


def _vector(name: str, document: Document, chain: str | None, **more: Any) -> Document:
    encoded = None
    if chain is not None:
        encoded = {
            "chain": chain,
            "headerEncoded": hexed(reference.encode_header(document["header"])),
            "entryEncoded": hexed(reference.encode_entry(document["entry"])),
            "path": document["proof"],
        }
    return {"name": name, "document": document, **more, "verifyEntry": encoded}


def proofs() -> Document:
    """Return proofs.json."""
    books, crowd = small(), many()
    good = books.prove(NUMBER, PLACE)
    valid = [
        _vector(f"entry {place + 1} of {number}", books.prove(number, place), "small")
        for number in range(1, 10)
        for place in {0, number // 2, number - 1}
    ]
    valid.append(_vector("entry 300 of 300", crowd.prove(1, 299), "many"))
    opened_well, opened_badly = _with_texts()
    valid.append(_vector("with its texts opened", opened_well, None))
    unsigned = copy.deepcopy(good) | {"signature": None}
    valid.append(_vector("unsigned", unsigned, None))
    invalid = []
    for name, (forge, findings) in FORGERIES.items():
        document = copy.deepcopy(good)
        forge(document)
        chain = None if name in _NOT_FOR_A_CONTRACT else "small"
        invalid.append(_vector(name, document, chain, findings=sorted(findings)))
    invalid.append(_vector("other texts opened", opened_badly, None, findings=["ref_differs"]))
    refused = []
    for name, forge in REFUSED.items():
        document = copy.deepcopy(good)
        forge(document)
        refused.append({"name": name, "document": document})
    return {
        "about": "proof files; `findings` are the kinds that verification must report; `refused` "
        "are no proof files; `verifyEntry`, where there is one, is the same in the contract's "
        "encoding: true for every valid one, false for every invalid one, once `chain` of "
        "batches.json was replayed",
        "valid": valid,
        "invalid": invalid,
        "refused": refused,
    }
