"""Earning rules and awards: what an action earns, in versions, and which version made which entry.

A rule changes under the lock of the supply, and every award is a mint, which holds that lock: so no
award lands by a rule that was changed before it, and sums over all accounts are of one moment. Each
award's row says what its account, and everybody, had earned by the action then; caps are judged on
the difference of two rows, so a cap costs the same whatever the history.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import NamedTuple

from sqlalchemy import Row, func, insert, select

from token_ledger.core.earning import REASON_PREFIX, earned_value, format_factor
from token_ledger.core.parse import format_amount, format_timestamp
from token_ledger.core.types import SYSTEM, Record, Texts
from token_ledger.errors import AmountRangeError, EarningCapError, UnknownRuleError, UsageError
from token_ledger.ledger import accounts, schema
from token_ledger.ledger.composite import Composite, Desk, lock
from token_ledger.ledger.limits import PERIOD_MAX
from token_ledger.ledger.posted import Posted
from token_ledger.ledger.stores import open_store

_RULE = schema.earning_rules.c
_AWARD = schema.token_awards.c


@dataclass(frozen=True, slots=True)
class Terms:
    """What a rule says. Values in base units, the multiplier in 10**-18, the period in µs.

    `count_max` and `value_max` are what one account may get in a period, or ever without one;
    `total_max` what all accounts together may ever get. None: no such cap.
    """

    action: str
    base_value: int
    multiplier: int
    count_max: int | None = None
    value_max: int | None = None
    period: int | None = None
    total_max: int | None = None


@dataclass(frozen=True, slots=True)
class EarningRule(Terms):
    """One version of a rule. The highest of its action is in force, unless it is `retired`."""

    version: int = 0
    retired: bool = False
    created_at: int = 0
    decimals: int = 0

    @property
    def base_amount(self) -> str:
        """The base amount in human units."""
        return format_amount(self.base_value, decimals=self.decimals)


@dataclass(frozen=True, slots=True)
class Awarded(Posted):
    """What an award became: a posting, with the action and the version of the rule it used."""

    action: str
    rule_version: int


class _Sums(NamedTuple):
    """What an action had come to: awards and base units of an account, base units of all."""

    times: int = 0
    value: int = 0
    total: int = 0


def set_rule(desk: Desk, terms: Terms) -> EarningRule:
    """Put terms into force as the next version; the same terms again change nothing.

    Raises UsageError for a period that limits nothing, or is out of range.
    """
    if terms.period is not None:
        if terms.count_max is None and terms.value_max is None:
            raise UsageError("a period alone is no cap", hint="give a count or an amount with it")
        if not 0 < terms.period <= PERIOD_MAX:
            raise UsageError(f"a period of {terms.period} µs", hint="above 0, and a year at most")
    if terms.count_max is not None and not 0 < terms.count_max < 2**63:
        raise UsageError(f"a count of {terms.count_max}", hint="one at least")
    before = _lock_latest(desk, terms.action)
    if before is not None and not before.retired and _terms(before) == terms:
        return before
    return _insert(desk, terms, retired=False, version=1 if before is None else before.version + 1)


def retire_rule(desk: Desk, action: str) -> EarningRule:
    """Let an action earn nothing from now on: its next version says so. Retired, it stays so."""
    before = _lock_latest(desk, action)
    if before is None:
        raise _unknown(action)
    if before.retired:
        return before
    return _insert(desk, _terms(before), retired=True, version=before.version + 1)


def get_rule(desk: Desk, action: str, version: int | None = None) -> EarningRule:
    """Return a version of a rule, the latest unless one is named. Raises UnknownRuleError."""
    query = (
        select(schema.earning_rules)
        .where(_RULE.token_no == desk.token.token_no, _RULE.action == action)
        .order_by(_RULE.version.desc())
        .limit(1)
    )
    if version is not None:
        query = query.where(_RULE.version == version)
    row = desk.connection.execute(query).first()
    if row is None:
        raise _unknown(action, version)
    return _rule(desk, row)


def list_rules(desk: Desk, *, action: str | None, history: bool) -> list[EarningRule]:
    """Return the rules in force by action, or every version, also of those that are retired."""
    highest = (
        select(_RULE.action, func.max(_RULE.version).label("version"))
        .where(_RULE.token_no == desk.token.token_no)
        .group_by(_RULE.action)
        .subquery()
    )
    query = (
        select(schema.earning_rules)
        .where(_RULE.token_no == desk.token.token_no)
        .order_by(_RULE.action, _RULE.version)
    )
    if action is not None:
        query = query.where(_RULE.action == action)
    if not history:
        query = query.join(
            highest, (highest.c.action == _RULE.action) & (highest.c.version == _RULE.version)
        ).where(_RULE.retired.is_(False))
    return [_rule(desk, row) for row in desk.connection.execute(query)]


def rule_of(desk: Desk, entry_no: int) -> EarningRule | None:
    """Return the version of the rule that made an entry, or None if it is no award."""
    made = desk.connection.execute(
        select(_AWARD.action, _AWARD.version).where(_AWARD.entry_no == entry_no)
    ).first()
    return None if made is None else get_rule(desk, made.action, made.version)


def award(
    desk: Desk,
    account_id: str,
    action: str,
    *,
    factor: int,
    texts: Texts,
    key: str | None,
    timestamp: int | None,
    create_account: bool,
) -> Awarded:
    """Mint what the rule in force gives for an action, times a factor in units of 10**-18.

    Repeated under its key it returns the first result, whatever the rule says by then. Raises
    UnknownRuleError, EarningCapError where a cap leaves less, AmountRangeError where it comes to
    nothing, and what a mint raises.
    """
    words = [texts.reference_type, texts.reference_id, texts.memo, texts.metadata]
    arguments = [account_id, action, format_factor(factor), *words, timestamp and str(timestamp)]
    request = Composite(desk, "award", key, arguments)
    prior = request.prior()
    if prior is not None:
        return _repeated(desk, prior)
    if create_account:
        accounts.create_account(
            desk.connection, desk.context, account_id, address=None, exist_ok=True
        )
    poster = lock(desk, {account_id, SYSTEM})
    prior = request.prior()  # another may have made it while this one waited
    if prior is not None:
        return _repeated(desk, prior)
    rule = get_rule(desk, action)
    if rule.retired:
        raise UnknownRuleError(
            f"the rule for {action!r} was retired at {format_timestamp(rule.created_at)}",
            hint="set it again, or award another action",
        )
    value = earned_value(rule.base_value, multiplier=rule.multiplier, factor=factor)
    if value == 0:
        raise AmountRangeError(
            f"{action!r} comes to less than a base unit", hint="fractions are dropped"
        )
    number = accounts.resolve(desk.connection, [account_id])[account_id].number
    now = poster.now()
    sums = _check_caps(desk, rule, account_id, number, value=value, now=now)
    reason = REASON_PREFIX + action
    record = Record(SYSTEM, account_id, value, replace(texts, reason=reason), request.key)
    posted = request.post(poster, replace(record, timestamp=timestamp))
    poster.close()
    desk.connection.execute(
        insert(schema.token_awards).values(
            entry_no=posted.entry_no,
            token_no=desk.token.token_no,
            account_no=number,
            action=action,
            version=rule.version,
            awarded_at=now,
            count_after=sums.times + 1,
            value_after=sums.value + value,
            total_after=sums.total + value,
        )
    )
    return _awarded(posted, action, rule.version)


def _check_caps(
    desk: Desk, rule: EarningRule, account_id: str, number: int, *, value: int, now: int
) -> _Sums:
    """Raise EarningCapError unless a value more is allowed; return what it came to so far."""
    sums, before, end = _sums(desk, rule.action, number), _Sums(), None
    if rule.period is not None:
        start = now - now % rule.period
        end = start + rule.period
        before = _sums(desk, rule.action, number, until=start)
    until = "for ever" if end is None else f"until {format_timestamp(end)}"

    def human(value: int) -> str:
        return f"{format_amount(value, decimals=desk.token.decimals)} {desk.token.symbol}"

    times = sums.times - before.times
    if rule.count_max is not None and times >= rule.count_max:
        raise EarningCapError(
            f"account {account_id!r} was awarded {rule.action!r} {times} times in the period,"
            f" of {rule.count_max}",
            hint=f"0 are left {until}",
        )
    earned = sums.value - before.value
    if rule.value_max is not None and earned + value > rule.value_max:
        raise EarningCapError(
            f"account {account_id!r} may earn {human(rule.value_max)} by {rule.action!r} in the"
            f" period, this is {human(value)}",
            hint=f"{human(max(0, rule.value_max - earned))} are left {until}",
        )
    if rule.total_max is not None and sums.total + value > rule.total_max:
        raise EarningCapError(
            f"all accounts may earn {human(rule.total_max)} by {rule.action!r}, this is"
            f" {human(value)}",
            hint=f"{human(max(0, rule.total_max - sums.total))} are left",
        )
    return sums


def _sums(desk: Desk, action: str, number: int, *, until: int | None = None) -> _Sums:
    """Return what an action had come to, now or just before a time."""
    by = (_AWARD.token_no == desk.token.token_no, _AWARD.action == action)
    mine = (
        select(_AWARD.count_after, _AWARD.value_after)
        .where(*by, _AWARD.account_no == number)
        .order_by(_AWARD.awarded_at.desc(), _AWARD.entry_no.desc())
        .limit(1)
    )
    if until is not None:
        mine = mine.where(_AWARD.awarded_at < until)
    row = desk.connection.execute(mine).first()
    count, value = (0, 0) if row is None else (row.count_after, row.value_after)
    if until is not None:
        return _Sums(count, value)
    total = desk.connection.execute(
        select(_AWARD.total_after).where(*by).order_by(_AWARD.entry_no.desc()).limit(1)
    ).scalar()
    return _Sums(count, value, total or 0)


def _lock_latest(desk: Desk, action: str) -> EarningRule | None:
    """Return the latest version, under the lock that every award takes as well."""
    open_store(desk.connection, desk.token.token_no).lock_supply()
    found = list_rules(desk, action=action, history=True)
    return found[-1] if found else None


def _insert(desk: Desk, terms: Terms, *, retired: bool, version: int) -> EarningRule:
    clock = desk.context.clock
    now = open_store(desk.connection, desk.token.token_no).now() if clock is None else clock()
    values = {f.name: getattr(terms, f.name) for f in fields(Terms)}
    values |= {"version": version, "retired": retired, "created_at": now}
    desk.connection.execute(
        insert(schema.earning_rules).values(token_no=desk.token.token_no, **values)
    )
    return EarningRule(**values, decimals=desk.token.decimals)


def _rule(desk: Desk, row: Row[tuple[object, ...]]) -> EarningRule:
    values = {f.name: row._mapping[f.name] for f in fields(EarningRule) if f.name != "decimals"}
    return EarningRule(**values | {"retired": bool(row.retired)}, decimals=desk.token.decimals)


def _terms(rule: EarningRule) -> Terms:
    return Terms(**{f.name: getattr(rule, f.name) for f in fields(Terms)})


def _unknown(action: str, version: int | None = None) -> UnknownRuleError:
    which = "" if version is None else f" version {version} of the"
    return UnknownRuleError(f"no{which} rule for {action!r}", hint="set one first")


def _awarded(posted: Posted, action: str, version: int) -> Awarded:
    values = {f.name: getattr(posted, f.name) for f in fields(Posted)}
    return Awarded(**values, action=action, rule_version=version)


def _repeated(desk: Desk, prior: Posted) -> Awarded:
    made = desk.connection.execute(
        select(_AWARD.action, _AWARD.version).where(_AWARD.entry_no == prior.entry_no)
    ).one()
    return _awarded(prior, made.action, made.version)
