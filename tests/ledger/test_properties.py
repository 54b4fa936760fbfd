"""Random histories against a model that is a dict: same successes, same refusals, same figures."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from token_ledger.core.types import UINT256_MAX
from token_ledger.errors import (
    InsufficientBalanceError,
    KeyConflictError,
    SelfTransferError,
    SupplyExceededError,
)
from token_ledger.ledger import Ledger

ACCOUNTS = ("system", "a", "b", "c")
EDGES = [1, 2, 2**63 - 1, 2**63, 2**128, 2**255, UINT256_MAX - 1, UINT256_MAX]
REQUESTS = st.tuples(
    st.sampled_from(ACCOUNTS),
    st.sampled_from(ACCOUNTS),
    st.one_of(st.integers(1, 50), st.sampled_from(EDGES)),
    st.one_of(st.none(), st.integers(0, 5)),
)
LISTS = st.lists(st.lists(REQUESTS, min_size=1, max_size=5), max_size=12)


class Model:
    """The rules in their shortest form; `post` returns whether the list was taken."""

    def __init__(self) -> None:
        self.balances = dict.fromkeys(ACCOUNTS, 0)
        self.keys: dict[str, tuple] = {}
        self.entries = 0

    def post(self, requests: list[tuple]) -> type[Exception] | None:
        balances, keys, entries = dict(self.balances), dict(self.keys), self.entries
        if any(payer == payee for payer, payee, *_ in requests):
            return SelfTransferError
        for payer, payee, value, key in requests:
            if key is not None and key in keys:
                if keys[key] != (payer, payee, value):
                    return KeyConflictError
                continue
            if payer != "system" and balances[payer] < value:
                return InsufficientBalanceError
            balances[payer] -= value
            balances[payee] += value
            if -balances["system"] > UINT256_MAX:
                return SupplyExceededError
            entries += 1
            if key is not None:
                keys[key] = (payer, payee, value)
        self.balances, self.keys, self.entries = balances, keys, entries
        return None


def compare(url: str, lists: list[list[tuple]]) -> None:
    """Post the lists to a ledger and to the model, and compare after each."""
    with Ledger.create(url, operator=b"\1" * 20) as ledger:
        ledger.create_token("T", "Token", 0)
        for name in ACCOUNTS[1:]:
            ledger.create_account(name)
        model = Model()
        for requests in lists:
            records = [
                ledger.record(
                    payer, payee, value, reason="x",
                    idempotency_key=None if key is None else f"k{key}",
                )
                for payer, payee, value, key in requests
            ]  # fmt: skip
            found: type[Exception] | None = None
            try:
                ledger.post_many(records)
            except Exception as error:
                found = type(error)
            assert model.post(requests) is found
            held = {name: ledger.get_balance(name) for name in ACCOUNTS[1:]}
            assert held == {name: model.balances[name] for name in ACCOUNTS[1:]}
            assert sum(held.values()) == ledger.get_total_supply() == -model.balances["system"]
        page = {e.entry_no for n in ACCOUNTS[1:] for e in ledger.get_statement(n).entries}
        assert model.entries == len(page)


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(LISTS)
def test_random_lists_against_a_dict_on_sqlite(lists: list[list[tuple]]) -> None:
    """Any run of atomic lists does to SQLite what it does to a dict."""
    with TemporaryDirectory() as directory:
        compare(f"sqlite:///{Path(directory) / 'x.db'}", lists)


@settings(
    max_examples=15,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(LISTS)
def test_random_lists_against_a_dict_on_postgresql(
    new_postgres_url, lists: list[list[tuple]]
) -> None:
    """Any run of atomic lists does to PostgreSQL what it does to a dict."""
    compare(new_postgres_url(), lists)
