"""The verbs of earning: set rules, award by them. Methods of `Ledger`."""

from __future__ import annotations

import datetime as dt
from typing import Any

from token_ledger.core.earning import parse_action, parse_factor
from token_ledger.core.parse import (
    Amount,
    canonical_metadata,
    parse_account_id,
    parse_amount,
    parse_timestamp,
)
from token_ledger.core.types import Texts
from token_ledger.ledger import queries, rules
from token_ledger.ledger.composite import Desk
from token_ledger.ledger.rules import Awarded, EarningRule, Terms
from token_ledger.ledger.verbs import Verbs

_MICROSECOND = dt.timedelta(microseconds=1)


class Earning(Verbs):
    """What `Ledger` gets from this module."""

    def set_rule(
        self,
        action: str,
        base_amount: Amount,
        multiplier: Amount = "1",
        *,
        count_max: int | None = None,
        amount_max: Amount | None = None,
        period: dt.timedelta | None = None,
        total_max: Amount | None = None,
    ) -> EarningRule:
        """Say what an action earns from now on; return the rule's version that is in force.

        Amounts in human units. `count_max` and `amount_max`: what one account may get in a
        `period` (counted from 1970-01-01T00:00Z, so that `timedelta(days=1)` is the UTC day), or
        ever without one. `total_max`: what all accounts together may ever get. Caps count what
        earlier versions gave, and a reversal gives nothing back. Nothing is rewritten: each change
        is a new version, and the same words again change nothing.
        """
        token = self.token

        def value(amount: Amount | None) -> int | None:
            return None if amount is None else parse_amount(amount, decimals=token.decimals)

        terms = Terms(
            action=parse_action(action),
            base_value=parse_amount(base_amount, decimals=token.decimals),
            multiplier=parse_factor(multiplier, what="multiplier"),
            count_max=count_max,
            value_max=value(amount_max),
            period=None if period is None else period // _MICROSECOND,
            total_max=value(total_max),
        )
        return self.run(lambda c: rules.set_rule(Desk(c, self.context, token), terms))

    def retire_rule(self, action: str) -> EarningRule:
        """Let an action earn nothing from now on. Raises UnknownRuleError if it never did."""
        token, name = self.token, parse_action(action)
        return self.run(lambda c: rules.retire_rule(Desk(c, self.context, token), name))

    def get_rule(self, action: str, version: int | None = None) -> EarningRule:
        """Return a rule's latest version, retired or not, or the one named.

        Raises UnknownRuleError.
        """
        token, name = self.token, parse_action(action)
        with self.read() as connection:
            return rules.get_rule(Desk(connection, self.context, token), name, version)

    def rules(self, action: str | None = None, *, history: bool = False) -> list[EarningRule]:
        """Return the rules in force, by action; with `history` every version that ever was."""
        token = self.token
        with self.read() as connection:
            desk = Desk(connection, self.context, token)
            return rules.list_rules(desk, action=action, history=history)

    def award(
        self,
        account_id: str,
        action: str,
        factor: Amount = "1",
        *,
        create_account: bool = True,
        idempotency_key: str | None = None,
        reference: tuple[str, str] | None = None,
        memo: str = "",
        metadata: Any = None,
        timestamp: str | dt.datetime | None = None,
    ) -> Awarded:
        """Give an account what the rule in force says that an action earns; make it if missing.

        The amount is base amount times multiplier times `factor`, exact, with the fraction of a
        base unit dropped at the end. The entry is `system → account` with reason `earn:ACTION`;
        the result holds the balance after it and the rule's version. Under a key that was used
        before it returns the first result, whatever the rule says now. Raises UnknownRuleError for
        an action without a rule, EarningCapError where a cap leaves less, AmountRangeError where it
        comes to nothing, and what a mint raises.
        """
        token, name = self.token, parse_account_id(account_id)
        what, times = parse_action(action), parse_factor(factor, what="factor")
        kind, about = reference or ("", "")
        meaning = None if metadata is None else canonical_metadata(metadata)
        moment = None if timestamp is None else parse_timestamp(timestamp)
        return self.run(
            lambda c: rules.award(
                Desk(c, self.context, token),
                name,
                what,
                factor=times,
                texts=Texts("", kind, about, memo, meaning),
                key=idempotency_key,
                timestamp=moment,
                create_account=create_account,
            )
        )

    def rule_of(self, entry_id: bytes | str) -> EarningRule | None:
        """Return the version of the rule that made an entry, or None if it is no award.

        Raises UnknownEntryError.
        """
        token = self.token
        wanted = queries.parse_entry_id(entry_id) if isinstance(entry_id, str) else entry_id
        with self.read() as connection:
            entry = queries.get_entry(connection, token, wanted)
            return rules.rule_of(Desk(connection, self.context, token), entry.entry_no)
