"""What a contract lacks: signed batches from the ledger, or from an export that agrees with it.

Everything is looked at before anything is sent. Sends nothing: `migrate` does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from token_ledger.chain.state import ContractState
from token_ledger.core.address import to_checksum
from token_ledger.core.entry import EntryHasher
from token_ledger.core.files import (
    BATCHES_DIR,
    MANIFEST_NAME,
    batch_name,
    read_batch,
    read_manifest,
)
from token_ledger.core.strict import decode
from token_ledger.core.types import Batch
from token_ledger.core.verification import check_batch
from token_ledger.errors import FileFormatError, SigningKeyError
from token_ledger.ledger import Ledger, batches, mirror


class Replayable:
    """The batches up to `head_number`, which can be handed to a contract in their order."""

    def __init__(
        self, ledger: Ledger, head_number: int, export_dir: str | os.PathLike[str] | None
    ) -> None:
        """`head_number`: the ledger's; an export may end before. Raises FileFormatError."""
        self.ledger = ledger
        self.token = ledger.token
        self.head_number = head_number
        self._export = None if export_dir is None else self._open_export(Path(export_dir))

    @property
    def next_seq(self) -> int:
        """The `seq` behind the last entry."""
        with self.ledger.read() as connection:
            last, _ = batches.read_header(connection, self.token, self.head_number)
        return last.first_seq + last.count

    def check_signed(self, *, after: int, sealer: bytes) -> None:
        """Refuse before anything is sent, rather than in the middle. Raises SigningKeyError."""
        if self._export is not None:
            return  # the files carry their signatures; each is looked at when it is read
        with self.ledger.read() as connection:
            unsigned = batches.unsigned_numbers(connection, self.token, sealer)
        missing = [number for number in unsigned if number > after]
        if missing:
            raise SigningKeyError(
                f"{len(missing)} batches, the first of them {missing[0]}, are not signed by "
                f"the sealer {to_checksum(sealer)}",
                hint="run `sign` with the sealer's key: the contract accepts no other",
            )

    def lacking(self, state: ContractState) -> Iterator[Batch]:
        """Yield the batches behind a contract's head, read one by one."""
        for number in range(state.head_number + 1, self.head_number + 1):
            with self.ledger.read() as connection:
                if self._export is None:
                    batch = mirror.read_replayable(connection, self.token, number, state.sealer)
                else:
                    _, digest = batches.read_header(connection, self.token, number)
                    batch = self._read_exported(self._export, number, digest)
            yield batch

    def _open_export(self, root: Path) -> Path:
        manifest = read_manifest(decode(_read_file(root / MANIFEST_NAME)))
        if manifest.token.uid != self.token.uid:
            raise FileFormatError(
                f"{root} is the export of another token, 0x{manifest.token.uid.hex()}",
                hint=f"this ledger's {self.token.symbol} is 0x{self.token.uid.hex()}",
            )
        if manifest.head_number:
            with self.ledger.read() as connection:
                number = batches.known_digest(connection, self.token, manifest.head_digest)
            if number != manifest.head_number:
                raise FileFormatError(
                    f"{root} ends with batch {manifest.head_number}, "
                    f"0x{manifest.head_digest.hex()}, which this ledger does not hold",
                    hint="it is of another copy of the ledger, or newer than this database",
                )
        self.head_number = manifest.head_number
        return root

    def _read_exported(self, source: Path, number: int, digest: bytes) -> Batch:
        path = source / BATCHES_DIR / batch_name(number)
        batch = read_batch(decode(_read_file(path)))
        findings = [
            f for fs in check_batch(batch, EntryHasher(self.token.uid)).values() for f in fs
        ]
        if batch.token_uid != self.token.uid or batch.digest != digest or findings:
            said = findings[0].message if findings else "its digest is another"
            raise FileFormatError(
                f"{path.name} does not agree with the ledger: {said}",
                hint="the file was altered or is foreign; export again",
            )
        if batch.signature is None:
            raise SigningKeyError(
                f"{path.name} is not signed", hint="run `sign`, then `export` again"
            )
        return batch


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FileFormatError(
            f"{path} cannot be read: {error.strerror}", hint="is it a whole export?"
        ) from None
