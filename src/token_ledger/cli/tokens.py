"""Commands on a ledger's tokens: it may hold several, each with entries and batches of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from token_ledger.cli.app import App, LedgerGroup, pass_app
from token_ledger.core.parse import format_amount
from token_ledger.core.strict import to_hex

if TYPE_CHECKING:
    from token_ledger.ledger import StoredToken


@click.group(cls=LedgerGroup)
def token() -> None:
    """Make and list tokens: a ledger may hold several, and --token says which one is meant."""


@token.command("create")
@click.option("--symbol", metavar="S", required=True, help="At most 31 bytes, as in RSC.")
@click.option("--name", metavar="N", required=True, help="At most 31 bytes.")
@click.option("--decimals", metavar="D", type=int, required=True, help="0 to 77; 18 is usual.")
@click.option("--max-supply", metavar="A", help="The supply's ceiling, in whole tokens.")
@pass_app
def token_create(
    app: App, /, *, symbol: str, name: str, decimals: int, max_supply: str | None
) -> None:
    """Make one more token. Every command then needs --token, or TOKEN_LEDGER_TOKEN."""
    app.token = None  # one that is meant elsewhere
    with app.open_ledger() as ledger:
        made = ledger.create_token(symbol, name, decimals, max_supply)
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
