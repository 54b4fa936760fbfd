"""Check, recalc, findings and tokens over HTTP: by an admin's key alone, on each engine."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests import books
from tests.api.conftest import Api, book, serve
from tests.damage import damage, number
from tests.onchain import ENTRIES, SMALL

from token_ledger.api import Limits
from token_ledger.chain.rpc import Rpc, hex_data
from token_ledger.ingest import ingest
from token_ledger.ledger import mirror
from token_ledger.migrate import migrate
from token_ledger.reconcile import reconcile
from token_ledger.seal import seal
from token_ledger.sign import sign

WORDS = {"by": "Grace", "reason": "see the letter of May"}


def test_recalc_tells_and_then_corrects(api: Api) -> None:
    """By default nothing is changed; `dry_run: false` puts right what drifted, once."""
    wrong = number(api.ledger, 7)
    damage(api.ledger, "token_accounts", f"UPDATE token_accounts SET balance = {wrong}")
    told = api.post("/api/token/recalc", {}).json()
    assert (True, 2, 0, 2) == (
        told["dry_run"], told["drifted"], told["corrected"], told["findings_total"],
    )  # fmt: skip
    assert {"figure_drift"} == {finding["kind"] for finding in told["findings"]}
    assert "alice" not in str(told)
    done = api.post("/api/token/recalc", {"dry_run": False}).json()
    assert (2, 2) == (done["drifted"], done["corrected"])
    assert 0 == api.post("/api/token/recalc", {}).json()["findings_total"]
    assert "100" == api.get("/api/token/balance/alice").json()["amount"]


def test_check_proves_the_database(api: Api) -> None:
    """A clean ledger is clean, level by level; a broken one is answered with its findings."""
    clean = api.get("/api/token/check").json()
    assert (True, [], 0) == (clean["clean"], clean["findings"], clean["findings_total"])
    assert {"ok"} == {level["status"] for level in clean["checks"]}
    wrong = number(api.ledger, 7)
    damage(api.ledger, "token_accounts", f"UPDATE token_accounts SET total_staked = {wrong}")
    broken = api.get("/api/token/check").json()
    assert not broken["clean"]
    assert broken["findings_total"] >= 2
    assert "alice" not in str(broken)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/api/token/check", None),
        ("POST", "/api/token/recalc", {}),
        ("GET", "/api/token/findings", None),
        ("POST", "/api/token/findings/01234567/acknowledge", {}),
        ("POST", "/api/token/findings/01234567/withdraw", {}),
        ("POST", "/api/token/tokens", {}),
    ],
)
def test_upkeep_is_the_admins(api: Api, method: str, path: str, body: object) -> None:
    """No other key opens it."""
    for scope in ("read", "write", "mint"):
        refused = api.call(method, path, scope=scope, json=body)
        assert (403, "scope_missing") == (refused.status_code, refused.json()["code"])


def test_one_at_a_time_and_only_so_large(sqlite_url: str, tmp_path: Path) -> None:
    """While one runs another is told to wait; beyond the limit the machine's command is named."""
    ledger = book(sqlite_url, tmp_path)
    for api in serve(ledger, limits=Limits(upkeep_entries_max=2)):
        assert 200 == api.get("/api/token/check").status_code
        ledger.mint("alice", 1, reason="one more")
        for refused in (api.get("/api/token/check"), api.post("/api/token/recalc", {})):
            assert (422, "ledger_too_large") == (refused.status_code, refused.json()["code"])


def test_another_waits(api_app_under_way: Api) -> None:
    """What comes while a check runs is refused, and says when to ask again."""
    refused = api_app_under_way.get("/api/token/check")
    assert (429, "upkeep_under_way") == (refused.status_code, refused.json()["code"])
    assert int(refused.headers["Retry-After"]) > 0


@pytest.fixture
def api_app_under_way(sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """Yield an API in which a check is under way, for ever."""
    held = asyncio.Lock()
    asyncio.run(held.acquire())
    monkeypatch.setattr("token_ledger.api.app.asyncio.Lock", lambda: held)
    yield from serve(book(sqlite_url, tmp_path))


def test_tokens_are_made_and_the_served_one_stays(api: Api) -> None:
    """A new token is listed, and the server goes on serving its own, for reading and posting."""
    body = {"symbol": "GEM", "name": "Gem", "decimals": 2, "max_supply": "1000"}
    made = api.post("/api/token/tokens", body)
    assert (201, "GEM", "1000") == (
        made.status_code, made.json()["symbol"], made.json()["max_supply"],
    )  # fmt: skip
    taken = api.post("/api/token/tokens", body)
    assert (409, "token_exists") == (taken.status_code, taken.json()["code"])
    found = api.get("/api/token/tokens", scope="read").json()
    served = api.ledger.token.symbol
    assert ([served, "GEM"], served) == ([t["symbol"] for t in found["tokens"]], found["served"])
    posted = api.post("/api/token/mint", {"account_id": "alice", "amount": "1", "reason": "x"})
    assert (201, "101") == (posted.status_code, posted.json()["balance_after_to"])
    assert "101" == api.get("/api/token/balance/alice").json()["amount"]
    for wrong in ({"decimals": 78}, {"symbol": ""}, {"name": " x"}, {"max_supply": "-1"}):
        assert 400 == api.post("/api/token/tokens", body | {"symbol": "NEW"} | wrong).status_code


def test_findings_are_listed_and_acknowledged(
    database_url: str, tmp_path: Path, fresh_anvil: str
) -> None:
    """What `reconcile` found is listed, acknowledged and withdrawn; ids that are none are 404."""
    ledger = books.create(database_url, tmp_path)
    books.fill(ledger, ENTRIES)
    seal(ledger, gas_max=SMALL)
    sign(ledger, books.operator())
    migrate(ledger, fresh_anvil)
    ingest(ledger, fresh_anvil)
    with ledger.read() as connection:
        stored = mirror.contract_of(connection, ledger.token)
    assert stored is not None
    holder = hex_data(ledger.get_account("alice").address)
    with Rpc(fresh_anvil) as rpc:
        rpc.call("anvil_dealERC20", [holder, hex_data(stored.address), hex(7)])
        rpc.call("anvil_mine", ["0x1"])
    reconcile(ledger, fresh_anvil)
    for api in serve(ledger):
        (found,) = api.get("/api/token/findings").json()["findings"]
        assert ("open", None) == (found["state"], found["acknowledgement"])
        path = f"/api/token/findings/{found['id']}"
        said = api.post(f"{path}/acknowledge", {**WORDS, "until": "2030-01-01T00:00:00Z"}).json()
        assert "acknowledged" == said["state"]
        assert WORDS == {name: said["acknowledgement"][name] for name in WORDS}
        back = api.post(f"{path}/withdraw", WORDS).json()
        assert ("open", "it was withdrawn") == (back["state"], back["acknowledgement"]["ended"])
        assert 400 == api.post(f"{path}/withdraw", WORDS).status_code
        late = {**WORDS, "until": "1999-01-01T00:00:00Z"}
        assert 400 == api.post(f"{path}/acknowledge", late).status_code
        none = api.post(f"/api/token/findings/{'0' * 64}/withdraw", WORDS)
        assert (404, "unknown_finding") == (none.status_code, none.json()["code"])
