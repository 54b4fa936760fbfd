"""Prove: a file that shows anybody one entry's place in the sealed history.

The proof leads from the entry to its batch's header; what vouches for the header (a signature, a
contract, a published digest) is the auditor's choice at `verify`.
"""

from __future__ import annotations

from token_ledger.core.batch import entries_tree, leaf
from token_ledger.core.entry import ref_salt
from token_ledger.core.types import Opening, Proof
from token_ledger.errors import DatabaseError, UnavailableError
from token_ledger.ledger import Ledger, batches


def prove(ledger: Ledger, entry_id: bytes, *, open_texts: bool = False) -> Proof:
    """Return the proof of one sealed entry.

    With `open_texts` it also carries the salt and the texts that open the entry's `ref`: they may
    be personal data, and whoever has the proof can read them. Raises UnknownEntryError,
    UnknownBatchError while the entry is not sealed, DatabaseError where the stored batch no longer
    gives its own root, UnavailableError for texts that were redacted.
    """
    token = ledger.token
    with ledger.read() as connection:
        number = batches.batch_of(connection, token, entry_id)
        batch = batches.read_batch(connection, token, number)
        texts = batches.read_texts(connection, token, entry_id) if open_texts else None
    entry = next(entry for entry in batch.entries if entry.id == entry_id)
    tree = entries_tree(batch.entries)
    if tree.root != batch.header.entries_root:
        raise DatabaseError(
            f"batch {number} no longer gives its own entries root: rows were altered",
            hint="compare the database with an export or a backup",
        )
    opening = None
    if open_texts:
        if texts is None:
            raise UnavailableError(
                f"the texts of entry 0x{entry_id.hex()} were redacted",
                hint="prove it without --open",
            )
        opening = Opening(ref_salt(ledger.secret, entry.nonce), texts)
    return Proof(
        token_uid=token.uid,
        header=batch.header,
        digest=batch.digest,
        signature=batch.signature,
        entry=entry,
        path=tree.path(leaf(entry)),
        opening=opening,
    )
