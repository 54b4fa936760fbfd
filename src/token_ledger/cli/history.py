"""Commands on the sealed history: seal, sign, export, verify, prove."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from token_ledger.cli.app import (
    ADDRESS,
    FILE,
    HASH32,
    App,
    LedgerCommand,
    nodes_of,
    pass_app,
    rpc_option,
    rpcs_option,
)
from token_ledger.cli.keys import keystore_options, open_sealer
from token_ledger.cli.outcome import FAILED, FINDINGS, GOOD
from token_ledger.cli.progress import ProgressReport
from token_ledger.cli.screen import Screen
from token_ledger.core.address import to_checksum
from token_ledger.core.counting import counted, filled
from token_ledger.core.strict import encode, to_hex
from token_ledger.errors import UsageError
from token_ledger.wholefile import write_whole

if TYPE_CHECKING:
    from token_ledger.core.verification import Report


@click.command(cls=LedgerCommand)
@click.option("--sign", "sign_too", is_flag=True, help="Sign what is unsigned as well.")
@keystore_options
@pass_app
def seal(app: App, /, *, sign_too: bool, keystore: Path | None, password_file: Path | None) -> None:
    """Turn everything posted since the last batch into batches, each fit for one replay."""
    from token_ledger.seal import seal as run_seal
    from token_ledger.sign import sign as run_sign

    if not sign_too and (keystore or password_file):
        raise UsageError("--keystore is for signing", hint="add --sign, or leave it away")
    signer = open_sealer(app, keystore, password_file) if sign_too else None
    with app.open_ledger() as ledger, ProgressReport() as progress:
        result = run_seal(ledger, progress=progress)
        signed = run_sign(ledger, signer, progress=progress) if signer is not None else None
    document: dict[str, Any] = {**result.to_json(), **(signed.to_json() if signed else {})}
    app.answer(
        document,
        lambda screen: screen.pairs(
            [
                ("sealed", filled(result.entries, result.batches)),
                ("head", f"{result.head_number} {to_hex(result.head_digest)}"),
                ("signed", f"{signed.signed} by {to_checksum(signed.signer)}" if signed else None),
            ]
        ),
    )


@click.command(cls=LedgerCommand)
@click.argument("batches", metavar="[BATCH]…", type=int, nargs=-1)
@keystore_options
@click.option(
    "--sealer", type=ADDRESS, metavar="0x…", help="Who must sign; the operator by default."
)
@click.option(
    "--signature",
    type=FILE,
    metavar="FILE",
    help="0x-hex of a signature of one BATCH made elsewhere: by a wallet, or a Safe (with --rpc).",
)
@rpc_option
@pass_app
def sign(
    app: App,
    /,
    *,
    batches: tuple[int, ...],
    keystore: Path | None,
    password_file: Path | None,
    sealer: bytes | None,
    signature: Path | None,
    rpc_url: str | None,
) -> None:
    """Sign batch headers: those named, or all that this key has not signed."""
    from token_ledger.sign import add_signature
    from token_ledger.sign import sign as run_sign

    if signature is None:
        signer = open_sealer(app, keystore, password_file)
        with app.open_ledger() as ledger, ProgressReport() as progress:
            result = run_sign(
                ledger, signer, sealer=sealer, numbers=batches or None, progress=progress
            )
    else:
        if len(batches) != 1:
            raise UsageError("a signature belongs to one batch", hint="name that batch")
        data = _read_signature(signature)
        with app.open_ledger() as ledger:
            result = add_signature(ledger, batches[0], data, sealer=sealer, rpc_url=rpc_url)
    app.answer(
        result.to_json(),
        lambda screen: screen.pairs(
            [("signed", counted(result.signed, "batch")), ("signer", to_checksum(result.signer))]
        ),
    )


def _read_signature(path: Path) -> bytes:
    try:
        return bytes.fromhex(path.read_text(encoding="ascii").strip().removeprefix("0x"))
    except (OSError, ValueError):
        raise UsageError(f"{path} holds no signature", hint="0x and hexadecimal digits") from None


@click.command(cls=LedgerCommand)
@click.argument("directory", metavar="DIR", type=FILE)
@pass_app
def export(app: App, /, *, directory: Path) -> None:
    """Write the sealed batches as files that need no database. Again, it adds what is new."""
    from token_ledger.export import export as run_export

    with app.open_ledger() as ledger, ProgressReport() as progress:
        result = run_export(ledger, directory, progress=progress)
    app.answer(
        result.to_json(),
        lambda screen: screen.pairs(
            [
                ("export", result.path),
                ("holds", filled(result.entries, result.batches)),
                ("written", counted(result.written, "batch file")),
                ("head", f"{result.head_number} {to_hex(result.head_digest)}"),
            ]
        ),
    )


@click.command(cls=LedgerCommand)
@click.argument("path", metavar="PATH", type=FILE)
@click.option("--digest", type=HASH32, metavar="0x…", help="The head's digest, known elsewhere.")
@click.option("--signer", type=ADDRESS, metavar="0x…", help="The sealer's address.")
@click.option(
    "--former-signer",
    "former_signers",
    type=ADDRESS,
    multiple=True,
    metavar="0x…",
    help="A sealer of earlier batches, where it was changed; may be repeated.",
)
@click.option("--against", type=FILE, metavar="EXPORT", help="An export that is anchored itself.")
@rpcs_option
@click.option("--contract", type=ADDRESS, metavar="0x…", help="The token on the chain of --rpc.")
@click.option("--unanchored", is_flag=True, help="Accept a file that is only self-consistent.")
@pass_app
def verify(
    app: App,
    /,
    *,
    path: Path,
    digest: bytes | None,
    signer: bytes | None,
    former_signers: tuple[bytes, ...],
    against: Path | None,
    rpc_urls: tuple[str, ...],
    contract: bytes | None,
    unanchored: bool,
) -> int:
    """Check a proof, a batch file or an export: needs no database and trusts nobody.

    Anybody can make a self-consistent file, so an anchor is demanded: without one the verdict is
    NOT ANCHORED and the exit status 2.
    """
    from token_ledger.verify import Anchors
    from token_ledger.verify import verify as run_verify

    if contract is None and _from_environment("rpc_urls"):
        rpc_urls = ()  # a node that is merely configured is no wish to ask it
    with ProgressReport() as progress:
        urls = nodes_of(rpc_urls)
        anchors = Anchors(digest, signer, against, urls, contract, former_signers)
        report = run_verify(path, anchors, progress=progress)
    verdict, status = _verdict(report, unanchored=unanchored)
    document = {
        "kind": report.kind,
        "verdict": verdict,
        "checks": [
            {"name": check.name, "status": check.status, "detail": check.detail}
            for check in report.checks
        ],
        "anchors": report.anchors,
        "findings": [finding.to_json() for finding in report.findings],
    }
    app.answer(document, lambda screen: _show_report(screen, report, verdict))
    return status


def _from_environment(name: str) -> bool:
    source = click.get_current_context().get_parameter_source(name)
    return source is click.core.ParameterSource.ENVIRONMENT


def _verdict(report: Report, *, unanchored: bool) -> tuple[str, int]:
    if not report.consistent:
        return "FAILED", FINDINGS
    if report.anchored:
        return "VERIFIED", GOOD
    return ("CONSISTENT, NOT ANCHORED", GOOD) if unanchored else ("NOT ANCHORED", FAILED)


def _show_report(screen: Screen, report: Report, verdict: str) -> None:
    screen.table(
        ["check", "status", "what"],
        [[check.name, check.status, check.detail] for check in report.checks],
    )
    for finding in report.findings:
        screen.finding(finding)
    screen.line()
    by = f" by {', '.join(report.anchors)}" if verdict == "VERIFIED" else ""
    screen.line(f"{verdict}{by}", style="bold green" if verdict == "VERIFIED" else "bold red")
    if verdict == "NOT ANCHORED":
        screen.line(
            "The file agrees with itself, as any forger's would. Anchor it with --digest, "
            "--signer, --against, or --rpc and --contract; --unanchored accepts it as it is."
        )


@click.command(cls=LedgerCommand)
@click.argument("entry_id", metavar="ENTRY_ID", type=HASH32)
@click.option("-o", "--output", type=FILE, metavar="FILE", help="By default standard output.")
@click.option(
    "--open", "open_texts", is_flag=True, help="Carry the texts too: they may be personal data."
)
@pass_app
def prove(app: App, /, *, entry_id: bytes, output: Path | None, open_texts: bool) -> None:
    """Write the proof that one entry stands in the sealed history, for anybody to verify."""
    from token_ledger.core.files import proof_to_json
    from token_ledger.prove import prove as run_prove

    with app.open_ledger() as ledger:
        proof = run_prove(ledger, entry_id, open_texts=open_texts)
    data = encode(proof_to_json(proof))
    if output is None:
        sys.stdout.write(data.decode("utf-8"))
        return
    _write(output, data)
    document = {
        "path": str(output),
        "id": to_hex(proof.entry.id),
        "seq": proof.entry.seq,
        "batch": proof.header.number,
        "digest": to_hex(proof.digest),
        "hashes": len(proof.path),
        "signed": proof.signature is not None,
    }
    app.answer(
        document,
        lambda screen: screen.pairs(
            [
                ("proof", output),
                ("entry", f"{proof.entry.seq} of batch {proof.header.number}"),
                ("digest", document["digest"]),
                ("hashes", len(proof.path)),
                ("signed", "yes" if proof.signature else "no: sign the batch, then prove again"),
            ]
        ),
    )


def _write(path: Path, data: bytes) -> None:
    """Write a whole file or nothing. Raises UsageError."""
    try:
        write_whole(path, data)
    except OSError as error:
        why = (error.strerror or type(error).__name__).lower()
        raise UsageError(
            f"cannot write {path}: {why}", hint="name a file in a directory that you may write"
        ) from None


COMMANDS = (seal, sign, export, verify, prove)
