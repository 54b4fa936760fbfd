"""Accounts: addresses for ever, ids as given, endowments once, pages that do not shift."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from token_ledger.core.address import derive_vault, to_checksum
from token_ledger.errors import (
    AccountExistsError,
    AddressError,
    SystemAccountError,
    TextError,
    UnknownAccountError,
    UnknownTokenError,
    UsageError,
)
from token_ledger.ledger import Ledger
from token_ledger.ledger.accounts import create_missing, find_known, resolve

ONE = 10**18
REGISTERED = "0x52908400098527886E0F7030069857D2E4169EE7"


def test_derived_address_is_the_vaults(ledger: Ledger) -> None:
    """Without an address an account gets that of its vault, which the operator's clone obeys."""
    account = ledger.get_account("alice")
    assert derive_vault(ledger.secret, "alice", ledger.operator) == account.address
    assert account.derived


def test_registered_address_is_kept(ledger: Ledger) -> None:
    """A registered address is checked against EIP-55 and stored."""
    account = ledger.create_account("dora", address=REGISTERED)
    assert (REGISTERED, False) == (to_checksum(account.address), account.derived)
    assert account == ledger.get_account("dora")
    for bad in (REGISTERED.replace("F7", "f7"), "0x12", "0x" + "0" * 40):
        with pytest.raises(AddressError):
            ledger.create_account("erin", address=bad)
    for raw in (bytes(20), b"\1" * 19):
        with pytest.raises(UsageError):
            ledger.create_account("erin", address=raw)


def test_taken_id_and_address_are_refused(ledger: Ledger) -> None:
    """One id, one account; one address, one account; the refusal changes neither."""
    ledger.create_account("dora", address=REGISTERED)
    for account_id, address in (("alice", None), ("alice", REGISTERED), ("erin", REGISTERED)):
        with pytest.raises(AccountExistsError):
            ledger.create_account(account_id, address=address)
    with pytest.raises(AccountExistsError):
        ledger.create_account("erin", address=ledger.get_account("alice").address)
    with pytest.raises(UnknownAccountError):
        ledger.get_account("erin")


def test_existing_account_may_be_taken_as_it_is(ledger: Ledger) -> None:
    """With `exist_ok` a repeat returns the account, unless it names another address."""
    alice = ledger.get_account("alice")
    assert alice == ledger.create_account("alice", exist_ok=True)
    assert alice == ledger.create_account("alice", address=alice.address, exist_ok=True)
    with pytest.raises(AccountExistsError):
        ledger.create_account("alice", address=REGISTERED, exist_ok=True)


def test_endowment_is_minted_once(ledger: Ledger) -> None:
    """The initial balance is a mint under a key of the account's own: once, whatever it was."""
    ledger.create_account("dora", initial_balance="10.5")
    entry = ledger.get_statement("dora").entries[0]
    assert ("endow", "endow:dora", "system", "10.5") == (
        entry.reason,
        entry.idempotency_key,
        entry.from_account,
        entry.amount,
    )
    again = ledger.create_account("dora", initial_balance="10.5", exist_ok=True)
    assert 105 * ONE // 10 == again.balance
    assert again == ledger.create_account("dora", initial_balance=11, exist_ok=True)
    ledger.create_account("emma")
    assert 2 == ledger.seed_accounts(7, reason="welcome")  # carol, and she
    emma = ledger.create_account("emma", initial_balance=8, exist_ok=True)
    assert 7 * ONE == emma.balance
    ledger.create_account("fred")
    with ThreadPoolExecutor(2) as pool:  # at once, with other amounts
        assert 1 == sum(pool.map(ledger.seed_accounts, (7, 9)))
    assert 7 * ONE == ledger.create_account("carol", initial_balance=5, exist_ok=True).balance


def test_refused_endowment_makes_no_account(database_url: str) -> None:
    """Account and mint are one transaction: where the supply is spent neither happens."""
    with Ledger.create(database_url, operator=b"\1" * 20) as ledger:
        ledger.create_token("T", "Token", 0, max_supply=10)
        with pytest.raises(Exception, match="maximum"):
            ledger.create_account("a", initial_balance=11)
        with pytest.raises(UnknownAccountError):
            ledger.get_account("a")


@pytest.mark.parametrize("account_id", ["", " a", "a ", "a\nb", "a\0", "x" * 1001, "\ud800"])
def test_bad_ids_are_refused(account_id: str, ledger: Ledger) -> None:
    """An id is 1 to 1,000 bytes of printable text without white space at its ends."""
    with pytest.raises(TextError):
        ledger.create_account(account_id)


