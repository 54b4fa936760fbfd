"""The files: they say what they say in one spelling, and no altered byte goes unseen."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.samples import (
    files_of,
    kinds,
    named,
    rewritten,
    short,
    small_books,
    vectors,
    verify_files,
)
from tests.reference import hexed, unhexed
from tests.vectors.proofs import opened

from token_ledger.core.files import batch_name, read_batch, read_manifest, read_proof
from token_ledger.core.signature import recover_signer
from token_ledger.core.strict import decode, encode
from token_ledger.core.verification import verify_proof
from token_ledger.errors import FileFormatError

EXPORTS = vectors("exports")
PROOFS = vectors("proofs")


@pytest.mark.parametrize("vector", named(EXPORTS["valid"] + EXPORTS["invalid"]))
def test_manifests_and_batches_are_written_as_they_were_read(vector: dict[str, Any]) -> None:
    """Reading loses nothing: what is written again is the same bytes, of frauds too."""
    for data in files_of(vector["manifest"], vector["batches"]):
        assert data == rewritten(data)


@pytest.mark.parametrize("vector", named(PROOFS["valid"] + PROOFS["invalid"]))
def test_proofs_are_written_as_they_were_read(vector: dict[str, Any]) -> None:
    """Reading a proof loses nothing, with and without an opening."""
    data = encode(vector["document"])
    assert data == rewritten(data)


@pytest.mark.parametrize("vector", named(PROOFS["refused"]))
def test_what_is_no_proof_is_refused(vector: dict[str, Any]) -> None:
    """Each named deviation from the grammar is a FileFormatError."""
    with pytest.raises(FileFormatError):
        read_proof(decode(encode(vector["document"])))


# Every byte


def _alterations(data: bytes) -> Iterator[bytes]:
    """Yield `data` with each byte altered in two ways, left out, and doubled."""
    for i, byte in enumerate(data):
        for other in (byte ^ 1, byte ^ 0x20):
            yield data[:i] + bytes([other]) + data[i + 1 :]
        yield data[:i] + data[i + 1 :]
        yield data[: i + 1] + data[i:]


@functools.cache
def _signer(digest: bytes, signature: bytes | None) -> bytes | None:
    return recover_signer(digest, signature or b"")


def _caught(files: list[bytes], signer: bytes) -> bool:
    """Whether an export is refused, or found inconsistent, or not signed by its sealer."""
    try:
        report = verify_files(files)
        batches = [read_batch(decode(data)) for data in files[1:]]
    except FileFormatError:
        return True
    return not report.consistent or any(
        _signer(batch.digest, batch.signature) != signer for batch in batches
    )


@pytest.mark.parametrize("place", [0, 1, 2], ids=["manifest", "batch 1", "batch 2"])
def test_no_altered_byte_of_an_export_goes_unseen(place: int) -> None:
    """Whichever byte of manifest or batch is altered, lost or doubled: refused, or a finding."""
    books = small_books()
    files = files_of(books.manifest(), books.batches)
    signer = unhexed(books.sealer.lower())
    assert not _caught(files, signer)
    for altered in _alterations(files[place]):
        changed = [*files[:place], altered, *files[place + 1 :]]
        if altered != files[place]:
            assert _caught(changed, signer), altered


def test_no_altered_byte_of_a_proof_goes_unseen() -> None:
    """Whichever byte of an opened proof is altered, lost or doubled: refused, or a finding."""
    books = small_books()
    data = encode(opened(books, 2, 0, "b", reason="pay"))
    signer = unhexed(books.sealer.lower())
    assert verify_proof(read_proof(decode(data))).consistent
    for altered in _alterations(data):
        try:
            proof = read_proof(decode(altered))
        except FileFormatError:
            continue
        if altered != data and verify_proof(proof).consistent:
            assert signer != _signer(proof.digest, proof.signature), altered


# Shapes


@functools.cache
def _documents() -> dict[str, dict[str, Any]]:
    books = small_books()
    return {
        "manifest": books.manifest(),
        "batch": books.batches[1],
        "proof": opened(books, 2, 0, "b", reason="pay"),
    }


_READERS: dict[str, Any] = {"manifest": read_manifest, "batch": read_batch, "proof": read_proof}


def _paths(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the path of every value inside a document."""
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, inner in items:
        yield (*path, key)
        yield from _paths(inner, (*path, key))


def _with(document: Any, path: tuple[str | int, ...], change: Any) -> Any:
    """Return a copy of a document in which `change(container, key)` was applied at `path`."""
    copied = decode(encode(document))
    target: Any = copied
    for key in path[:-1]:
        target = target[key]
    change(target, path[-1])
    return copied


