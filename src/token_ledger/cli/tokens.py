"""Commands on a ledger's tokens: it may hold several, each with entries and batches of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from token_ledger.cli.app import ADDRESS, App, LedgerGroup, need_rpc, pass_app, rpc_option
from token_ledger.core.parse import format_amount
from token_ledger.core.strict import to_hex
from token_ledger.errors import UsageError

if TYPE_CHECKING:
    from token_ledger.ledger import StoredToken


@click.group(cls=LedgerGroup)
def token() -> None:
    """Make and list tokens: a ledger may hold several, and --token says which one is meant."""


@token.command("create")
@click.option("--symbol", metavar="S", help="At most 31 bytes, as in RSC.")
@click.option("--name", metavar="N", help="At most 31 bytes.")
@click.option("--decimals", metavar="D", type=int, help="0 to 77; 18 is usual.")
@click.option("--max-supply", metavar="A", help="The supply's ceiling, in whole tokens.")
@click.option(
    "--on-chain",
    "contract",
    type=ADDRESS,
    metavar="0x…",
    help="An ERC-20 that is on a chain already: `import` makes entries of its transfers.",
)
@click.option("--from-block", type=int, metavar="N", help="With --on-chain: where its logs begin.")
@rpc_option
@pass_app
def token_create(
    app: App,
    /,
    *,
    symbol: str | None,
    name: str | None,
    decimals: int | None,
    max_supply: str | None,
    contract: bytes | None,
    from_block: int | None,
    rpc_url: str | None,
) -> None:
    """Make one more token. Every command then needs --token, or TOKEN_LEDGER_TOKEN.

    Of a token --on-chain the contract says symbol, name and decimals itself. The chain moves it,
    never the application: its books are what `import` brings.
    """
    app.token = None  # one that is meant elsewhere
    if contract is None and (symbol is None or name is None or decimals is None):
        raise UsageError("a token has a symbol, a name and decimals", hint="give all three")
    if contract is None and from_block is not None:
        raise UsageError("--from-block goes with --on-chain")
    if contract is not None and max_supply is not None:
        raise UsageError("the chain issues a token --on-chain", hint="leave --max-supply away")
    with app.open_ledger() as ledger:
        if contract is None:
            assert symbol is not None and name is not None and decimals is not None
            made = ledger.create_token(symbol, name, decimals, max_supply)
        else:
            from token_ledger.adopt import adopt

            made = adopt(
                ledger,
                need_rpc(rpc_url),
                contract,
                symbol=symbol,
                name=name,
                decimals=decimals,
                from_block=from_block,
            )
    document = _token_json(made)
    app.answer(
        document,
        lambda screen: screen.pairs(
            [
                ("token", f"{made.symbol}: {made.name}, {made.decimals} decimals"),
                ("uid", document["uid"]),
                ("maximum", document["max_supply"]),
            ]
        ),
    )


@token.command("list")
@pass_app
def token_list(app: App, /) -> None:
    """List the ledger's tokens, oldest first."""
    app.token = None
    with app.open_ledger() as ledger:
        tokens = ledger.tokens()
    app.answer(
        {"tokens": [_token_json(token) for token in tokens]},
        lambda screen: screen.table(
            ["token", "decimals", "name", "uid"],
            [[t.symbol, t.decimals, t.name, to_hex(t.uid)] for t in tokens],
            right=["decimals"],
            whole="uid",
        ),
    )


def _token_json(token: StoredToken) -> dict[str, Any]:
    return {
        "symbol": token.symbol,
        "name": token.name,
        "decimals": token.decimals,
        "uid": to_hex(token.uid),
        "max_supply": format_amount(token.max_supply, decimals=token.decimals),
        "canonical_chain_id": token.canonical_chain_id,
    }


COMMANDS = (token,)
