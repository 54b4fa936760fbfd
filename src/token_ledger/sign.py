"""Sign: the sealer's signature on batch headers, when sealing or later.

What is signed is the header's EIP-712 digest, so a wallet or a Safe can show and sign it too. The
signature is what a chain and an auditor trust; it is kept beside the header, never in it. The
sealer is the operator unless another is named: a wrong key would spoil every export.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from token_ledger.chain.erc1271 import is_contract_signature
from token_ledger.chain.rpc import Rpc
from token_ledger.chain.signer import Signer
from token_ledger.core.address import to_checksum
from token_ledger.core.batch import header_digest
from token_ledger.core.progress import Progress, no_progress
from token_ledger.core.signature import recover_signer
from token_ledger.core.types import Header
from token_ledger.errors import DatabaseError, SigningKeyError, UnknownBatchError
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
    sealer: bytes | None = None,
    numbers: Iterable[int] | None = None,
    progress: Progress = no_progress,
) -> SignResult:
    """Sign the given batches of the selected token, by default all that `signer` has not signed.

    `sealer`: whose key it must be, 20 bytes; the ledger's operator by default. Batches that
    `signer` signed before are left as they are. Raises SigningKeyError for another key,
    UnknownBatchError for a number that is not sealed, and DatabaseError for a stored header whose
    digest is not its own: a signature must never vouch for an altered row.
    """
    token = ledger.token
    expected = ledger.operator if sealer is None else sealer
    if signer.address != expected:
        raise SigningKeyError(
            f"this is the key of {to_checksum(signer.address)}; the sealer is "
            f"{to_checksum(expected)}",
            hint="sign with the sealer's key; name another sealer if the contract has another",
        )
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


def add_signature(
    ledger: Ledger,
    number: int,
    signature: bytes,
    *,
    sealer: bytes | None = None,
    rpc_url: str | None = None,
) -> SignResult:
    """Keep a signature that was made elsewhere: by a wallet, or by a Safe (ERC-1271).

    `sealer` as in `sign`. A key's signature is checked here; a contract's needs `rpc_url`, since
    only the contract knows. Raises SigningKeyError for one that is not the sealer's,
    UnknownBatchError, DatabaseError as `sign`.
    """
    token = ledger.token
    expected = ledger.operator if sealer is None else sealer
    with ledger.read() as connection:
        header, stored = batches.read_header(connection, token, number)
        unsigned = batches.unsigned_numbers(connection, token, expected)
    digest = _checked(token.uid, header, stored)
    if recover_signer(digest, signature) != expected and not _contract_signed(
        rpc_url, expected, digest=digest, signature=signature
    ):
        raise SigningKeyError(
            f"the signature of batch {number} is not that of {to_checksum(expected)}",
            hint="a contract's signature is checked with --rpc, where the contract is",
        )
    if number not in unsigned:
        return SignResult(0, expected)
    ledger.run(
        lambda connection: batches.insert_signatures(
            connection, token, expected, [(number, signature)], signed_at=ledger.now()
        )
    )
    return SignResult(1, expected)


def _contract_signed(
    rpc_url: str | None, signer: bytes, *, digest: bytes, signature: bytes
) -> bool:
    if rpc_url is None:
        return False
    with Rpc(rpc_url) as rpc:
        return is_contract_signature(rpc, signer, digest=digest, signature=signature)


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
