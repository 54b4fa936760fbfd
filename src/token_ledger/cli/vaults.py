"""Commands on vaults: account claim."""

from __future__ import annotations

import re
from pathlib import Path

import click

from token_ledger.cli.app import (
    ADDRESS,
    FILE,
    App,
    LedgerCommand,
    need_rpc,
    pass_app,
    print_json,
    rpc_option,
)
from token_ledger.cli.book import account
from token_ledger.cli.keys import GAS_KEY, keystore_options, open_gas_payer, open_sealer
from token_ledger.core.address import to_checksum
from token_ledger.core.strict import to_hex
from token_ledger.errors import FileFormatError, UsageError

_SIGNATURE_CHARACTERS_MAX = 140_000
_SIGNATURE = re.compile(r"0x(?:[0-9a-fA-F]{2})+", re.ASCII)


@account.command(
    "claim",
    cls=LedgerCommand,
    epilog=f"Gas is paid by the key in {GAS_KEY}, or by the node's own first account (Anvil). The "
    "key that signs must be the operator's.",
)
@click.argument("account_id", metavar="ID")
@click.option(
    "--owner", type=ADDRESS, metavar="0x…", required=True, help="Whose the vault will be."
)
@rpc_option
@click.option(
    "--unsigned",
    is_flag=True,
    help="Print the claim for a wallet or a Safe to sign (EIP-712); send nothing.",
)
@click.option(
    "--signature",
    "signature_file",
    type=FILE,
    metavar="FILE",
    help="A signature made elsewhere, as 0x-hex; a Safe's counts by ERC-1271. Needs --expiry.",
)
@click.option("--expiry", type=int, metavar="SECONDS", help="Until when it counts, since 1970.")
@keystore_options
@pass_app
def claim(
    app: App,
    /,
    *,
    account_id: str,
    owner: bytes,
    rpc_url: str | None,
    unsigned: bool,
    signature_file: Path | None,
    expiry: int | None,
    keystore: Path | None,
    password_file: Path | None,
) -> None:
    """Give the vault at an account's derived address to its owner.

    The operator signs, the vault is deployed at exactly that address, and from then on it obeys
    its owner alone. What was sent there before is his: `execute` of the vault moves it. Run again
    it changes nothing.
    """
    from token_ledger.claim import claim as run_claim

    url = need_rpc(rpc_url)
    if unsigned and signature_file is not None:
        raise UsageError(
            "--unsigned and --signature do not go together", hint="one, then the other"
        )
    if unsigned:
        _print_unsigned(app, url, account_id, owner, expiry)
        return
    signature = None if signature_file is None else _read_signature(signature_file)
    operator = None if signature is not None else open_sealer(app, keystore, password_file)
    with app.open_ledger() as ledger:
        done = run_claim(
            ledger,
            url,
            account_id,
            owner=owner,
            operator=operator,
            signature=signature,
            expiry=expiry,
            gas_signer=open_gas_payer(),
        )
    made = "just now" if done.tx_hash is not None else "already"
    app.answer(
        done.to_json(),
        lambda screen: screen.pairs(
            [
                ("vault", to_checksum(done.claim.vault)),
                ("owner", f"{to_checksum(done.claim.owner)}, {made}"),
                ("chain", done.claim.chain_id),
                ("transaction", None if done.tx_hash is None else to_hex(done.tx_hash)),
                ("factory", "deployed on the way" if done.factory_deployed else None),
            ]
        ),
    )


def _print_unsigned(app: App, url: str, account_id: str, owner: bytes, expiry: int | None) -> None:
    from token_ledger.claim import unsigned

    with app.open_ledger() as ledger:
        made = unsigned(ledger, url, account_id, owner=owner, expiry=expiry)
    print_json({"typed_data": made.typed_data(), "digest": to_hex(made.digest)})


def _read_signature(path: Path) -> bytes:
    with path.open(encoding="ascii", errors="replace") as file:
        text = file.read(_SIGNATURE_CHARACTERS_MAX).strip()
    if not _SIGNATURE.fullmatch(text):
        raise FileFormatError(f"{path} holds no signature", hint="0x and hexadecimal digits")
    return bytes.fromhex(text[2:])