@pytest.mark.parametrize("kind", _READERS)
def test_every_key_is_needed_and_none_more(kind: str) -> None:
    """Leaving out any key of any object, or adding one, is refused."""
    document, read = _documents()[kind], _READERS[kind]
    read(document)
    for path in _paths(document):
        if not isinstance(path[-1], str) or path == ("opening",):
            continue
        for change in (
            lambda target, key: target.pop(key),
            lambda target, key: target.update({key + "2": target[key]}),
            lambda target, key: target.update({key.upper(): target.pop(key)}),
        ):
            with pytest.raises(FileFormatError):
                read(_with(document, path, change))


@pytest.mark.parametrize("kind", _READERS)
@pytest.mark.parametrize(
    "value", [None, True, -1, 1.5, "?", "é", [], {}, [[]], {"a": 1}], ids=short
)
def test_values_of_another_type_are_refused(kind: str, value: object) -> None:
    """Wherever a value of another type stands, the file is refused or says something else."""
    document, read = _documents()[kind], _READERS[kind]
    original = read(document)
    for path in _paths(document):

        def put(target: Any, key: Any) -> None:
            target[key] = value

        changed = _with(document, path, put)
        try:
            assert changed == document or original != read(changed), path
        except FileFormatError:
            continue
        else:  # only text is free, and the signature may be absent
            assert (
                path[-1]
                in {
                    *(
                        "reason",
                        "referenceType",
                        "referenceId",
                        "memo",
                        "metadata",
                        "symbol",
                        "name",
                    ),
                    *("signature", "entries", "proof", "batches"),
                }
                or changed == document
            ), path


@pytest.mark.parametrize("kind", _READERS)
@pytest.mark.parametrize("other", _READERS)
def test_a_file_of_another_kind_is_refused(kind: str, other: str) -> None:
    """A batch is no proof, a proof no manifest; and a format of another version is none."""
    if kind != other:
        with pytest.raises(FileFormatError):
            _READERS[kind](_documents()[other])
    newer = {**_documents()[kind], "format": _documents()[kind]["format"][:-1] + "2"}
    with pytest.raises(FileFormatError, match="v2"):
        _READERS[kind](newer)


@pytest.mark.parametrize(
    ("names", "number"),
    [
        (["00000001.json"], 2),
        (["00000001.json", "00000002.json"], 1),
        (["00000002.json", "00000001.json"], 2),
        (["00000001.json", "00000003.json"], 2),
        (["00000001.json", "00000001.json"], 2),
        (["00000000.json", "00000001.json"], 2),
        (["1.json", "2.json"], 2),
        (["00000001.JSON", "00000002.json"], 2),
        (["../00000001.json", "00000002.json"], 2),
        (["/etc/passwd", "00000002.json"], 2),
        (["00000001.json\n", "00000002.json"], 2),
        (["0000000١.json", "00000002.json"], 2),
        ([1, 2], 2),
    ],
    ids=short,
)
def test_batch_names_are_eight_digits_in_order(names: list[Any], number: int) -> None:
    """A manifest lists 00000001.json and so on, as many as its head's number, and no path."""
    manifest = small_books().manifest()
    manifest |= {"batches": names, "head": {**manifest["head"], "number": number}}
    with pytest.raises(FileFormatError):
        read_manifest(manifest)


def test_batch_name() -> None:
    """A batch's file is its number in eight digits."""
    assert "00000042.json" == batch_name(42)


def test_domain_and_token_must_agree() -> None:
    """A manifest whose domain is not its token's is refused."""
    manifest = small_books().manifest()
    manifest["domain"]["salt"] = "0x" + "11" * 32
    with pytest.raises(FileFormatError, match=r"domain\.salt"):
        read_manifest(manifest)


@pytest.mark.parametrize("size", [1, 64, 65, 66, 65_536])
def test_signatures_of_contracts_may_have_any_length(size: int) -> None:
    """ERC-1271 signatures of 1 to 65,536 bytes are kept as they are."""
    document = small_books().batches[0] | {"signature": hexed(b"\1" * size)}
    assert b"\1" * size == read_batch(document).signature


@pytest.mark.parametrize("size", [0, 65_537])
def test_signatures_have_bounds(size: int) -> None:
    """No bytes at all, and more than 65,536, are refused."""
    document = small_books().batches[0] | {"signature": hexed(b"\1" * size)}
    with pytest.raises(FileFormatError):
        read_batch(document)


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=20), min_size=5, max_size=5))
def test_any_texts_can_be_opened(words: list[str]) -> None:
    """An opening holds any text at all, and comes back in the same bytes."""
    document = _documents()["proof"]
    names = ["reason", "referenceType", "referenceId", "memo", "metadata"]
    opening = document["opening"] | dict(zip(names, words, strict=True))
    data = encode(document | {"opening": opening})
    assert data == rewritten(data)
    read = read_proof(decode(data)).opening
    assert read is not None
    assert words == list(dataclasses.astuple(read.texts))


def test_prefix_of_an_export_is_consistent() -> None:
    """A history cut off at a batch is consistent in itself: that is what anchors are for."""
    for vector in EXPORTS["valid"]:
        assert [] == kinds(verify_files(files_of(vector["manifest"], vector["batches"])))
