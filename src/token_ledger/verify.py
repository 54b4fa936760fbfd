"""Verify: check a proof, a batch file or an export, with no database and trusting nobody.

Reads files, asks `core.verification` what holds, and demands an anchor: a digest known from
elsewhere, a sealer's address, an export that is itself anchored, or the contract on a chain.
Without one, a consistent file says no more than that its author was careful.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from token_ledger.chain.anchor import ChainAnchor, read_chain_anchor
from token_ledger.chain.first import first_answer
from token_ledger.core.address import to_checksum
from token_ledger.core.files import (
    BATCH_FORMAT,
    BATCHES_DIR,
    EXPORT_FORMAT,
    MANIFEST_NAME,
    PROOF_FORMAT,
    read_batch,
    read_manifest,
    read_proof,
)
from token_ledger.core.progress import Progress, no_progress
from token_ledger.core.signature import EOA_SIGNATURE_BYTES, recover_signer
from token_ledger.core.strict import decode, to_hex
from token_ledger.core.types import Batch, Finding, Header, Proof
from token_ledger.core.verification import ExportVerifier, Report, verify_batch, verify_proof
from token_ledger.errors import FileFormatError, UsageError

FILE_BYTES_MAX = 1 << 28
"""No batch comes near: larger files are foreign, and are not read into memory."""


@dataclass(frozen=True, slots=True)
class Anchors:
    """What the auditor knows from elsewhere, and wants a file held against.

    `signer` vouches for the head; earlier batches may be signed by `former_signers` too, where the
    sealer was changed. `rpc_url`: a node, or several, of which the first that answers is asked.
    """

    digest: bytes | None = None
    signer: bytes | None = None
    against: Path | None = None
    rpc_url: str | Sequence[str] | None = None
    contract: bytes | None = None
    former_signers: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if bool(self.rpc_url) != (self.contract is not None):
            raise UsageError(
                "a chain is an anchor through one contract",
                hint="give --rpc and --contract together",
            )


@dataclass(frozen=True, slots=True)
class Subject:
    """What anchors are held against: headers with digests, and signatures, in the same order."""

    token_uid: bytes
    headers: Sequence[tuple[Header, bytes]]
    signatures: Sequence[bytes | None]

    @property
    def signed(self) -> dict[int, tuple[bytes, bytes | None]]:
        """The digest and the signature of each batch, by number."""
        return {
            header.number: (digest, signature)
            for (header, digest), signature in zip(self.headers, self.signatures, strict=True)
        }


def verify(
    path: Path, anchors: Anchors | None = None, *, progress: Progress = no_progress
) -> Report:
    """Return the report on a proof file, a batch file, or an export's directory.

    Differences are findings in the report. Raises FileFormatError for what is none of the three
    or not in canonical form, UsageError for anchors that do not go together, ChainError where the
    chain that should vouch cannot be asked.
    """
    anchors = anchors or Anchors()
    report, subject = _check(path, progress)
    if anchors.against is not None:
        return _verify_against(report, subject, anchors, progress)
    _apply(report, subject, anchors)
    return report


def _check(path: Path, progress: Progress) -> tuple[Report, Subject]:
    if path.is_dir():
        return _check_export(path, progress)
    document = decode(_read(path))
    kind = document.get("format")
    if kind == PROOF_FORMAT:
        proof: Proof = read_proof(document)
        subject = Subject(proof.token_uid, [(proof.header, proof.digest)], [proof.signature])
        return verify_proof(proof), subject
    if kind == BATCH_FORMAT:
        batch: Batch = read_batch(document)
        subject = Subject(batch.token_uid, [(batch.header, batch.digest)], [batch.signature])
        return verify_batch(batch), subject
    if kind == EXPORT_FORMAT:
        raise FileFormatError(f"{path} is a manifest", hint="name the export's directory")
    raise FileFormatError(
        f"{path} has the format {kind!r:.80}", hint="give a proof, a batch file or an export"
    )


def _check_export(root: Path, progress: Progress) -> tuple[Report, Subject]:
    if not (root / MANIFEST_NAME).exists():
        raise FileFormatError(
            f"{root} is not an export: it holds no {MANIFEST_NAME}",
            hint="name a proof, a batch file, or the directory that `export` wrote",
        )
    manifest = read_manifest(decode(_read(root / MANIFEST_NAME)))
    _refuse_strangers(root, manifest.batch_names)
    verifier = ExportVerifier(manifest)
    for i, name in enumerate(manifest.batch_names, start=1):
        path = root / BATCHES_DIR / name
        try:
            verifier.add(read_batch(decode(_read(path))))
        except FileFormatError as error:
            raise FileFormatError(f"{path}: {error.message}", hint=error.hint) from None
        progress("verify", i, len(manifest.batch_names))
    report = verifier.finish()
    return report, Subject(manifest.token.uid, verifier.headers, verifier.signatures)


def _refuse_strangers(root: Path, names: Sequence[str]) -> None:
    """Refuse files that the manifest does not list: nobody checks them, somebody may read them."""
    batches = root / BATCHES_DIR
    listed = {root / MANIFEST_NAME, batches, *(batches / name for name in names)}
    present = set(root.iterdir()) | (set(batches.iterdir()) if batches.is_dir() else set())
    strangers = sorted(str(path.relative_to(root)) for path in present - listed)
    if strangers:
        raise FileFormatError(
            f"{root} holds files that its manifest does not list: {', '.join(strangers):.200}",
            hint="remove them, or finish the export by running it again",
        )


def _read(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise FileFormatError(f"{path} is not a file", hint="check the path")
        size = path.stat().st_size
        if size > FILE_BYTES_MAX:
            raise FileFormatError(f"{path} is {size} bytes long", hint="no file of ours is")
        return path.read_bytes()
    except OSError as error:
        raise FileFormatError(f"{path} cannot be read: {error.strerror}", hint="check it") from None


# Anchors


def _apply(report: Report, subject: Subject, anchors: Anchors) -> None:
    if anchors.digest is not None:
        report.anchor(f"digest {to_hex(anchors.digest)}", _check_digest(subject, anchors.digest))
    if anchors.signer is not None:
        name = f"signer {to_checksum(anchors.signer)}"
        report.anchor(name, _check_signer(subject, anchors.signer, anchors.former_signers))
    else:
        _judge_signatures(report, subject)
    if anchors.rpc_url and (contract := anchors.contract) is not None:
        urls = [anchors.rpc_url] if isinstance(anchors.rpc_url, str) else anchors.rpc_url
        chain = first_answer(urls, lambda url: read_chain_anchor(url, contract, subject.signed))
        if pending := _pending(subject, chain):
            why = f"the contract holds header {pending}, but its block is not final yet: wait"
            report.skip(f"anchor: {chain.name}", why)
        else:
            _anchor_chain(report, subject, chain, anchors.former_signers)


def _pending(subject: Subject, chain: ChainAnchor) -> int | None:
    """Return the first header that the chain holds as it is here, only not finally yet."""
    if not chain.code_known or chain.token_uid != subject.token_uid:
        return None
    for header, digest in subject.headers:
        if chain.digests.get(header.number) != digest:
            return header.number if chain.pending.get(header.number) == digest else None
    return None


def _check_digest(subject: Subject, digest: bytes) -> Finding | None:
    head = subject.headers[-1] if subject.headers else None
    if head is not None and head[1] == digest:
        return None
    for header, own in subject.headers:
        if own == digest:
            message = (
                f"the digest is batch {header.number}'s: it vouches for batches up to it, "
                f"not for {len(subject.headers)}"
            )
            return Finding("anchor_digest_older", message, {"digest": to_hex(digest)})
    own_text = to_hex(head[1]) if head else None
    message = "the known digest is not this file's: it is another history, or an older one"
    return Finding(
        "anchor_digest_differs", message, {"expected": to_hex(digest), "actual": own_text}
    )


def _check_signer(
    subject: Subject, signer: bytes, former_signers: tuple[bytes, ...]
) -> Finding | None:
    """Hold every signature against its signer: the head's must be there, and be `signer`'s."""
    if not subject.headers or subject.signatures[-1] is None:
        message = "nobody has signed this header: ask for a signed file"
        return Finding("anchor_unsigned", message, {"expected": to_checksum(signer)})
    last = len(subject.headers) - 1
    signed = zip(subject.headers, subject.signatures, strict=True)
    for i, ((header, digest), signature) in enumerate(signed):
        if signature is None:
            continue
        expected = (signer,) if i == last else (signer, *former_signers)
        recovered = recover_signer(digest, signature)
        if recovered not in expected:
            return Finding(
                "anchor_signer_differs",
                f"the signature of batch {header.number} is not this signer's (a Safe's can only "
                "be checked on its chain: --rpc; one of a former sealer needs that address too)",
                {
                    "number": header.number,
                    "expected": ", ".join(map(to_checksum, expected)),
                    "actual": None if recovered is None else to_checksum(recovered),
                },
            )
    return None


def _judge_signatures(report: Report, subject: Subject) -> None:
    """Say what is known of signatures that no signer was named for."""
    signed = zip(subject.headers, subject.signatures, strict=True)
    spoilt = [
        Finding(
            "signature_invalid",
            f"nobody's key can have made the signature of batch {header.number}: it was altered",
            {"number": header.number},
        )
        for (header, digest), signature in signed
        if signature is not None
        and len(signature) == EOA_SIGNATURE_BYTES
        and recover_signer(digest, signature) is None
    ]
    if spoilt:
        report.level("signatures", spoilt)
    elif any(subject.signatures):
        report.skip("signatures", "whose they are is checked against --signer")


def _anchor_chain(
    report: Report, subject: Subject, chain: ChainAnchor, former_signers: tuple[bytes, ...]
) -> None:
    """Hold the headers against the contract's; those of after the cut-over against its sealer."""
    finding = _check_chain(subject, chain)
    closed = chain.closed
    later = [number for number in subject.signed if closed is not None and number > closed]
    if finding is not None or not later or chain.sealer is None:
        report.anchor(chain.name, finding)
        return
    sealer, held = to_checksum(chain.sealer), len(subject.headers) - len(later)
    unproven = [
        number
        for number in later
        if number not in chain.signed and _signer_of(subject, number) not in former_signers
    ]
    if not unproven:
        detail = f"{_batches(later)}: of after the cut-over, on no contract, signed by its sealer"
        report.anchor(chain.name, None, f"{detail} {sealer}")
        return
    if held:
        report.level(f"anchor: {chain.name}", [], f"batches up to {closed}")
    report.skip(
        f"anchor: {_batches(unproven)}",
        f"not proven: of after the cut-over, so on no contract, and not signed by its sealer "
        f"{sealer}; ask for a signed file, or name who signed with --signer",
    )


