"""Commands that make or mend a ledger as a whole: init, upgrade, status, demo."""

from __future__ import annotations

import contextlib
import shlex
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from token_ledger.cli.app import (
    ADDRESS,
    FILE,
    HASH32,
    App,
    LedgerCommand,
    beside_database,
    pass_app,
)
from token_ledger.cli.outcome import FINDINGS, GOOD
from token_ledger.cli.screen import Screen
from token_ledger.core.address import to_checksum
from token_ledger.core.counting import counted
from token_ledger.core.parse import format_amount
from token_ledger.core.strict import to_hex
from token_ledger.errors import DatabaseError, TokenLedgerError, UsageError

if TYPE_CHECKING:
    from token_ledger.demo import Step
    from token_ledger.ledger import Ledger
    from token_ledger.status import Status

KEYSTORE_SUFFIX = ".operator.json"
PASSWORD_SUFFIX = ".operator.password"  # noqa: S105 — the end of a file name


@click.command(cls=LedgerCommand)
@click.option("--symbol", metavar="S", required=True, help="At most 31 bytes, as in RSC.")
@click.option("--name", metavar="N", required=True, help="At most 31 bytes.")
@click.option("--decimals", metavar="D", type=int, required=True, help="0 to 77; 18 is usual.")
@click.option(
    "--operator",
    type=ADDRESS,
    metavar="0x…",
    help="Whom every derived vault obeys, an EOA or a Safe. Without it a new key is made.",
)
@click.option("--ledger-uid", type=HASH32, metavar="HEX32", help="By default a random one.")
@click.option(
    "--secret-file", metavar="FILE", help="Keep the ledger's secret here, not in the database."
)
@click.option("--max-supply", metavar="A", help="The supply's ceiling, in whole tokens.")
@pass_app
def init(
    app: App,
    /,
    *,
    symbol: str,
    name: str,
    decimals: int,
    operator: bytes | None,
    ledger_uid: bytes | None,
    secret_file: str | None,
    max_supply: str | None,
) -> None:
    """Make a database with a ledger and its token.

    Without --operator a new key is written beside the database, as NAME.operator.json, encrypted
    with a random password in NAME.operator.password. Both are mode 0600. Before the ledger holds
    anything of value, move the password elsewhere and keep a copy of both. A ledger or a key that
    is there already is never overwritten.
    """
    from token_ledger.ledger import Ledger, TokenTerms

    app.secret_file = secret_file or app.secret_file
    keys = [] if operator is not None else _key_files(app)
    address = operator if operator is not None else _create_key(app, keys)
    try:
        ledger = Ledger.create(
            app.db,
            operator=address,
            ledger_uid=ledger_uid,
            secret_file=app.secret_file,
            token=TokenTerms(symbol, name, decimals, max_supply),
        )
    except TokenLedgerError:  # nothing was made: a key that obeys nobody would be in the way
        for path in keys:
            path.unlink()
        raise
    with ledger:
        _answer_init(app, ledger, keys)


def _key_files(app: App) -> list[Path]:
    return [beside_database(app.db, suffix) for suffix in (KEYSTORE_SUFFIX, PASSWORD_SUFFIX)]


def _create_key(app: App, keys: list[Path]) -> bytes:
    from token_ledger.chain.signer import create_keystore

    folder = keys[0].parent
    if not folder.is_dir():
        raise UsageError(
            f"there is no directory {folder} for the database and its key",
            hint="make it, or name another with --db",
        )
    if any(path.exists() for path in keys):
        with contextlib.suppress(DatabaseError), app.open_ledger():
            raise UsageError(
                "the database holds a ledger already", hint="open it, or name another with --db"
            )
    return create_keystore(*keys)


