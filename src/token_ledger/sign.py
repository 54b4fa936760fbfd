"""Sign: the sealer's signature on batch headers, when sealing or later.

What is signed is the header's EIP-712 digest, so a wallet or a Safe can show and sign it too. The
signature is what a chain and an auditor trust; it is kept beside the header, never in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from token_ledger.chain.signer import Signer
from token_ledger.core.address import to_checksum
from token_ledger.core.batch import header_digest
from token_ledger.core.progress import Progress, no_progress
from token_ledger.core.types import Header
from token_ledger.errors import DatabaseError, UnknownBatchError
from token_ledger.ledger import Ledger, batches

_CHUNK = 100


@dataclass(frozen=True, slots=True)
class SignResult:
    """How many headers this run signed, and as whom."""

    signed: int
    signer: bytes

    def to_json(self) -> dict[str, object]:
        """Return the result as one JSON-ready object."""
        return {"signed": self.signed, "signer": to_checksum(self.signer)}


def sign(
    ledger: Ledger,
    signer: Signer,
    *,
    numbers: Iterable[int] | None = None,
    progress: Progress = no_progress,
) -> SignResult:
    """Sign the given batches of the selected token, by default all that `signer` has not signed.

    Batches that `signer` signed before are left as they are. Raises UnknownBatchError for a number
    that is not sealed, and DatabaseError for a stored header whose digest is not its own: a
    signature must never vouch for an altered row.
    """
    token = ledger.token
    with ledger.read() as connection:
        unsigned = batches.unsigned_numbers(connection, token, signer.address)
        sealed = batches.head(connection, token).number
    wanted = unsigned if numbers is None else _choose(numbers, unsigned=unsigned, sealed=sealed)
    done = 0
    for start in range(0, len(wanted), _CHUNK):
        chunk = wanted[start : start + _CHUNK]
        with ledger.read() as connection:
            headers = [batches.read_header(connection, token, number) for number in chunk]
        signatures = [
            (header.number, signer.sign_digest(_checked(token.uid, header, digest)))
            for header, digest in headers
        ]
        ledger.run(
            lambda connection, signatures=signatures: batches.insert_signatures(  # type: ignore[misc]
                connection, token, signer.address, signatures, signed_at=ledger.now()
            )
        )
        done += len(chunk)
        progress("sign", done, len(wanted))
    return SignResult(done, signer.address)


def _choose(numbers: Iterable[int], *, unsigned: list[int], sealed: int) -> list[int]:
    wanted = sorted(set(numbers))
    for number in wanted:
        if not 1 <= number <= sealed:
            raise UnknownBatchError(
                f"there is no batch {number}", hint=f"{sealed} are sealed so far"
            )
    return sorted(set(wanted) & set(unsigned))


def _checked(token_uid: bytes, header: Header, digest: bytes) -> bytes:
    if header_digest(token_uid, header) != digest:
        raise DatabaseError(
            f"the stored digest of batch {header.number} is not its header's: a row was altered",
            hint="compare the database with an export or a backup; nothing was signed",
        )
    return digest
