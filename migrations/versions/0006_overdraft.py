"""Overdrafts: a limit and a debt in the account's row, and every change of a debt for ever.

An account that spends past zero is first credited by an entry of its own, a draw; what comes in
repays it by another. `token_debts` says which entries those are and what the debt was after each;
a write-off is the one change that is no entry. The figure in the account's row changes to what the
last row there says, and to nothing else.
"""

# ruff: noqa: S608, ISC004 — statements are built of this file's own constants, one a list item

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def first() -> Any:
    """Return the first migration, for its frozen words of both engines."""
    path = Path(__file__).with_name("0001_first.py")
    spec = importlib.util.spec_from_file_location("token_ledger_first", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def zero(d: Any, bits: int = 256) -> str:
    """Return zero as a column of that width holds it."""
    return f"X'{'00' * (bits // 8)}'" if d.sqlite else "0"


def total(d: Any, left: str, right: str) -> str:
    """Return the sum of two numbers, to be compared with `figure`.

    SQLite cannot add 32-byte numbers: here it does, digit by digit, as 65 hexadecimal ones.
    """
    if not d.sqlite:
        return f"{left} + {right}"
    # instr() gives 0 for a digit that is not in the list, and that digit is 0
    digits = " + ".join(f"instr('123456789ABCDEF', substr(hex({n}), i, 1))" for n in (left, right))
    here = f"(c + {digits})"
    return (
        "(WITH RECURSIVE s(i, c, t) AS (SELECT 64, 0, '' UNION ALL SELECT i - 1,"
        f" {here} >> 4, substr('0123456789ABCDEF', 1 + ({here} & 15), 1) || t FROM s WHERE i > 0)"
        " SELECT c || t FROM s WHERE i = 0)"
    )


def figure(d: Any, name: str) -> str:
    """Return a number as `total` gives it."""
    return f"'0' || hex({name})" if d.sqlite else name


def columns(d: Any) -> list[str]:
    """Return what is added to tables that were there."""
    debt = f"{d.unsigned('debt')} DEFAULT {zero(d)}"
    credit = f"{d.unsigned('credit', bits=320)} DEFAULT {zero(d, 320)}"
    return [
        f"ALTER TABLE token_accounts ADD COLUMN {d.unsigned('overdraft_max', null=True)}",
        f"ALTER TABLE token_accounts ADD COLUMN {debt}",
        f"ALTER TABLE token_supply ADD COLUMN {credit}",
        "CREATE INDEX token_accounts_in_debt ON token_accounts (token_no, account_no)"
        f" WHERE debt > {zero(d)}",
    ]


def table(d: Any) -> list[str]:
    """Return every change of a debt, numbered for each account."""
    return [
        f"""CREATE TABLE token_debts (
            token_no INTEGER NOT NULL REFERENCES tokens,
            account_no {d.bigint} NOT NULL REFERENCES accounts,
            {d.count("number", least=1)},
            kind TEXT NOT NULL CHECK (kind IN ('draw', 'repay', 'write-off')),
            entry_no {d.bigint} NOT NULL REFERENCES token_ledger,
            cause_no {d.bigint} REFERENCES token_ledger,
            {d.unsigned("value", least=1)},
            {d.unsigned("debt_after")},
            {d.time("created_at")},
            written_by TEXT,
            reason TEXT,
            PRIMARY KEY (token_no, account_no, number),
            CHECK ((kind = 'write-off') = (cause_no IS NULL)),
            CHECK ((kind = 'write-off') = (written_by IS NOT NULL)),
            CHECK ((kind = 'write-off') = (reason IS NOT NULL))
        ){d.table_end}""",
        "CREATE INDEX token_debts_by_entry ON token_debts (token_no, account_no, entry_no)",
        "CREATE UNIQUE INDEX token_debts_entry ON token_debts (entry_no) WHERE kind <> 'write-off'",
        "CREATE INDEX token_debts_written_off ON token_debts (token_no, entry_no)"
        " WHERE kind = 'write-off'",
    ]


def follows(d: Any) -> str:
    """Return the condition that a change of a debt is one: its entry, its cause, its sum."""
    grows = f"{total(d, 'p.debt_after', 'NEW.value')} = {figure(d, 'NEW.debt_after')}"
    falls = f"{total(d, 'NEW.debt_after', 'NEW.value')} = {figure(d, 'p.debt_after')}"
    return (
        "EXISTS (SELECT 1 FROM token_ledger e WHERE e.entry_no = NEW.entry_no"
        " AND e.token_no = NEW.token_no AND ("
        "(NEW.kind = 'draw' AND e.from_account = 0 AND e.to_account = NEW.account_no"
        " AND e.amount = NEW.value)"
        " OR (NEW.kind = 'repay' AND e.from_account = NEW.account_no AND e.to_account = 0"
        " AND e.amount = NEW.value)"
        " OR (NEW.kind = 'write-off'"
        " AND (e.from_account = NEW.account_no OR e.to_account = NEW.account_no))))"
        " AND (NEW.kind = 'write-off' OR EXISTS (SELECT 1 FROM token_ledger c"
        " WHERE c.entry_no = NEW.cause_no AND c.token_no = NEW.token_no AND ("
        "(NEW.kind = 'draw' AND c.from_account = NEW.account_no AND c.entry_no > NEW.entry_no)"
        " OR (NEW.kind = 'repay' AND c.to_account = NEW.account_no"
        " AND c.entry_no < NEW.entry_no))))"
        " AND ((NEW.number = 1 AND NEW.kind = 'draw' AND NEW.debt_after = NEW.value)"
        " OR EXISTS (SELECT 1 FROM token_debts p WHERE p.token_no = NEW.token_no"
        " AND p.account_no = NEW.account_no AND p.number = NEW.number - 1"
        " AND p.entry_no <= NEW.entry_no"
        f" AND ((NEW.kind = 'draw' AND {grows}) OR (NEW.kind <> 'draw' AND {falls}))"
        f" AND (NEW.kind <> 'write-off' OR NEW.debt_after = {zero(d)})))"
    )


def account_rules(d: Any) -> list[tuple[str, str, str]]:
    """Return (name, when an account's new row is refused, why)."""
    nothing = zero(d)
    same = f"NEW.debt {d.same} OLD.debt"
    return [
        (
            "limited",
            f"NEW.debt > OLD.debt AND NEW.debt > coalesce(NEW.overdraft_max, {nothing})",
            "a debt grows no further than the limit of overdraft",
        ),
        (
            "explained",
            f"NOT ({same}) AND NEW.debt IS DISTINCT FROM (SELECT p.debt_after FROM token_debts p"
            " WHERE p.token_no = NEW.token_no AND p.account_no = NEW.account_no"
            " ORDER BY p.number DESC LIMIT 1)",
            "a debt changes by draws, repayments and write-offs alone",
        ),
        (
            "repaid",  # what the chain paid after cut-over is all that a debtor may keep
            f"NEW.debt > {nothing} AND NEW.balance > {nothing} AND (SELECT closing_at FROM tokens"
            " WHERE token_no = NEW.token_no) IS NULL",
            "an account in debt holds nothing: what comes in repays it",
        ),
        (
            "settled",
            f"NEW.debt > {nothing} AND NEW.closed_at IS NOT NULL",
            "an account in debt is not closed",
        ),
    ]


def account_triggers(d: Any) -> list[str]:
    """Return the triggers of the account's row; on PostgreSQL one, which most rows pass by."""
    rules = account_rules(d)
    if d.sqlite:
        return [
            statement
            for name, when, message in reversed(rules)  # SQLite asks the youngest first
            for statement in d.refusal(
                f"token_accounts_debt_{name}", table="token_accounts", on="UPDATE",
                when=when.replace("IS DISTINCT FROM", "IS NOT"), message=message,
            )
        ]  # fmt: skip
    body = " ".join(
        f"IF {when} THEN RAISE EXCEPTION '{message}' USING ERRCODE = 'restrict_violation'; END IF;"
        for _, when, message in rules
    )
    return [
        "CREATE FUNCTION token_accounts_debt() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN {body} RETURN NEW; END $$",
        "CREATE TRIGGER token_accounts_debt BEFORE UPDATE ON token_accounts FOR EACH ROW"
        " WHEN (NEW.debt > 0 OR OLD.debt > 0) EXECUTE FUNCTION token_accounts_debt()",
    ]


def triggers(d: Any) -> list[str]:
    """Return what keeps debts true, and what is taken of a hold within it."""
    taken = f"{total(d, 'NEW.captured', 'NEW.remaining')} > {figure(d, 'NEW.value')}"
    over = f"NEW.captured > {zero(d)} AND NEW.remaining > {zero(d)} AND {taken}"
    return [
        *d.append_only(
            "token_debts",
            keys=(
                "t.token_no = NEW.token_no AND t.account_no = NEW.account_no"
                " AND t.number = NEW.number",
                "t.entry_no = NEW.entry_no AND t.kind <> 'write-off' AND NEW.kind <> 'write-off'",
            ),
            update_when="1 = 1",
        ),
        *d.refusal(
            "token_debts_follow", table="token_debts", on="INSERT", when=f"NOT ({follows(d)})",
            message="a change of a debt is its entry, follows the last one, and adds up",
        ),
        *account_triggers(d),
        *d.refusal(
            "token_reversals_of_draws", table="token_reversals", on="INSERT",
            when="EXISTS (SELECT 1 FROM token_debts WHERE entry_no = NEW.reversed_entry_no"
            " AND kind <> 'write-off')",
            message="a draw or a repayment is not reversed",
        ),
        *(
            statement
            for on in ("INSERT", "UPDATE")
            for statement in d.refusal(
                f"token_holds_within_{on.lower()}", table="token_holds", on=on, when=over,
                message="what is captured and what remains of a hold is no more than the hold",
            )
        ),
    ]  # fmt: skip


def upgrade() -> None:
    connection = op.get_bind()
    d = first().Dialect(connection.dialect.name)
    for statement in [*columns(d), *table(d), *triggers(d)]:
        connection.exec_driver_sql(statement)
