"""Commands on transactions as files: sign-offline without a network, broadcast without a key."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from token_ledger.cli.app import (
    ADDRESS,
    FILE,
    App,
    LedgerCommand,
    need_rpc,
    pass_app,
    rpc_option,
)
from token_ledger.cli.keys import GAS_KEY, keystore_options, open_keystore
from token_ledger.cli.progress import ProgressReport
from token_ledger.core.address import to_checksum
from token_ledger.core.forecast import ether
from token_ledger.core.strict import decode, encode
from token_ledger.wholefile import write_whole

if TYPE_CHECKING:
    from token_ledger.chain.signer import Signer
    from token_ledger.core.outbox import UnsignedFile

_FILE_BYTES_MAX = 1 << 30


def _read(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return decode(file.read(_FILE_BYTES_MAX))


@click.command(
    "sign-offline",
    cls=LedgerCommand,
    epilog=f"Without --keystore the key in {GAS_KEY} signs. Needs neither network nor database.",
)
@click.argument("unsigned", type=FILE, metavar="FILE")
@click.option(
    "-o", "--output", type=FILE, metavar="FILE", required=True, help="Signed ones go here."
)
@click.option("--chain-id", type=int, metavar="N", help="Sign only for this chain.")
@click.option("--contract", type=ADDRESS, metavar="0x…", help="Sign only for this contract.")
@click.option(
    "--destination",
    type=ADDRESS,
    metavar="0x…",
    help="Where a sweep may go: no other destination is signed.",
)
@click.option(
    "--finalize",
    is_flag=True,
    help="Sign the cut-over, which cannot be undone. It must be all that the file holds. Needs "
    "--chain-id and --contract.",
)
@keystore_options
@pass_app
def sign_offline(
    app: App,
    /,
    *,
    unsigned: Path,
    output: Path,
    chain_id: int | None,
    contract: bytes | None,
    destination: bytes | None,
    finalize: bool,
    keystore: Path | None,
    password_file: Path | None,
) -> None:
    """Sign what `--unsigned` of a command wrote, on a machine that has the key and no network.

    Only what those commands send is signed: deployments of this release's contracts, claims of
    vaults, and replay, anchor, open, claim and sweep of one contract; finalize only with
    --finalize. Anything else in the file is refused. What it tells of each transaction is read
    from what is signed, not from the file's own words on it.
    """
    from token_ledger.compose import sign_file
    from token_ledger.core.outbox import read_unsigned

    file = read_unsigned(_read(unsigned))
    signer: Signer = open_keystore(GAS_KEY, keystore, password_file)
    signed = sign_file(
        file,
        signer,
        chain_id=chain_id,
        contract=contract,
        destination=destination,
        finalize=finalize,
    )
    write_whole(output, encode(signed.to_json()))
    _tell_signed(app, file, output)


def _tell_signed(app: App, file: UnsignedFile, output: Path) -> None:
    from token_ledger.chain.calls import described

    calls = [(t.nonce, described(t.call.to, t.call.data)) for t in file.transactions]
    first, last = file.transactions[0].nonce, file.transactions[-1].nonce
    document = {
        "chain_id": file.chain_id,
        "from": to_checksum(file.payer),
        "transactions": len(file.transactions),
        "nonces": [first, last],
        "calls": [what for _, what in calls],
        "cost_max_ether": ether(file.cost_max_wei),
        "file": str(output),
    }
    app.answer(
        document,
        lambda screen: screen.pairs(
            [
                ("chain", file.chain_id),
                ("from", document["from"]),
                ("signed", f"{len(file.transactions)}, nonces {first} to {last}"),
                *((f"nonce {nonce}", what) for nonce, what in calls),
                ("costs at most", f"{document['cost_max_ether']} ether"),
                ("written", output),
            ]
        ),
    )


@click.command(cls=LedgerCommand)
@click.argument("signed", type=FILE, metavar="FILE")
@rpc_option
@pass_app
def broadcast(app: App, /, *, signed: Path, rpc_url: str | None) -> None:
    """Send what `sign-offline` signed, in order, and wait until it is mined.

    Needs no key and no database. Run again it sends only what is missing.
    """
    from token_ledger.broadcast import broadcast as run_broadcast
    from token_ledger.core.outbox import read_signed

    url = need_rpc(rpc_url)
    file = read_signed(_read(signed))
    with ProgressReport() as progress:
        done = run_broadcast(file, url, progress=progress)
    app.answer(
        done.to_json(),
        lambda screen: screen.pairs(
            [
                ("chain", done.chain_id),
                ("from", to_checksum(done.payer)),
                ("sent", done.sent),
                ("known", done.known or None),
                ("gas", f"{done.gas_used:,}"),
            ]
        ),
    )


COMMANDS = (sign_offline, broadcast)
