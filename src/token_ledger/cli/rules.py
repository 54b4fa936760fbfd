"""Commands on earning: rules, and awards by them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from token_ledger.cli.app import App, LedgerCommand, LedgerGroup, pass_app
from token_ledger.cli.limits import PERIODS
from token_ledger.cli.post import answer_posted, human, read_reference
from token_ledger.core.earning import format_factor
from token_ledger.core.parse import format_timestamp, parse_metadata

if TYPE_CHECKING:
    from token_ledger.cli.screen import Screen
    from token_ledger.ledger import EarningRule

_COLUMNS = ["action", "version", "amount", "multiplier", "caps", "since"]


def rule_json(rule: EarningRule) -> dict[str, Any]:
    """Return a version of a rule as JSON."""
    return {
        "action": rule.action,
        "version": rule.version,
        "base_amount": rule.base_amount,
        "multiplier": format_factor(rule.multiplier),
        "count_max": rule.count_max,
        "amount_max": human(rule.value_max, rule.decimals),
        "period_s": None if rule.period is None else rule.period / 1_000_000,
        "total_max": human(rule.total_max, rule.decimals),
        "retired": rule.retired,
        "created_at": format_timestamp(rule.created_at),
    }


def _period(rule: EarningRule) -> str:
    if rule.period is None:
        return "in all"
    names = {length.total_seconds(): name for name, length in PERIODS.items()}
    seconds = rule.period / 1_000_000
    return f"a {names[seconds]}" if seconds in names else f"in {seconds:g} s"


def _caps(rule: EarningRule) -> str:
    caps = []
    if rule.count_max is not None:
        caps.append(f"{rule.count_max} times {_period(rule)}")
    if rule.value_max is not None:
        caps.append(f"{human(rule.value_max, rule.decimals)} {_period(rule)}")
    if rule.total_max is not None:
        caps.append(f"{human(rule.total_max, rule.decimals)} for all")
    return ", ".join(caps)


def _row(rule: EarningRule) -> list[object]:
    return [
        rule.action,
        f"{rule.version}{' (retired)' if rule.retired else ''}",
        rule.base_amount,
        format_factor(rule.multiplier),
        _caps(rule),
        format_timestamp(rule.created_at),
    ]


def _answer(app: App, rule: EarningRule) -> None:
    pairs = list(zip(_COLUMNS, _row(rule), strict=True))
    app.answer(rule_json(rule), lambda screen: screen.pairs((n, v or None) for n, v in pairs))


@click.group(cls=LedgerGroup)
def rule() -> None:
    """Say what actions earn. Each change is a new version; none is rewritten."""


@rule.command("set")
@click.argument("action", metavar="ACTION")
@click.argument("base_amount", metavar="AMOUNT")
@click.option("--multiplier", metavar="X", default="1", show_default=True, help="Times this.")
@click.option("--count", "count_max", type=int, metavar="N", help="Awards of one account, at most.")
@click.option("--amount", "amount_max", metavar="AMOUNT", help="What one account gets, at most.")
@click.option(
    "--per", type=click.Choice(list(PERIODS)), help="--count and --amount in each, in UTC."
)
@click.option("--total", "total_max", metavar="AMOUNT", help="What all accounts get, at most.")
@pass_app
def rule_set(
    app: App,
    /,
    *,
    action: str,
    base_amount: str,
    multiplier: str,
    count_max: int | None,
    amount_max: str | None,
    per: str | None,
    total_max: str | None,
) -> None:
    """Say what an action earns from now on. The same words again change nothing."""
    with app.open_ledger() as ledger:
        made = ledger.set_rule(
            action,
            base_amount,
            multiplier,
            count_max=count_max,
            amount_max=amount_max,
            period=None if per is None else PERIODS[per],
            total_max=total_max,
        )
    _answer(app, made)


@rule.command("list")
@click.argument("action", metavar="[ACTION]", required=False)
@click.option("--history", is_flag=True, help="Every version that ever was.")
@pass_app
def rule_list(app: App, /, *, action: str | None, history: bool) -> None:
    """List the rules in force."""
    with app.open_ledger() as ledger:
        found = ledger.rules(action, history=history)

    def view(screen: Screen) -> None:
        screen.table(_COLUMNS, map(_row, found), right=["amount", "multiplier"])

    app.answer({"rules": [rule_json(one) for one in found]}, view)


@rule.command("show")
@click.argument("action", metavar="ACTION")
@click.option("--version", type=int, metavar="N", help="By default the latest.")
@pass_app
def rule_show(app: App, /, *, action: str, version: int | None) -> None:
    """Show a rule's latest version, or another."""
    with app.open_ledger() as ledger:
        found = ledger.get_rule(action, version)
    _answer(app, found)


@rule.command("retire")
@click.argument("action", metavar="ACTION")
@pass_app
def rule_retire(app: App, /, *, action: str) -> None:
    """Let an action earn nothing from now on."""
    with app.open_ledger() as ledger:
        made = ledger.retire_rule(action)
    _answer(app, made)


@click.command(cls=LedgerCommand)
@click.argument("account_id", metavar="ID")
@click.argument("action", metavar="ACTION")
@click.argument("factor", metavar="[FACTOR]", default="1")
@click.option("--key", metavar="K", help="Idempotency key; by default fresh.")
@click.option("--ref", metavar="TYPE:ID", help="What it is about, as in paper:42.")
@click.option("--memo", metavar="T", default="", help="Free text.")
@click.option("--metadata", metavar="JSON", help="Any JSON value.")
@click.option("--timestamp", metavar="ISO8601", help="With a zone; by default the present.")
@click.option("--existing", is_flag=True, help="Refuse an account that is missing; else make it.")
@pass_app
def award(
    app: App,
    /,
    *,
    account_id: str,
    action: str,
    factor: str,
    key: str | None,
    ref: str | None,
    memo: str,
    metadata: str | None,
    timestamp: str | None,
    existing: bool,
) -> None:
    """Give an account what an action earns by its rule, times FACTOR, rounded down."""
    with app.open_ledger() as ledger:
        posted = ledger.award(
            account_id,
            action,
            factor,
            create_account=not existing,
            idempotency_key=key,
            reference=read_reference(ref),
            memo=memo,
            metadata=None if metadata is None else json.loads(parse_metadata(metadata)),
            timestamp=timestamp,
        )
        made = {"action": posted.action, "rule_version": posted.rule_version}
        answer_posted(app, posted, ledger.token.symbol, **made)


COMMANDS = (rule, award)