def _answer_init(app: App, ledger: Ledger, keys: list[Path]) -> None:
    token = ledger.token
    document: dict[str, Any] = {
        "ledger_uid": to_hex(ledger.ledger_uid),
        "operator": to_checksum(ledger.operator),
        "token": {
            "symbol": token.symbol,
            "name": token.name,
            "decimals": token.decimals,
            "uid": to_hex(token.uid),
            "max_supply": format_amount(token.max_supply, decimals=token.decimals),
        },
        "keystore": str(keys[0]) if keys else None,
        "password_file": str(keys[1]) if keys else None,
    }

    def view(screen: Screen) -> None:
        screen.pairs(
            [
                ("token", f"{token.symbol} ({token.name}), {token.decimals} decimals"),
                ("token uid", document["token"]["uid"]),
                ("ledger uid", document["ledger_uid"]),
                ("operator", document["operator"]),
                ("keystore", document["keystore"]),
                ("password", document["password_file"]),
            ]
        )
        if keys:
            screen.line()
            screen.line(
                "Before the ledger holds anything of value, move the password file elsewhere and "
                "keep a copy of both: whoever has the two can sign for every vault."
            )

    app.answer(document, view)


@click.command(cls=LedgerCommand)
@pass_app
def upgrade(app: App, /) -> None:
    """Bring the database to this release's schema. Back it up first."""
    from token_ledger.ledger import upgrade as upgrade_schema

    version = upgrade_schema(app.db)
    app.answer({"schema": version}, lambda screen: screen.pairs([("schema", version)]))


@click.command(cls=LedgerCommand)
@pass_app
def status(app: App, /) -> int:
    """Show what waits to be sealed, signed and replayed, the heads, and any drift.

    Asks no node: chains are shown as they were imported last. The exit status is 1 when balances
    and supply have drifted apart, or a chain's head is none of the ledger's.
    """
    from token_ledger.status import status as run_status

    with app.open_ledger() as ledger:
        found = run_status(ledger)
    sound = found.drift == 0 and all(chain.ours for chain in found.chains)
    app.answer(found.to_json(), lambda screen: _show_status(screen, found))
    return GOOD if sound else FINDINGS


def _home(found: Status) -> str | None:
    home = found.home
    if home is None:
        return None
    stopped = ", and cannot go on: see import" if home.stopped else ""
    return f"chain {home.chain_id}: entries of the blocks below {home.next_block}{stopped}"


def _show_status(screen: Screen, found: Status) -> None:
    def human(value: int) -> str:
        return f"{format_amount(value, decimals=found.decimals)} {found.symbol}"

    screen.pairs(
        [
            ("supply", human(found.total_supply)),
            ("drift", f"{human(found.drift)}: ALARM" if found.drift else "none"),
            ("entries", f"{found.entries}, {found.unsealed} not sealed"),
            ("batches", f"{found.batches}, {found.unsigned} not signed"),
            ("not replayed", counted(found.unreplayed, "batch")),
            ("lives on", _home(found)),
            ("head", f"{found.head.number} {to_hex(found.head.digest)}"),
            ("operator", to_checksum(found.operator)),
            ("token uid", to_hex(found.token_uid)),
            ("ledger uid", to_hex(found.ledger_uid)),
        ]
    )
    for chain in found.chains:
        digest = "" if chain.digest is None else f" {to_hex(chain.digest)}"
        foreign = "" if chain.ours else ": NOT THIS LEDGER'S"
        screen.pairs(
            [
                (f"chain {chain.chain_id}", to_checksum(chain.contract)),
                ("  head", f"{chain.number}{digest}{foreign}"),
            ]
        )


@click.command(cls=LedgerCommand)
@click.option(
    "--dir", "directory", type=FILE, metavar="DIR", help="Where its files go; must be new or empty."
)
@pass_app
def demo(app: App, /, *, directory: Path | None) -> int:
    """Run the whole path on made-up data, on SQLite and a local Anvil, and catch two frauds."""
    from token_ledger.demo import demo as run_demo

    root = directory or Path(tempfile.mkdtemp(prefix="token-ledger-demo-"))
    screen = Screen()

    def tell(step: Step) -> None:
        if not app.json:
            is_command = not step.command.startswith("fraud ")
            shown = f"$ token-ledger {step.command}" if is_command else step.command
            screen.line(shown, style="bold")
            screen.line(f"  {step.outcome}")

    result = run_demo(root, tell)
    document = {**result.to_json(), "directory": str(root)}
    verdict = "everything held, and both frauds were caught" if result.good else "something FAILED"

    def view(screen: Screen) -> None:
        screen.line()
        screen.line(verdict, style="bold green" if result.good else "bold red")
        screen.line(f"its files: {shlex.quote(str(root))}")

    app.answer(document, view)
    return GOOD if result.good else FINDINGS


COMMANDS = (init, upgrade, status, demo)
