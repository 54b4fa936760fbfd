"""`serve`, and the keys that open what it serves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from token_ledger.cli.app import App, LedgerCommand, LedgerGroup, pass_app
from token_ledger.core.parse import format_timestamp
from token_ledger.errors import UsageError

if TYPE_CHECKING:
    from token_ledger.cli.screen import Screen


@click.command(cls=LedgerCommand)
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", type=int, default=8000, show_default=True, help="Where to listen.")
@click.option("--public-read", is_flag=True, help="Reading needs no key.")
@pass_app
def serve(app: App, /, *, host: str, port: int, public_read: bool) -> None:
    """Serve the HTTP API (needs `token-ledger[api]`). Keys are made by `key create`."""
    try:
        from token_ledger.api.app import create_app
        from token_ledger.api.app import serve as run
    except ModuleNotFoundError as error:
        hint = "pip install 'token-ledger[api]'"
        raise UsageError(f"{error.name} is not installed", hint=hint) from None
    run(create_app(app.open_ledger(), public_read=public_read), host=host, port=port)


@click.group(cls=LedgerGroup)
def key() -> None:
    """Make, list and revoke the keys of the HTTP API."""


@key.command("create")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice(["read", "write", "mint", "admin"]),
    help="What it opens; may be given several times.",
)
@pass_app
def key_create(app: App, /, *, scopes: tuple[str, ...]) -> None:
    """Make a key and print it, this once: only its hash is kept."""
    from token_ledger.ledger import api_keys

    with app.open_ledger() as ledger:
        made = ledger.run(lambda c: api_keys.create_key(c, scopes, now=ledger.now()))
    key_id = made.split("_")[1]

    def view(screen: Screen) -> None:
        screen.line(made)

    app.answer({"key_id": key_id, "key": made, "scopes": list(scopes)}, view)


@key.command("list")
@pass_app
def key_list(app: App, /) -> None:
    """List the keys by their ids; the keys themselves nobody can read again."""
    from token_ledger.ledger import api_keys

    with app.open_ledger() as ledger, ledger.read() as connection:
        keys = api_keys.list_keys(connection)
    rows = [
        {
            "key_id": k.key_id,
            "scopes": " ".join(k.scopes),
            "created_at": format_timestamp(k.created_at),
            "revoked_at": None if k.revoked_at is None else format_timestamp(k.revoked_at),
        }
        for k in keys
    ]

    def view(screen: Screen) -> None:
        columns = ["key_id", "scopes", "created_at", "revoked_at"]
        screen.table(columns, [[row[c] or "" for c in columns] for row in rows])

    app.answer({"keys": rows}, view)


@key.command("revoke")
@click.argument("key_id", metavar="KEY_ID")
@pass_app
def key_revoke(app: App, /, *, key_id: str) -> None:
    """Make a key open nothing from now on."""
    from token_ledger.ledger import api_keys

    with app.open_ledger() as ledger:
        ledger.run(lambda c: api_keys.revoke_key(c, key_id, now=ledger.now()))
    app.answer({"key_id": key_id, "revoked": True}, lambda s: s.line(f"revoked {key_id}"))


COMMANDS: list[click.Command] = [serve, key]
