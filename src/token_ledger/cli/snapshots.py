"""Commands for the other ways onto a chain: snapshot (balances to be claimed) and anchor."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from token_ledger.cli.app import (
    ADDRESS,
    FILE,
    App,
    LedgerCommand,
    LedgerGroup,
    need_rpc,
    pass_app,
    rpc_option,
)
from token_ledger.cli.keys import (
    GAS_KEY,
    keystore_options,
    open_gas_payer,
    open_sealer,
    read_signature,
    write_signature,
)
from token_ledger.cli.outcome import FINDINGS, GOOD
from token_ledger.cli.progress import ProgressReport
from token_ledger.cli.signing import (
    REPLAY_BEGUN,
    Outgoing,
    outgoing_options,
    record_place,
    write_record_at,
)
from token_ledger.core.address import to_checksum
from token_ledger.core.counting import counted
from token_ledger.core.strict import decode, to_hex

if TYPE_CHECKING:
    from token_ledger.anchor import AnchorResult
    from token_ledger.snapshot import SnapshotResult

_EPILOG = f"Gas is paid by the key in {GAS_KEY}, or by the node's own first account (Anvil)."
_PROOF_BYTES_MAX = 1 << 20
_SIGNED = "whoever has the signature can open these claims, even after more was posted"

contract_option = click.option(
    "--contract", type=ADDRESS, metavar="0x…", required=True, help="The snapshot token."
)
record_option = click.option(
    "--record",
    type=FILE,
    metavar="FILE",
    help="Where the deployment record goes; by default beside the database (not of test chains).",
)


@click.group(cls=LedgerGroup)
def snapshot() -> None:
    """Bring the token to a chain by its balances, each claimed by its holder."""


@snapshot.command("take", cls=LedgerCommand)
@click.argument("directory", type=FILE, metavar="DIR")
@click.option(
    "--deadline", type=int, metavar="SECONDS", required=True, help="Last second to claim."
)
@click.option(
    "--chain-id",
    type=click.IntRange(min=1),
    metavar="N",
    help="The chain of the digest, where the books know none yet.",
)
@click.option(
    "--sign",
    type=FILE,
    metavar="FILE",
    help="Write the sealer's signature too: keep it secret.",
)
@keystore_options
@pass_app
def take(
    app: App,
    /,
    *,
    directory: Path,
    deadline: int,
    chain_id: int | None,
    sign: Path | None,
    keystore: Path | None,
    password_file: Path | None,
) -> None:
    """Write the balances at the last sealed batch, and one proof a holder.

    DIR/snapshot.json and DIR/proofs/0x….json; nothing is sent, or signed: that is `publish`'s. The
    proofs are what holders need. The digest, of one chain, is for `publish --signature`: whoever
    has a signature of it can open these claims, even after more was posted. Let it be made last.
    """
    from token_ledger.snapshot import digest_to_sign, write_files
    from token_ledger.snapshot import take as run_take

    with app.open_ledger() as ledger:
        made = run_take(ledger, deadline=deadline)
        digest, known = None, ledger.token.canonical_chain_id is not None
        if sign or chain_id or known:
            digest = digest_to_sign(ledger, made, chain_id)
    if sign is not None and digest is not None:
        signature = open_sealer(app, keystore, password_file).sign_digest(digest)
        write_signature(sign, signature)
    holders = write_files(made, directory)
    shown = None if digest is None else to_hex(digest)
    document = {**made.to_json(), "digest": shown, "directory": str(directory)}
    app.answer(
        document,
        lambda screen: screen.pairs(
            [
                ("batch", made.header.number),
                ("holders", holders),
                ("root", to_hex(made.root)),
                ("digest", shown or "of a chain: name it with --chain-id"),
                ("written", directory),
                ("beware", None if sign is None else f"{_SIGNED}: {sign}"),
            ]
        ),
    )


@snapshot.command("publish", cls=LedgerCommand, epilog=_EPILOG)
@click.option("--deadline", type=int, metavar="SECONDS", required=True, help="As in `take`.")
@click.option(
    "--signature",
    type=FILE,
    metavar="FILE",
    help="0x-hex of a signature of the digest that `take` told: a wallet's, or a Safe's.",
)
@rpc_option
@record_option
@outgoing_options()
@keystore_options
@pass_app
def publish(
    app: App,
    /,
    *,
    deadline: int,
    signature: Path | None,
    rpc_url: str | None,
    record: Path | None,
    to_file: Outgoing,
    keystore: Path | None,
    password_file: Path | None,
) -> int:
    """Create the snapshot token, open its claims, and close the books for ever.

    Nothing may be posted since the last sealed batch. Run again it changes nothing. With
    --safe-json or --unsigned the books are closed and the calls written: run it again when they
    were sent, or `snapshot reopen` to give it up.
    """
    from token_ledger.snapshot import publish as run_publish
    from token_ledger.snapshot import take as run_take

    url = need_rpc(rpc_url)
    sealer = None if signature is not None else open_sealer(app, keystore, password_file)
    with app.open_ledger() as ledger:
        made = run_take(ledger, deadline=deadline, over=True)
        if signature is not None:
            made = replace(made, signature=read_signature(signature))
        if not to_file.wanted:
            place = record_place(app, ledger, url, record, contract="SnapshotToken")
            payer = open_gas_payer()
            done = run_publish(ledger, url, made, sealer=sealer, gas_signer=payer, **to_file.terms)
            write_record_at(ledger, url, place, contract="SnapshotToken")
    if to_file.wanted:
        from token_ledger.outgoing import compose_publish

        return to_file.write_from(
            app, url, lambda ledger: compose_publish(ledger, url, made, sealer=sealer)
        )
    return _tell(app, done, "opened", "already: nothing was sent")


@snapshot.command("reopen", cls=LedgerCommand)
@rpc_option
@click.option(
    "--payer",
    "payers",
    type=ADDRESS,
    metavar="0x…",
    multiple=True,
    help="An account that was given the files, or that executes for a Safe; may be repeated.",
)
@pass_app
def reopen(app: App, /, *, rpc_url: str | None, payers: tuple[bytes, ...]) -> None:
    """Give up a `publish` that was written to a file and never sent: post again.

    Refused while the operator, the key that pays gas, or one of --payer has a transaction on its
    way, or the node shows one that concerns the contract. A signed file that is kept can still be
    sent by anybody: destroy it, and use up its nonce.
    """
    from token_ledger.snapshot import reopen as run_reopen

    url = need_rpc(rpc_url)
    with app.open_ledger() as ledger:
        run_reopen(ledger, url, gas_signer=open_gas_payer(), payers=payers)
        symbol = ledger.token.symbol
    app.answer({"reopened": symbol}, lambda screen: screen.pairs([("reopened", symbol)]))


@snapshot.command("claim", cls=LedgerCommand, epilog=_EPILOG)
@click.argument("proof", type=FILE, metavar="FILE")
@contract_option
@rpc_option
@outgoing_options()
@pass_app
def claim(
    app: App, /, *, proof: Path, contract: bytes, rpc_url: str | None, to_file: Outgoing
) -> int:
    """Give a holder the balance that a proof file names. Needs no ledger; anybody may."""
    from token_ledger.snapshot import claim as run_claim

    url = need_rpc(rpc_url)
    with proof.open("rb") as file:
        document = decode(file.read(_PROOF_BYTES_MAX))
    if to_file.wanted:
        from token_ledger.outgoing import compose_snapshot_claim

        made = compose_snapshot_claim(url, contract, document)
        return to_file.write(app, url, made, name="snapshot claim")
    done = run_claim(url, contract, document, gas_signer=open_gas_payer(), **to_file.terms)
    return _tell(app, done, "claimed", "already: nothing was sent")


@snapshot.command("sweep", cls=LedgerCommand, epilog=_EPILOG)
@contract_option
@click.option(
    "--to", "destination", type=ADDRESS, metavar="0x…", help="Name it first, as the operator."
)
@rpc_option
@outgoing_options()
@keystore_options
@pass_app
def sweep(
    app: App,
    /,
    *,
    contract: bytes,
    destination: bytes | None,
    rpc_url: str | None,
    to_file: Outgoing,
    keystore: Path | None,
    password_file: Path | None,
) -> int:
    """Mint what nobody claimed until the deadline to where the operator said."""
    from token_ledger.snapshot import sweep as run_sweep

    url = need_rpc(rpc_url)
    if to_file.wanted:
        from token_ledger.outgoing import compose_sweep

        made = compose_sweep(url, contract, destination=destination, payer=to_file.payer)
        return to_file.write(app, url, made, name="snapshot sweep")
    admin = None if destination is None else open_sealer(app, keystore, password_file)
    done = run_sweep(
        url,
        contract,
        destination=destination,
        admin=admin,
        gas_signer=open_gas_payer(),
        **to_file.terms,
    )
    return _tell(app, done, "swept", "already: nothing is left unclaimed")


def _tell(app: App, done: SnapshotResult, what: str, already: str) -> int:
    said = already if done.tx_hash is None else to_hex(done.tx_hash)
    app.answer(
        done.to_json()
        | ({"replay_begun": True} if done.replay_begun else {})
        | ({"stranded": done.stranded} if done.stranded else {}),
        lambda screen: screen.pairs(
            [
                ("contract", to_checksum(done.contract)),
                ("chain", done.chain_id),
                (what, said),
                ("stranded", counted(done.stranded, "entry") if done.stranded else None),
                ("gas", f"{done.gas_used:,}"),
                ("beware", REPLAY_BEGUN if done.replay_begun else None),
            ]
        ),
    )
    return FINDINGS if done.stranded else GOOD


@click.command(cls=LedgerCommand, epilog=_EPILOG)
@rpc_option
@record_option
@outgoing_options()
@pass_app
def anchor(app: App, /, *, rpc_url: str | None, record: Path | None, to_file: Outgoing) -> int:
    """Put the headers of sealed batches into a registry on a chain: tamper evidence, no coin.

    Goes on from where the registry stands. `verify --rpc --contract` accepts it as an anchor.
    """
    from token_ledger.anchor import anchor as run_anchor

    url = need_rpc(rpc_url)
    if to_file.wanted:
        from token_ledger.outgoing import compose_anchor

        return to_file.write_from(app, url, lambda ledger: compose_anchor(ledger, url))
    payer = open_gas_payer()
    with app.open_ledger() as ledger, ProgressReport() as progress:
        place = record_place(app, ledger, url, record, contract="HeaderRegistry")
        done = run_anchor(ledger, url, gas_signer=payer, progress=progress, **to_file.terms)
        write_record_at(ledger, url, place, contract="HeaderRegistry")
    app.answer(
        done.to_json(),
        lambda screen: screen.pairs(
            [
                ("registry", to_checksum(done.registry)),
                ("chain", done.chain_id),
                ("anchored", _anchored(done)),
                ("gas", f"{done.gas_used:,}"),
            ]
        ),
    )
    return GOOD


def _anchored(done: AnchorResult) -> str:
    if not done.headers:
        return f"nothing: the registry stands at {done.head_number} already"
    return f"{counted(done.headers, 'header')}, up to {done.head_number}"


COMMANDS = (snapshot, anchor)
