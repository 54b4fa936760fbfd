"""Export: the sealed history as files that need no database (design section 7).

    DIR/manifest.json            what it is, the token, the head, the batch files
    DIR/batches/00000001.json    one sealed batch each

Deterministic to the byte: a second export writes only what is new. Files are written to a
temporary name and renamed, the manifest last, so an interrupted export is finished by running it
again. Holds addresses, hashes and amounts; no account ids and no texts.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from token_ledger.core.files import (
    BATCHES_DIR,
    MANIFEST_NAME,
    Manifest,
    batch_name,
    batch_to_json,
    manifest_to_json,
    read_batch,
    read_manifest,
)
from token_ledger.core.progress import Progress, no_progress
from token_ledger.core.strict import decode, encode, to_hex
from token_ledger.core.types import Batch
from token_ledger.errors import FileFormatError, UnavailableError
from token_ledger.ledger import Ledger, batches

TEMPORARY_PREFIX = ".token-ledger-"


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What an export holds now: `written` counts the batch files that this run wrote."""

    path: str
    batches: int
    entries: int
    written: int
    head_number: int
    head_digest: bytes

    def to_json(self) -> dict[str, object]:
        """Return the result as one JSON-ready object."""
        return {
            "path": self.path,
            "batches": self.batches,
            "entries": self.entries,
            "written": self.written,
            "head": {"number": self.head_number, "digest": to_hex(self.head_digest)},
        }


def export(
    ledger: Ledger, directory: str | os.PathLike[str], *, progress: Progress = no_progress
) -> ExportResult:
    """Write the selected token's sealed batches to `directory`, made if it is missing.

    A batch signed since the last export is written again with its signature. Raises
    FileFormatError, before anything is written, for a directory that holds another token's export
    or a file that this ledger would not have written; UnavailableError where files cannot be
    written.
    """
    root = Path(directory)
    token = ledger.token
    with ledger.read() as connection:
        head = batches.head(connection, token)
    _check_directory(root, token_uid=token.uid)
    try:
        (root / BATCHES_DIR).mkdir(parents=True, exist_ok=True)
        _remove_temporaries(root)
        written = entries = 0
        for number in range(1, head.number + 1):
            with ledger.read() as connection:
                batch = batches.read_batch(connection, token, number)
                known = batches.all_signatures(connection, token, number)
            written += _write_batch(root / BATCHES_DIR / batch_name(number), batch, known)
            entries += batch.header.count
            progress("export", entries, head.next_seq)
        names = tuple(batch_name(number) for number in range(1, head.number + 1))
        manifest = Manifest(token, head.number, head.digest, names)
        _write(root / MANIFEST_NAME, encode(manifest_to_json(manifest)))
    except OSError as error:
        raise UnavailableError(
            f"cannot write the export: {error}", hint="mend it and export again"
        ) from None
    return ExportResult(str(root), head.number, entries, written, head.number, head.digest)


def _check_directory(root: Path, *, token_uid: bytes) -> None:
    if root.exists() and not root.is_dir():
        raise FileFormatError(f"{root} is a file", hint="name a directory")
    path = root / MANIFEST_NAME
    if not path.exists():
        return
    manifest = read_manifest(decode(path.read_bytes()))
    if manifest.token.uid != token_uid:
        raise FileFormatError(
            f"{root} holds the export of another token, {to_hex(manifest.token.uid)}",
            hint="name another directory",
        )


def _remove_temporaries(root: Path) -> None:
    """Remove what an interrupted export left behind under its temporary names."""
    for folder in (root, root / BATCHES_DIR):
        for leftover in folder.glob(TEMPORARY_PREFIX + "*"):
            leftover.unlink()


def _write_batch(path: Path, batch: Batch, known: Collection[bytes]) -> bool:
    data = encode(batch_to_json(batch))
    if path.exists():
        present = path.read_bytes()
        if present == data:
            return False
        _check_only_signature_differs(path, present, batch, known)
    return _write(path, data)


def _check_only_signature_differs(
    path: Path, present: bytes, batch: Batch, known: Collection[bytes]
) -> None:
    """Refuse to overwrite evidence: a file may only gain a signature, or change one we know."""
    found = read_batch(decode(present))
    strange = found.signature is not None and found.signature not in known
    old, new = batch_to_json(found), batch_to_json(batch)
    if strange or {**old, "signature": None} != {**new, "signature": None}:
        raise FileFormatError(
            f"{path} is not what this ledger exports: it was altered, or is another ledger's",
            hint="keep it as evidence: move it away, then export again",
        )


def _write(path: Path, data: bytes) -> bool:
    """Write a whole file or nothing: temporary name, fsync, rename. Returns whether it wrote."""
    if path.exists() and path.read_bytes() == data:
        return False
    handle, temporary = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return True
