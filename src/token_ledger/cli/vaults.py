"""Commands on vaults: account claim."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
from token_ledger.cli.keys import (
    GAS_KEY,
    keystore_options,
    open_gas_payer,
    open_sealer,
    read_signature,
)
from token_ledger.cli.outcome import GOOD
from token_ledger.cli.signing import Outgoing, outgoing_options
from token_ledger.core.address import to_checksum
from token_ledger.core.strict import to_hex
from token_ledger.errors import UsageError


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
@click.option(
    "--contract-owner", is_flag=True, help="The owner may be a contract: a Safe can act, few can."
)
@outgoing_options(unsigned="--unsigned-tx")
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
    contract_owner: bool,
    to_file: Outgoing,
    keystore: Path | None,
    password_file: Path | None,
) -> int:
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
        told: dict[str, Any] = {"owner": owner, "expiry": expiry, "contract_owner": contract_owner}
        _print_unsigned(app, url, account_id, told)
        return GOOD
    signature = None if signature_file is None else read_signature(signature_file)
    operator = None if signature is not None else open_sealer(app, keystore, password_file)
    words: dict[str, Any] = {
        "owner": owner,
        "operator": operator,
        "signature": signature,
        "expiry": expiry,
        "contract_owner": contract_owner,
    }
    if to_file.wanted:
        from token_ledger.outgoing import compose_vault_claim

        return to_file.write_from(
            app, url, lambda ledger: compose_vault_claim(ledger, url, account_id, **words)
        )
    with app.open_ledger() as ledger:
        done = run_claim(
            ledger,
            url,
            account_id,
            gas_signer=open_gas_payer(),
            **to_file.terms,
            **words,
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
    return GOOD


def _print_unsigned(app: App, url: str, account_id: str, words: dict[str, Any]) -> None:
    from token_ledger.claim import unsigned

    with app.open_ledger() as ledger:
        made = unsigned(ledger, url, account_id, **words)
    print_json({"typed_data": made.typed_data(), "digest": to_hex(made.digest)})