def _signer_of(subject: Subject, number: int) -> bytes | None:
    digest, signature = subject.signed[number]
    return None if signature is None else recover_signer(digest, signature)


def _batches(numbers: Sequence[int]) -> str:
    one, last = numbers[0], numbers[-1]
    if one == last:
        return f"batch {one}"
    whole = last - one + 1 == len(numbers)
    return f"batches {one} to {last}" if whole else f"{len(numbers)} of batches {one} to {last}"


def _check_chain(subject: Subject, chain: ChainAnchor) -> Finding | None:
    if not chain.code_known:
        message = "the contract's code is not one that this release knows: it could say anything"
        return Finding("anchor_code_differs", message, {"codeHash": to_hex(chain.code_hash)})
    if chain.token_uid != subject.token_uid:
        message = "the contract is another token's"
        details: dict[str, object] = {"expected": to_hex(subject.token_uid)}
        return Finding(
            "anchor_token_differs", message, {**details, "actual": to_hex(chain.token_uid)}
        )
    for header, digest in subject.headers:
        if chain.closed is not None and header.number > chain.closed:
            break
        stored = chain.digests.get(header.number)
        if stored != digest:
            message = (
                f"the contract does not hold header {header.number} at the finalized block: it is "
                "another one, or not final yet"
            )
            return Finding(
                "anchor_header_differs",
                message,
                {"expected": to_hex(digest), "actual": to_hex(stored) if stored else None},
            )
    if not subject.headers:
        return Finding("anchor_empty", "an export without batches says nothing to vouch for")
    return None


