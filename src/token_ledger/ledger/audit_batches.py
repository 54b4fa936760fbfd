"""The sealed history, rebuilt from the entries: what `check` proves of batches and signatures.

Runs that leave no entry out, contiguous numbers and `seq`, roots, rows, supply, parents, digests.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from sqlalchemy import Connection, func, select

from token_ledger.core.address import to_checksum
from token_ledger.core.batch import movements, supply_change
from token_ledger.core.entry import EntryHasher
from token_ledger.core.packing import pack
from token_ledger.core.progress import Progress
from token_ledger.core.signature import EOA_SIGNATURE_BYTES, recover_signer
from token_ledger.core.strict import to_hex
from token_ledger.core.types import ZERO_HASH, Batch, Finding
from token_ledger.core.verification import check_batch
from token_ledger.ledger import batches, schema
from token_ledger.ledger.audit import stream
from token_ledger.ledger.tokens import StoredToken

_BATCH = schema.token_batches.c
_PAGE = 1_000


class BatchWalk:
    """One pass over the batches of a token; iterate `findings` to the end."""

    def __init__(self, connection: Connection, token: StoredToken, progress: Progress) -> None:
        self._connection, self._token, self._progress = connection, token, progress
        self._hasher = EntryHasher(token.uid)
        self.count = 0

    def findings(self) -> Iterator[Finding]:
        """Yield what is wrong with the batches, in their order."""
        head = batches.Head()
        while True:
            rows = self._connection.execute(
                select(_BATCH.number, _BATCH.first_entry_no, _BATCH.last_entry_no)
                .where(_BATCH.token_no == self._token.token_no, _BATCH.number > self._last(head))
                .order_by(_BATCH.number)
                .limit(_PAGE)
            ).all()
            for number, first, last in rows:
                self.count += 1
                self._progress("batches", self.count, None)
                found, head = self._check(number, first, last, head)
                yield from found
            if len(rows) < _PAGE:
                return

    @staticmethod
    def _last(head: batches.Head) -> int:
        return head.number

    def _check(
        self, number: int, first: int, last: int, before: batches.Head
    ) -> tuple[list[Finding], batches.Head]:
        connection, token = self._connection, self._token
        header, digest = batches.read_header(connection, token, number)
        rows = connection.execute(batches.select_entries(token, after=first - 1, up_to=last)).all()
        entries = tuple(batches.to_entry(row, header.first_seq + i) for i, row in enumerate(rows))
        found = [*self._run(first, before)]
        expected = (before.number + 1, before.digest, before.next_seq)
        if (number, header.parent, header.first_seq) != expected:
            found.append(
                Finding(
                    "header_chain_broken",
                    "number, parent or first seq does not follow the header before",
                    {"parent": to_hex(header.parent), "computed": to_hex(before.digest)},
                )
            )
        try:
            packed = pack(movements(entries)) if entries else b""
            batch = Batch(token.uid, header, digest, entries, packed)
            levels = check_batch(batch, self._hasher)
            found += [f for name, part in levels.items() if name != "ids" for f in part]
        except (ValueError, OverflowError, AssertionError):
            found.append(Finding("rows_differ", "its entries are none that a batch could hold"))
        supply = before.total_supply + supply_change(entries)
        if header.total_supply != supply:
            details: dict[str, object] = {
                "stored": str(header.total_supply),
                "computed": str(supply),
            }
            found.append(Finding("supply_differs", "its total supply is not its entries'", details))
        where: dict[str, object] = {"token": token.symbol, "batch": number}
        after = batches.Head(
            number, digest, header.first_seq + header.count, header.total_supply, last
        )
        named = [Finding(f.kind, _said(f, number), {**where, **f.details}) for f in found]
        return named, after

    def _run(self, first: int, before: batches.Head) -> Iterator[Finding]:
        """Yield whether the batch leaves entries out between the one before it and itself."""
        entry = schema.token_ledger.c
        due = self._connection.execute(
            select(func.min(entry.entry_no)).where(
                entry.token_no == self._token.token_no, entry.entry_no > before.last_entry_no
            )
        ).scalar()
        if due != first:
            yield Finding(
                "entries_left_out",
                "it does not begin with the entry that follows the batch before: entries were"
                " added, deleted or renumbered under what was sealed",
                {"first_entry_no": first, "computed": due},
            )


def _said(finding: Finding, number: int) -> str:
    prefix = f"batch {number}: "
    return finding.message if finding.message.startswith(prefix) else prefix + finding.message


class SignatureWalk:
    """One pass over the signatures of a token's batches. `unchecked`: those of contracts."""

    def __init__(
        self, connection: Connection, token: StoredToken, contract_signers: Collection[bytes]
    ) -> None:
        self._connection, self._token = connection, token
        self._contracts = frozenset(contract_signers)
        self.count = self.unchecked = 0

    def findings(self) -> Iterator[Finding]:
        """Yield signatures that their signer's key did not make over the batch's digest."""
        signature = schema.batch_signatures.c
        rows = stream(
            self._connection,
            select(signature.number, signature.signer, signature.signature, _BATCH.digest)
            .select_from(schema.batch_signatures)
            .outerjoin(
                schema.token_batches,
                (_BATCH.token_no == signature.token_no) & (_BATCH.number == signature.number),
            )
            .where(signature.token_no == self._token.token_no)
            .order_by(signature.number, signature.signer),
        )
        for number, signer, data, digest in rows:
            self.count += 1
            if signer in self._contracts or len(data) != EOA_SIGNATURE_BYTES:
                self.unchecked += 1
                continue
            if recover_signer(ZERO_HASH if digest is None else digest, data) != signer:
                yield Finding(
                    "signature_differs",
                    f"batch {number}: no key of the signer's made the signature; if the signer is"
                    " a contract, say so, and verify the export with --rpc",
                    {
                        "token": self._token.symbol,
                        "batch": number,
                        "signer": to_checksum(signer),
                    },
                )
