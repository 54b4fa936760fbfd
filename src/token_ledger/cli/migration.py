"""Commands that bring the token onto the chain: migrate, with its plan and its cut-over."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from token_ledger.cli.app import (
    ADDRESS,
    FILE,
    App,
    LedgerCommand,
    allow_code_option,
    need_rpc,
    pass_app,
    rpc_option,
)
from token_ledger.cli.keys import GAS_KEY, keystore_options, open_gas_payer, open_sealer
from token_ledger.cli.outcome import FINDINGS, GOOD
from token_ledger.cli.progress import ProgressReport
from token_ledger.cli.screen import Screen
from token_ledger.cli.signing import (
    Outgoing,
    max_gas_price_option,
    record_place,
    take_over_option,
    write_record_at,
)
from token_ledger.core.address import to_checksum
from token_ledger.core.counting import counted, filled
from token_ledger.core.strict import to_hex
from token_ledger.errors import UsageError

if TYPE_CHECKING:
    from token_ledger.chain.signer import Signer
    from token_ledger.plan import Plan


_MODES: dict[frozenset[str], frozenset[str]] = {
    frozenset(mode.split()): frozenset(takes.split())
    for mode, takes in (
        ("", "export_dir max_gas_price take_over allow_code part_rows record"),
        ("wants_plan", "gas_prices"),
        ("reopen", ""),
        ("safe_json", "part_rows allow_code"),
        ("unsigned", "payer nonce max_gas_price part_rows allow_code"),
        ("wants_finalize", "max_gas_price take_over keystore password_file"),
        ("wants_finalize unsent", ""),
        ("wants_finalize safe_json", ""),
        ("wants_finalize unsigned", "payer nonce max_gas_price"),
    )
}
"""What makes a mode of `migrate`, and the options that it takes; --rpc goes with all of them."""
_MODE_NAMES = frozenset().union(*_MODES)


@click.command(
    cls=LedgerCommand,
    epilog=f"Gas is paid by the key in {GAS_KEY}, or by the node's own first account (Anvil); "
    "that of --finalize by the operator, whose key is found as the sealer's is.",
)
@rpc_option
@click.option(
    "--from", "export_dir", type=FILE, metavar="DIR", help="Replay an export's batch files."
)
@click.option("--plan", "wants_plan", is_flag=True, help="Only reckon what it would take and cost.")
@click.option(
    "--gas-price",
    "gas_prices",
    metavar="GWEI",
    multiple=True,
    help="With --plan: reckon at this price, not at a table of usual ones. May be repeated.",
)
@click.option(
    "--finalize",
    "wants_finalize",
    is_flag=True,
    help="Cut over: open transfers, close replay and the books, for ever.",
)
@click.option(
    "--unsent",
    is_flag=True,
    help="With --finalize: check and close the books; a Safe or another key sends the call.",
)
@click.option(
    "--safe-json",
    type=FILE,
    metavar="FILE",
    help="Write it for Safe's Transaction Builder, and send nothing.",
)
@click.option(
    "--unsigned",
    type=FILE,
    metavar="FILE",
    help="Write it for `sign-offline`, nonces and fees fixed, and send nothing. Needs --payer.",
)
@click.option("--payer", type=ADDRESS, metavar="0x…", help="Who will sign what --unsigned writes.")
@click.option("--nonce", type=int, metavar="N", help="The first nonce of --unsigned.")
@max_gas_price_option
@take_over_option
@allow_code_option
@click.option(
    "--part-rows",
    type=click.IntRange(min=1),
    metavar="N",
    help="Replay batches of more rows in parts of N; by default only what no transaction holds.",
)
@click.option(
    "--record",
    type=FILE,
    metavar="FILE",
    help="Where the deployment record goes; by default beside the database (not of test chains).",
)
@click.option(
    "--reopen", is_flag=True, help="Give up a --finalize that was begun and not sent: post again."
)
@keystore_options
@pass_app
def migrate(
    app: App,
    /,
    *,
    rpc_url: str | None,
    export_dir: Path | None,
    wants_plan: bool,
    gas_prices: tuple[str, ...],
    wants_finalize: bool,
    unsent: bool,
    safe_json: Path | None,
    unsigned: Path | None,
    payer: bytes | None,
    nonce: int | None,
    max_gas_price: str | None,
    take_over: bool,
    allow_code: tuple[bytes, ...],
    part_rows: int | None,
    record: Path | None,
    reopen: bool,
    keystore: Path | None,
    password_file: Path | None,
) -> int:
    """Deploy the token if need be, and replay what the contract's head lacks.

    Needs sealed and signed batches. Run it again after an interruption: nothing is replayed twice.

    --plan sends nothing: it tells transactions, gas and cost, and the cheaper way where there is
    one. --finalize demands that everything is sealed, replayed, imported and reconciled clean at a
    final block; afterwards the ledger refuses entries that do not come from the chain. Run it
    again until it says that the cut-over is final.

    --safe-json and --unsigned write the transactions instead of sending them (docs/signing.md).
    """
    _check_mode(click.get_current_context())
    to_file = Outgoing(
        safe_json, unsigned, payer, nonce, max_gas_price, part_rows, allow_code, take_over
    )
    to_file.check()
    if wants_plan:
        return _plan(app, rpc_url, gas_prices)
    url = need_rpc(rpc_url)
    if reopen:
        return _reopen(app, url)
    if wants_finalize:
        admin = None
        if not (unsent or to_file.wanted):
            admin = open_sealer(app, keystore, password_file)
        return _finalize(app, url, admin, to_file)
    if to_file.wanted:
        return to_file.write_from(
            app, url, lambda ledger: to_file.migration(ledger, url, finalize=False)
        )
    return _replay(
        app,
        url,
        record,
        export_dir=export_dir,
        **to_file.terms,
        allow_code=allow_code,
        part_rows=part_rows,
    )


def _check_mode(context: click.Context) -> None:
    """Raise UsageError for options that contradict each other or that their mode ignores."""
    names = {
        parameter.name: parameter.opts[0]
        for parameter in context.command.params
        if parameter.name is not None and parameter.name != "rpc_url"
    }
    given = {name for name in names if context.params.get(name) not in (None, False, ())}
    mode = frozenset(given & _MODE_NAMES)
    told = " ".join(sorted(names[name] for name in mode)) or "a migrate that sends"
    if mode not in _MODES:
        raise UsageError(
            f"no migration is asked for by {told}",
            hint="--plan, --reopen, --safe-json and --unsigned exclude each other; "
            "--unsent goes with --finalize alone",
        )
    ignored = sorted(names[name] for name in given - mode - _MODES[mode])
    if ignored:
        takes = ", ".join(sorted(names[name] for name in _MODES[mode])) or "nothing else"
        raise UsageError(
            f"{', '.join(ignored)} has no meaning for {told}", hint=f"it takes {takes}"
        )


def _replay(app: App, url: str, record: Path | None, **words: Any) -> int:
    from token_ledger.migrate import migrate as run_migrate

    payer = open_gas_payer()
    with app.open_ledger() as ledger, ProgressReport() as progress:
        record = record_place(app, ledger, url, record)
        result = run_migrate(ledger, url, gas_signer=payer, progress=progress, **words)
        write_record_at(ledger, url, record)
    document = {**result.to_json(), "record": None if record is None else str(record)}
    app.answer(
        document,
        lambda screen: screen.pairs(
            [
                ("contract", to_checksum(result.contract)),
                ("chain", result.chain_id),
                ("record", record),
                ("replayed", filled(result.entries, result.batches)),
                ("in parts", _parts(result.parts)),
                ("gas", f"{result.gas_used:,}"),
                ("unsealed", _unsealed(result.unsealed)),
            ]
        ),
    )
    return GOOD


def _parts(transactions: int) -> str | None:
    return f"{counted(transactions, 'transaction')} held a part each" if transactions else None


def _unsealed(entries: int) -> str | None:
    return f"{counted(entries, 'entry')}: seal and run it again" if entries else None


def _plan(app: App, rpc_url: str | None, gas_prices: tuple[str, ...]) -> int:
    from token_ledger.core.forecast import parse_gas_price
    from token_ledger.plan import plan

    prices = [parse_gas_price(text) for text in gas_prices]
    with app.open_ledger() as ledger, ProgressReport() as progress:
        made = plan(ledger, rpc_url, gas_prices=prices, progress=progress)
    app.answer(made.to_json(), lambda screen: _show_plan(screen, made))
    return GOOD


def _show_plan(screen: Screen, made: Plan) -> None:
    totals = made.totals
    sealed = f"{made.sealed_batches} sealed" + (
        f", {counted(made.unsealed_entries, 'entry')} to seal" if made.unsealed_entries else ""
    )
    over = f" ({totals.gas / totals.floor:.2f} of the floor)" if totals.floor else ""
    screen.pairs(
        [
            ("contract", to_checksum(made.contract)),
            (
                "chain",
                "not asked: as on a chain without it" if not made.chain_id else made.chain_id,
            ),
            ("batches", f"{totals.batches} ({sealed})"),
            ("entries", totals.entries),
            ("new holders", made.new_holders),
            ("transactions", made.transactions),
            ("calldata", f"{totals.calldata_bytes:,} bytes"),
            ("gas floor", f"{made.gas_floor:,} for the replays"),
            ("replays", f"{totals.gas:,} gas{over}"),
            ("largest", f"{totals.gas_max:,} gas"),
            ("deployment", f"{made.deployment_gas:,} gas"),
            ("finalize", f"{made.finalize_gas:,} gas"),
            ("expected", f"{made.gas:,} gas in all"),
        ]
    )
    screen.line()
    screen.table(
        ("network", "gwei", "ether"),
        [
            (
                f"{price.network}{' *' if price.l1_data else ''}",
                f"{price.wei / 10**9:.9f}".rstrip("0").rstrip("."),
                cost["cost_ether"],
            )
            for price, cost in zip(made.prices, made.costs(), strict=True)
        ],
        right=("gwei", "ether"),
    )
    if any(price.l1_data for price in made.prices):
        from token_ledger.core.forecast import L1_DATA_NOTE

        screen.line(f"* {L1_DATA_NOTE}")
    screen.line()
    screen.table(
        ("way", "operator's gas", "holders' gas", "gives"),
        [(w.name, f"{w.operator_gas:,}", f"{w.holders_gas:,}", w.gives) for w in made.ways],
        right=("operator's gas", "holders' gas"),
    )
    if made.cheaper is not None:
        screen.line(f"cheaper, all paid: {made.cheaper.name}")
    for fork in made.forks():
        eips = ", ".join(f"EIP-{number}" for number in fork["eips"])  # type: ignore[attr-defined]
        screen.line(
            f"fork under way: {fork['name']} of {fork['as_of']} ({eips}) would make it "
            f"{fork['expected_gas']:,} gas, {fork['percent_of_today']} % of today's"
        )


def _finalize(app: App, url: str, admin: Signer | None, to_file: Outgoing) -> int:
    from token_ledger.finalize import finalize

    with app.open_ledger() as ledger, ProgressReport() as progress:
        done = finalize(ledger, url, admin=admin, progress=progress, **to_file.terms)
    if not done.finalized and to_file.wanted:
        return to_file.write_from(
            app, url, lambda ledger: to_file.migration(ledger, url, finalize=True)
        )
    if not done.finalized:
        state = "no: the books are closed and wait for the call of finalize()"
    elif done.final:
        state = "yes, for ever"
    else:
        state = "yes, in a block that is not final yet: run it again"
    app.answer(
        done.to_json(),
        lambda screen: screen.pairs(
            [
                ("contract", to_checksum(done.contract)),
                ("chain", done.chain_id),
                ("last batch", done.number),
                ("transaction", to_hex(done.tx_hash) if done.tx_hash else None),
                ("finalized", state),
                ("stranded", counted(done.stranded, "entry") if done.stranded else None),
            ]
        ),
    )
    return FINDINGS if done.stranded else GOOD


def _reopen(app: App, url: str) -> int:
    from token_ledger.finalize import reopen

    with app.open_ledger() as ledger:
        reopen(ledger, url)
        symbol = ledger.token.symbol
    app.answer({"reopened": symbol}, lambda screen: screen.pairs([("reopened", symbol)]))
    return GOOD


COMMANDS = (migrate,)
