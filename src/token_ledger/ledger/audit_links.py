"""What else hangs on the entries: accounts, reversals, requests, awards, holds, sequences.

What `check` proves beside entries, figures and batches. Findings name addresses and entries.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, func, select, text

from token_ledger.core.address import derive_vault, to_checksum
from token_ledger.core.entry import token_uid
from token_ledger.core.strict import to_hex
from token_ledger.core.types import ESCROW_PREFIX, SYSTEM, ZERO_ADDRESS, Finding
from token_ledger.ledger import lists, schema
from token_ledger.ledger.audit import FETCH, entry_finding, stream
from token_ledger.ledger.figures import sum_balances
from token_ledger.ledger.tokens import StoredToken

_ENTRY = schema.token_ledger.c


def check_token(connection: Connection, token: StoredToken) -> Iterator[Finding]:
    """Yield a uid that is not its token's, and balances that do not add up to the supply."""
    computed = token_uid(
        token.ledger_uid, symbol=token.symbol, name=token.name, decimals=token.decimals
    )
    if computed != token.uid:
        yield Finding(
            "token_uid_differs",
            "the uid is not that of ledger, symbol, name and decimals",
            {"token": token.symbol, "stored": to_hex(token.uid), "computed": to_hex(computed)},
        )
    table = schema.token_supply.c
    supply = connection.execute(
        select(table.total_supply).where(table.token_no == token.token_no)
    ).scalar()
    balances = sum_balances(connection, token)
    if supply != balances:
        yield Finding(
            "sum_not_zero",
            "all balances, that of `system` included, do not add up to zero",
            {"token": token.symbol, "supply": str(supply), "balances": str(balances)},
        )


def check_accounts(connection: Connection, *, secret: bytes, operator: bytes) -> Iterator[Finding]:
    """Yield accounts whose address is not the one that their id, or their kind, gives."""
    table, holder = schema.accounts, schema.accounts.alias("holder")
    rows = stream(
        connection,
        select(*table.c, holder.c.account_id.label("holder_id"))
        .outerjoin(holder, holder.c.account_no == table.c.escrow_of)
        .order_by(table.c.account_no),
    )
    for row in rows:
        name, address = row.account_id, bytes(row.address)
        named: dict[str, object] = {"account_no": row.account_no, "address": to_checksum(address)}
        is_system = row.account_no == schema.SYSTEM_ACCOUNT_NO
        if is_system != (name == SYSTEM) or is_system != (address == ZERO_ADDRESS):
            yield Finding("account_invalid", "`system` is account 0 at address zero alone", named)
        elif row.derived:
            kind = "account" if row.escrow_of is None else "escrow"
            computed = derive_vault(secret, name, operator, kind=kind)
            if computed != address:
                details = {**named, "computed": to_checksum(computed)}
                yield Finding("address_differs", "the address is not that of its vault", details)
        if row.escrow_of is not None and name != f"{ESCROW_PREFIX}{row.holder_id}":
            yield Finding("account_invalid", "an escrow account of somebody else", named)