def _verify_against(
    report: Report, subject: Subject, anchors: Anchors, progress: Progress
) -> Report:
    """Hold the file against an export, and the export against the other anchors.

    A digest that the auditor knows of an earlier header vouches for the export up to there.
    """
    assert anchors.against is not None
    trusted, other = _check_export(anchors.against, progress)
    if anchors.digest is not None:
        other = _up_to(other, anchors.digest)
    _apply(trusted, other, anchors)
    _judge_signatures(report, subject)
    report.findings += trusted.findings
    report.checks += [replace(check, name=f"export: {check.name}") for check in trusted.checks]
    if not trusted.anchored:
        report.skip("anchor: export", "the export itself is not anchored: anchor it too")
        return report
    known = {header.number: digest for header, digest in other.headers}
    missing = [header.number for header, own in subject.headers if known.get(header.number) != own]
    finding = None
    if missing or other.token_uid != subject.token_uid:
        message = "a header of this file is not one that the anchored export vouches for"
        finding = Finding("anchor_export_differs", message, {"numbers": missing[:10]})
    report.anchor(f"export, by {', '.join(trusted.anchors)}", finding)
    return report


def _up_to(subject: Subject, digest: bytes) -> Subject:
    """Return what a known digest can vouch for: the headers up to it, or all if it is none's."""
    for i, (_, own) in enumerate(subject.headers, start=1):
        if own == digest and i < len(subject.headers):
            return Subject(subject.token_uid, subject.headers[:i], subject.signatures[:i])
    return subject