def test_ids_are_taken_as_given(ledger: Ledger) -> None:
    """Scripts, case and composition are kept apart: nothing is normalised."""
    names = ["Alice", "ALICE", "\u00e9", "e\u0301", "鍵 🚀", "x" * 1000, "O'Brien; --", "%s", "?"]
    for name in names:
        ledger.create_account(name, initial_balance=1)
    addresses = {ledger.get_account(name).address for name in names}
    assert len(names) == len(addresses)
    assert [ONE] * len(names) == [ledger.get_balance(name) for name in names]


def test_system_is_no_account(ledger: Ledger) -> None:
    """`system` is neither made nor shown as an account."""
    for verb in (ledger.create_account, ledger.get_account, ledger.get_statement):
        with pytest.raises(SystemAccountError):
            verb("system")
    page, _ = ledger.accounts()
    assert ["alice", "bob", "carol"] == [account.account_id for account in page]


def test_missing_wallet_reads_as_zero(ledger: Ledger) -> None:
    """get_balance of an account that does not exist is 0; get_account of it is an error."""
    assert 0 == ledger.get_balance("nobody") == ledger.get_balance("carol")
    with pytest.raises(UnknownAccountError):
        ledger.get_account("nobody")


def test_pages_of_accounts(ledger: Ledger) -> None:
    """Pages come oldest first and end with no cursor; new accounts do not shift them."""
    for i in range(7):
        ledger.create_account(f"user-{i}")
    seen: list[str] = []
    cursor = None
    while True:
        page, cursor = ledger.accounts(limit=3, cursor=cursor)
        seen += [account.account_id for account in page]
        if cursor is None:
            break
    assert ["alice", "bob", "carol", *(f"user-{i}" for i in range(7))] == seen
    for limit, bad in ((0, None), (1001, None), (True, None), (5, "x"), (5, "-1"), (5, "9" * 30)):
        with pytest.raises(UsageError):
            ledger.accounts(limit=limit, cursor=bad)


def test_accounts_are_the_ledgers_and_balances_the_tokens(ledger: Ledger) -> None:
    """One account holds every token under one address, each with figures of its own."""
    first = ledger.get_account("alice")
    ledger.create_token("TWO", "Second", 0)
    with pytest.raises(UnknownTokenError, match="TKN, TWO"):
        _ = ledger.token
    ledger.use("TWO")
    ledger.mint("alice", 7, reason="x")
    second = ledger.get_account("alice")
    assert (first.address, 7, 0) == (second.address, second.balance, ledger.get_balance("bob"))
    ledger.use("TKN")
    assert first == ledger.get_account("alice")


def test_accounts_before_any_token(database_url: str) -> None:
    """Accounts can be made and listed before the first token, with nothing on them."""
    with Ledger.create(database_url, operator=b"\1" * 20) as ledger:
        account = ledger.create_account("a")
        assert (0, 0, [account]) == (account.balance, account.decimals, ledger.accounts()[0])
        with pytest.raises(UnknownTokenError):
            ledger.create_account("b", initial_balance=1)


def test_many_accounts_are_made_at_once(ledger: Ledger) -> None:
    """`create_missing` makes those that are missing, each once, and returns them all."""
    names = ["alice", *(f"n-{i}" for i in range(1200)), "n-5"]
    with ledger.write() as connection:
        made = create_missing(connection, ledger.context, names)
    with ledger.read() as connection:
        assert made == find_known(connection, names) == resolve(connection, names)
    assert 1201 == len(made)
    assert derive_vault(ledger.secret, "n-7", ledger.operator) == made["n-7"].address


def test_totals_are_all_that_came_and_went(ledger: Ledger) -> None:
    """total_earned counts everything received, mints included; total_spent everything sent."""
    ledger.transfer("alice", "bob", 30, reason="x")
    ledger.transfer("bob", "alice", 5, reason="x")
    ledger.burn("alice", 1, reason="x")
    alice = ledger.get_account("alice")
    assert (74, 105, 31, 0) == tuple(
        n // ONE for n in (alice.balance, alice.total_earned, alice.total_spent, alice.total_staked)
    )
    assert "74" == alice.amount


def test_one_account_made_by_many(ledger: Ledger) -> None:
    """Many who make one account at once all find it made, whoever came first."""
    with ThreadPoolExecutor(8) as pool:
        for round_no in range(10):
            name = f"new-{round_no}"
            made = pool.map(lambda _, n=name: ledger.create_account(n, exist_ok=True), range(8))
            assert 1 == len({account.address for account in made})