def check_holds(connection: Connection, token: StoredToken) -> Iterator[Finding]:
    """Yield holds that are not their entry's, and escrow accounts that keep something else."""
    hold, accounts = schema.token_holds.c, schema.accounts.c
    payee = schema.accounts.alias("payee")
    rows = stream(
        connection,
        select(
            *(hold.entry_no, hold.holder_no, hold.value, hold.remaining, hold.captured),
            *(hold.released_at, _ENTRY.id, _ENTRY.amount, _ENTRY.from_account, payee.c.escrow_of),
        )
        .select_from(schema.token_holds)
        .outerjoin(schema.token_ledger, _ENTRY.entry_no == hold.entry_no)
        .outerjoin(payee, payee.c.account_no == _ENTRY.to_account)
        .where(hold.token_no == token.token_no)
        .order_by(hold.entry_no),
    )
    kept: dict[int, int] = {}
    for row in rows:
        kept[row.holder_no] = kept.get(row.holder_no, 0) + row.remaining
        if row.id is None:
            details: dict[str, object] = {"token": token.symbol, "entry_no": row.entry_no}
            yield Finding("hold_differs", "a hold without its entry", details)
        elif (row.amount, row.from_account, row.escrow_of) != (
            *(row.value, row.holder_no, row.holder_no),
        ):
            message = "the hold's value or holder is not that of its entry"
            yield entry_finding("hold_differs", message, token, row)
        elif row.captured + row.remaining > row.value or (row.released_at and row.remaining):
            message = "the hold keeps more than it can"
            yield entry_finding("hold_differs", message, token, row)
    balance = schema.token_accounts.c
    escrows = stream(
        connection,
        select(accounts.escrow_of, accounts.address, balance.balance)
        .join(schema.token_accounts, balance.account_no == accounts.account_no)
        .where(balance.token_no == token.token_no, accounts.escrow_of.is_not(None)),
    )
    for holder, address, stored in escrows:
        held = kept.pop(holder, 0)
        if held != stored:
            yield _escrow_differs(token, stored, held, address=to_checksum(bytes(address)))
    for held in (value for value in kept.values() if value):
        yield _escrow_differs(token, 0, held)


def _escrow_differs(token: StoredToken, stored: int, held: int, **named: object) -> Finding:
    return Finding(
        "escrow_differs",
        "an escrow account's balance is not what its holder's open holds keep",
        {"token": token.symbol, **named, "balance": str(stored), "held": str(held)},
    )


def check_reversals(connection: Connection, token: StoredToken) -> Iterator[Finding]:
    """Yield reversals that do not go the other way, are more than, or before what they reverse."""
    link = schema.token_reversals.c
    original = schema.token_ledger.alias("original")
    rows = stream(
        connection,
        select(
            link.entry_no.label("link_no"),
            *(_ENTRY.entry_no, _ENTRY.id, _ENTRY.token_no),
            *(_ENTRY.from_account, _ENTRY.to_account, _ENTRY.amount),
            original.c.entry_no.label("original_no"),
            original.c.token_no.label("original_token"),
            original.c.from_account.label("original_from"),
            original.c.to_account.label("original_to"),
            original.c.amount.label("original_amount"),
        )
        .select_from(schema.token_reversals)
        .outerjoin(schema.token_ledger, _ENTRY.entry_no == link.entry_no)
        .outerjoin(original, original.c.entry_no == link.reversed_entry_no)
        .where(link.token_no == token.token_no)
        .order_by(link.entry_no),
    )
    seen: set[int] = set()
    for row in rows:
        if row.id is None or row.original_no is None:
            details: dict[str, object] = {"token": token.symbol, "entry_no": row.link_no}
            yield Finding("reversal_differs", "a reversal without its entries", details)
            continue
        mirrored = (
            row.token_no == row.original_token == token.token_no
            and (row.from_account, row.to_account) == (row.original_to, row.original_from)
            and row.amount <= row.original_amount
            and row.original_no < row.entry_no
        )
        if not mirrored or row.original_no in seen:
            message = "the reversal does not take back, once, what it is linked to"
            yield entry_finding("reversal_differs", message, token, row)
        seen.add(row.original_no)


def check_requests(connection: Connection, token: StoredToken, secret: bytes) -> Iterator[Finding]:
    """Yield remembered requests whose entry is missing, or bears neither their key nor its own.

    A list's first entry bears the key that comes of the list's and its place, computed anew.
    """
    request = schema.token_requests.c
    rows = connection.execute(
        select(
            *(request.entry_no, request.nonce, _ENTRY.token_no, _ENTRY.idempotency_key),
            _ENTRY.nonce.label("entry_nonce"),
        )
        .select_from(schema.token_requests)
        .outerjoin(schema.token_ledger, _ENTRY.entry_no == request.entry_no)
        .where(
            request.token_no == token.token_no,
            _ENTRY.nonce.is_(None)
            | (_ENTRY.nonce != request.nonce)
            | (_ENTRY.token_no != request.token_no),
        )
        .order_by(request.entry_no),
        execution_options={"yield_per": FETCH},
    )
    yield from _check_keys_borne_twice(connection, token)
    for row in rows:
        if row.token_no == token.token_no and lists.is_item(
            secret,
            bytes(row.nonce),
            entry_key=row.idempotency_key,
            nonce_of_entry=bytes(row.entry_nonce),
        ):
            continue
        yield Finding(
            "request_differs",
            "a remembered request whose entry is not there, or another's",
            {"token": token.symbol, "entry_no": row.entry_no, "nonce": to_hex(bytes(row.nonce))},
        )


