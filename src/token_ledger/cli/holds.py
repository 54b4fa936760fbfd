"""Commands on holds: set aside, capture, release, expire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from token_ledger.cli.app import App, LedgerCommand, LedgerGroup, pass_app
from token_ledger.cli.post import answer_posted, human
from token_ledger.core.parse import format_timestamp
from token_ledger.core.strict import to_hex

if TYPE_CHECKING:
    from token_ledger.ledger.holds import Hold


def _json(hold: Hold) -> dict[str, Any]:
    expires = hold.expires_at
    return {
        "id": to_hex(hold.id),
        "account_id": hold.account_id,
        "amount": human(hold.value, hold.decimals),
        "remaining": hold.amount,
        "captured": human(hold.captured, hold.decimals),
        "expires_at": None if expires is None else format_timestamp(expires),
        "ended": hold.released_at is not None or not hold.remaining,
    }


@click.command("hold", cls=LedgerCommand)
@click.argument("account_id", metavar="ID")
@click.argument("amount", metavar="AMOUNT")
@click.option("--expires", metavar="ISO8601", help="When it goes back, with a zone; else never.")
@click.option("--reason", metavar="R", default="hold", show_default=True, help="Why.")
@click.option("--key", metavar="K", help="Idempotency key; by default fresh.")
@click.option("--memo", metavar="T", default="", help="Free text.")
@pass_app
def hold_command(
    app: App,
    /,
    *,
    account_id: str,
    amount: str,
    expires: str | None,
    reason: str,
    key: str | None,
    memo: str,
) -> None:
    """Set an amount of an account aside. The entry's id is the hold's."""
    with app.open_ledger() as ledger:
        posted = ledger.hold(
            account_id, amount, expires_at=expires, reason=reason, idempotency_key=key, memo=memo
        )
        answer_posted(app, posted, ledger.token.symbol)


@click.command(cls=LedgerCommand)
@click.argument("hold_id", metavar="HOLD_ID")
@click.argument("amount", metavar="[AMOUNT]", required=False)
@click.option("--to", metavar="ID", default="system", show_default=True, help="Who is paid.")
@click.option("--reason", metavar="R", default="capture", show_default=True, help="Why.")
@click.option("--key", metavar="K", help="Idempotency key; by default fresh.")
@click.option("--memo", metavar="T", default="", help="Free text.")
@pass_app
def capture(
    app: App,
    /,
    *,
    hold_id: str,
    amount: str | None,
    to: str,
    reason: str,
    key: str | None,
    memo: str,
) -> None:
    """Pay a held amount, or all that is left of it."""
    with app.open_ledger() as ledger:
        posted = ledger.capture(
            hold_id, amount, to=to, reason=reason, idempotency_key=key, memo=memo
        )
        answer_posted(app, posted, ledger.token.symbol)


@click.command(cls=LedgerCommand)
@click.argument("hold_id", metavar="HOLD_ID")
@click.option("--reason", metavar="R", default="release", show_default=True, help="Why.")
@click.option("--key", metavar="K", help="Idempotency key; by default fresh.")
@click.option("--memo", metavar="T", default="", help="Free text.")
@pass_app
def release(app: App, /, *, hold_id: str, reason: str, key: str | None, memo: str) -> None:
    """Give what is left of a hold back to its holder."""
    with app.open_ledger() as ledger:
        posted = ledger.release(hold_id, reason=reason, idempotency_key=key, memo=memo)
        answer_posted(app, posted, ledger.token.symbol)


@click.group(cls=LedgerGroup)
def holds() -> None:
    """Show holds, and end those that have expired."""


@holds.command("list")
@click.option("--account", metavar="ID", help="Only of this account.")
@pass_app
def holds_list(app: App, /, *, account: str | None) -> None:
    """List the holds that have not ended, oldest first."""
    with app.open_ledger() as ledger:
        found = [_json(hold) for hold in ledger.holds(account)]
    columns = ["account", "remaining", "expires", "id"]
    rows = [[h["account_id"], h["remaining"], h["expires_at"], h["id"]] for h in found]
    app.answer({"holds": found}, lambda screen: screen.table(columns, rows, right=["remaining"]))


@holds.command("show")
@click.argument("hold_id", metavar="HOLD_ID")
@pass_app
def holds_show(app: App, /, *, hold_id: str) -> None:
    """Show one hold, ended or not."""
    with app.open_ledger() as ledger:
        document = _json(ledger.get_hold(hold_id))
    app.answer(
        document,
        lambda screen: screen.pairs((k.replace("_", " "), v) for k, v in document.items()),
    )


@holds.command("expire")
@pass_app
def holds_expire(app: App, /) -> None:
    """Release every hold that has expired."""
    with app.open_ledger() as ledger:
        count = ledger.expire_holds()
    app.answer({"expired": count}, lambda screen: screen.pairs([("holds released", count)]))


COMMANDS = (hold_command, capture, release, holds)