def _check_keys_borne_twice(connection: Connection, token: StoredToken) -> Iterator[Finding]:
    """Yield entries that bear the key of a request that is another entry: it was paid twice."""
    request = schema.token_requests.c
    rows = stream(
        connection,
        select(_ENTRY.entry_no, _ENTRY.id, request.entry_no.label("other_no"))
        .join_from(
            schema.token_requests,
            schema.token_ledger,
            (_ENTRY.token_no == request.token_no) & (_ENTRY.nonce == request.nonce),
        )
        .where(request.token_no == token.token_no, _ENTRY.entry_no != request.entry_no)
        .order_by(_ENTRY.entry_no),
    )
    for row in rows:
        message = "another request bears the key of this entry as well"
        yield entry_finding("request_differs", message, token, row, other_no=row.other_no)


def check_sequences(connection: Connection) -> Iterator[Finding]:
    """Yield sequences of PostgreSQL that would hand out a number again, as after a bad restore."""
    if connection.dialect.name != "postgresql":
        return
    counted = (
        ("token_ledger_entry_no", _ENTRY.entry_no),
        ("accounts_account_no_seq", schema.accounts.c.account_no),
    )
    for name, column in counted:
        highest = connection.execute(select(func.max(column))).scalar() or 0
        # NULL where it was never asked, and where the role may not look.
        last, may = connection.execute(
            text(
                "SELECT pg_sequence_last_value(CAST(:name AS regclass)),"
                " has_sequence_privilege(:name, 'USAGE,SELECT')"
            ),
            {"name": name},
        ).one()
        if may and (last or 0) < highest:
            yield Finding(
                "sequence_behind",
                f"the sequence {name} would give a number again that is taken",
                {"last": last, "highest": highest},
            )


def check_awards(connection: Connection, token: StoredToken) -> Iterator[Finding]:
    """Yield awards that are no mint to their account, or whose sums are not the awards' before."""
    award = schema.token_awards.c
    rows = stream(
        connection,
        select(
            *(award.entry_no, award.account_no, award.action),
            *(award.count_after, award.value_after, award.total_after),
            *(_ENTRY.id, _ENTRY.amount, _ENTRY.from_account, _ENTRY.to_account),
        )
        .select_from(schema.token_awards)
        .outerjoin(schema.token_ledger, _ENTRY.entry_no == award.entry_no)
        .where(award.token_no == token.token_no)
        .order_by(award.entry_no),
    )
    mine: dict[tuple[str, int], tuple[int, int]] = {}
    totals: dict[str, int] = {}
    for row in rows:
        if row.id is None:
            details: dict[str, object] = {"token": token.symbol, "entry_no": row.entry_no}
            yield Finding("award_differs", "an award without its entry", details)
            continue
        if (row.from_account, row.to_account) != (schema.SYSTEM_ACCOUNT_NO, row.account_no):
            yield entry_finding("award_differs", "no mint to its account", token, row)
        count, value = mine.get((row.action, row.account_no), (0, 0))
        right = (count + 1, value + row.amount, totals.get(row.action, 0) + row.amount)
        stored = (row.count_after, row.value_after, row.total_after)
        if stored != right:
            message = "its sums, by which caps are judged, are not those of the awards up to it"
            yield entry_finding(
                "award_differs", message, token, row, stored=str(stored), computed=str(right)
            )
        # Once told, gone on from what the row says.
        mine[row.action, row.account_no] = (row.count_after, row.value_after)
        totals[row.action] = row.total_after
