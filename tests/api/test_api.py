"""The HTTP API: the verbs of the ledger, keys with scopes, limits, problems and OpenAPI."""

from __future__ import annotations

import io
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.api.conftest import Api

from token_ledger.api.guard import CALLERS_MAX, JsonLines, Limits, Rates
from token_ledger.core.files import read_proof
from token_ledger.core.verification import verify_proof
from token_ledger.errors import UsageError
from token_ledger.ledger import api_keys
from token_ledger.seal import seal

GIFT = {"from_account": "alice", "to_account": "bob", "amount": "10", "reason": "gift"}


def test_a_transfer_is_answered_as_it_is_posted(api: Api) -> None:
    """A transfer answers 201 with id and balances as strings; the ledger holds that entry."""
    body = GIFT | {
        "reference": {"type": "paper", "id": "7"},
        "memo": "thanks",
        "metadata": {"n": 1},
        "timestamp": "2024-02-29T00:00:00Z",
    }
    answer = api.post("/api/token/transfer", body, scope="write")
    assert 201 == answer.status_code, answer.text
    posted = answer.json()
    assert ("90", "60", "10") == (
        posted["balance_after_from"],
        posted["balance_after_to"],
        posted["amount"],
    )
    entry = api.get(f"/api/token/entries/{posted['id']}", scope="read").json()
    assert ("paper", "7", "thanks", '{"n":1}') == (
        entry["reference_type"],
        entry["reference_id"],
        entry["memo"],
        entry["metadata"],
    )
    page = api.get("/api/token/ledger?account=bob&limit=1", scope="read").json()
    assert [entry] == [e | {"reversed_by": None, "rule": None} for e in page["entries"]]
    older = api.get(f"/api/token/ledger?account=bob&cursor={page['cursor']}").json()
    assert ["endow"] == [e["reason"] for e in older["entries"]]
    assert older["cursor"] is None


def test_a_repeat_answers_as_the_first_did(api: Api) -> None:
    """The same key and request: same answer, marked; the same key, another request: 409."""
    headers = {"Idempotency-Key": "k-1"}
    first = api.post("/api/token/transfer", GIFT, headers=dict(headers))
    again = api.post("/api/token/transfer", GIFT, headers=dict(headers))
    other = api.post("/api/token/transfer", GIFT | {"amount": "11"}, headers=dict(headers))
    assert (201, 201, 409) == (first.status_code, again.status_code, other.status_code)
    assert first.json() | {"repeated": True} == again.json()
    assert (None, "true") == tuple(
        a.headers.get("Idempotent-Replayed") for a in (first, again)
    )  # fmt: skip
    assert "key_conflict" == other.json()["code"]
    assert 60 * 10**18 == api.ledger.get_balance("bob")


def test_reading(api: Api) -> None:
    """Balance, supply and accounts are what the ledger says; a missing wallet reads as zero."""
    balance = api.get("/api/token/balance/alice", scope="read").json()
    expected = {"account_id": "alice", "token": "TKN", "amount": "100", "value": str(10**20)}
    assert expected == balance
    assert "0" == api.get("/api/token/balance/nobody").json()["amount"]
    assert 404 == api.get("/api/token/accounts/nobody").status_code
    supply = api.get("/api/token/supply").json()
    assert ("150", "150", "0") == (
        supply["amount"],
        supply["total_minted"],
        supply["total_burned"],
    )
    assert ("150", 2) == (supply["circulating"], supply["distribution"]["holders"])
    whole = api.get("/api/token/supply?since=2026-01-01&until=2026-02-01&top=1").json()
    assert "2026-01-01" == whole["velocity"]["since"]
    assert [{"account_id": "alice", "amount": "100"}] == whole["distribution"]["top"]
    assert "bad_usage" == api.get("/api/token/supply?until=0001-01-05").json()["code"]
    assert 400 == api.get("/api/token/supply?since=0").status_code
    page = api.get("/api/token/accounts?limit=1").json()
    rest = api.get(f"/api/token/accounts?cursor={page['cursor']}").json()
    assert ["alice"] == [a["account_id"] for a in page["accounts"]]
    assert "bob" in [a["account_id"] for a in rest["accounts"]]


def test_minting_burning_and_accounts(api: Api) -> None:
    """An account is made, endowed, minted to and burned from, each by a key that may."""
    made = api.post("/api/token/accounts", {"account_id": "carol"}, scope="write")
    assert (201, "0") == (made.status_code, made.json()["balance"])
    words = {"account_id": "carol", "amount": "5", "reason": "gift"}
    assert "5" == api.post("/api/token/mint", words, scope="mint").json()["balance_after_to"]
    burned = api.post("/api/token/burn", words | {"amount": "2"}, scope="mint").json()
    assert ("3", "153") == (burned["balance_after_from"], burned["supply_after"])
    endowed = {"account_id": "dave", "initial_balance": "1"}
    assert 403 == api.post("/api/token/accounts", endowed, scope="write").status_code
    assert 201 == api.post("/api/token/accounts", endowed).status_code
    assert 409 == api.post("/api/token/accounts", {"account_id": "dave"}).status_code


def test_a_proof_holds(api: Api) -> None:
    """The proof of a sealed entry verifies against the batch's digest; an unsealed one is 404."""
    entry_id = api.post("/api/token/transfer", GIFT).json()["id"]
    assert 404 == api.get(f"/api/token/proofs/{entry_id}").status_code
    seal(api.ledger)
    document = api.get(f"/api/token/proofs/{entry_id}", scope="read").json()
    (batch,) = api.get("/api/token/batches").json()["batches"]
    assert batch["digest"] == document["digest"]
    assert not verify_proof(read_proof(document)).findings


@pytest.mark.parametrize(
    ("path", "scope"),
    [
        ("/api/token/balance/alice", "read"),
        ("/api/token/ledger?account=alice", "read"),
        ("/metrics", "read"),
        ("/api/token/transfer", "write"),
        ("/api/token/mint", "mint"),
        ("/api/token/burn", "mint"),
        ("/api/token/accounts", "write"),
    ],
)
def test_nothing_opens_without_its_key(path: str, scope: str, api: Api) -> None:
    """Without a key 401, with a wrong or revoked one 401, with another scope's 403."""
    bodies = {"/api/token/transfer": GIFT, "/api/token/accounts": {"account_id": "x"}}
    body = bodies.get(path, {"account_id": "bob", "amount": "1", "reason": "x"})
    method = "GET" if scope == "read" else "POST"
    wrong = api.keys[scope][:-1] + ("0" if api.keys[scope][-1] != "0" else "1")
    for offered in (None, "nonsense", "tl_00", wrong):
        answer = api.call(method, path, scope=offered, json=body)
        assert (401, "no_key") == (answer.status_code, answer.json()["code"])
        assert "Bearer" == answer.headers["WWW-Authenticate"]
    for other in {"read", "write", "mint"} - {scope}:
        answer = api.call(method, path, scope=other, json=body)
        assert (403, "scope_missing") == (answer.status_code, answer.json()["code"])
    key_id = api.keys[scope].split("_")[1]
    api.ledger.run(lambda c: api_keys.revoke_key(c, key_id, now=api.ledger.now()))
    assert 401 == api.call(method, path, scope=scope, json=body).status_code
    with pytest.raises(UsageError):
        api.ledger.run(lambda c: api_keys.revoke_key(c, key_id, now=api.ledger.now()))
    assert 50 * 10**18 == api.ledger.get_balance("bob")


def test_keys_are_stored_hashed(api: Api) -> None:
    """No table holds a key's secret, nor can a key be changed or opened again."""
    with api.ledger.read() as connection:
        rows = connection.exec_driver_sql("SELECT * FROM api_keys").all()
    secret = api.keys["read"].split("_")[2]
    assert all(bytes.fromhex(secret) not in map(bytes, (r.key_hash,)) for r in rows)
    assert secret not in str(rows)
    for change in ("scopes = 'admin'", "created_at = 1"):
        with pytest.raises(Exception, match="never changed"), api.ledger.write() as connection:
            connection.exec_driver_sql(f"UPDATE api_keys SET {change} WHERE scopes = 'read'")
    with pytest.raises(UsageError, match="not scopes"):
        api.ledger.run(lambda c: api_keys.create_key(c, ["root"], now=1))


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"amount": "1000"}, 422, "insufficient_balance"),
        ({"amount": "0"}, 422, "amount_out_of_range"),
        ({"amount": "-1"}, None, None),
        ({"amount": "1.0000000000000000001"}, 400, "bad_amount"),
        ({"amount": 1}, 400, "bad_request"),
        ({"amount": 1.5}, 400, "bad_request"),
        ({"to_account": "nobody"}, 404, "unknown_account"),
        ({"to_account": "alice"}, 422, "self_transfer"),
        ({"timestamp": "yesterday"}, 400, "bad_timestamp"),
        ({"metadata": {"n": 2**60}}, 400, "bad_metadata"),
        ({"memo": "\x00"}, 400, "bad_text"),
        ({"colour": "blue"}, 400, "bad_request"),
    ],
)
def test_errors_are_problems(
    changes: dict[str, Any], status: int | None, code: str | None, api: Api
) -> None:
    """Every refusal is RFC 9457 with a stable code, and posts nothing."""
    answer = api.post("/api/token/transfer", GIFT | changes)
    problem = answer.json()
    assert "application/problem+json" == answer.headers["Content-Type"]
    assert problem["status"] == answer.status_code
    assert f"urn:token-ledger:problem:{problem['code']}" == problem["type"]
    if status is not None:
        assert (status, code) == (answer.status_code, problem["code"])
    assert 400 <= answer.status_code < 500
    assert 50 * 10**18 == api.ledger.get_balance("bob")


def test_unknown_paths_and_pages_are_problems(api: Api) -> None:
    """Unknown routes, methods, page sizes and cursors are problems too."""
    for path, status in (
        ("/nothing", 404),
        ("/api/token/transfer", 405),
        ("/api/token/ledger?account=alice&limit=1001", 400),
        ("/api/token/ledger?account=alice&cursor=x", 400),
        ("/api/token/ledger?direction=in", 400),
        ("/api/token/ledger?reference_id=7", 400),
        ("/api/token/entries/0x12", 400),
        (f"/api/token/entries/0x{'00' * 32}", 404),
    ):
        answer = api.get(path)
        assert status == answer.status_code, path
        assert "application/problem+json" == answer.headers["Content-Type"]


def test_many_callers_at_once(api: Api) -> None:
    """Concurrent spends of the same money: exactly what is there is spent."""

    def spend(_: int) -> int:
        return api.post("/api/token/transfer", GIFT | {"amount": "5"}).status_code

    with ThreadPoolExecutor(16) as pool:
        statuses = sorted(pool.map(spend, range(30)))
    assert [201] * 20 + [422] * 10 == statuses
    assert 150 * 10**18 == api.ledger.get_balance("bob")


def test_public_reading_and_limits(public: Api) -> None:
    """With public reading no key is needed to read, but to write; size and rate are limited."""
    assert 200 == public.get("/api/token/supply", scope=None).status_code
    assert 401 == public.post("/api/token/transfer", GIFT, scope=None).status_code
    large = public.post("/api/token/transfer", GIFT | {"memo": "x" * 600})
    assert (413, "http_413") == (large.status_code, large.json()["code"])
    pieces = (
        json.dumps(GIFT | {"memo": "x" * 600}).encode()[n : n + 50] for n in range(0, 600, 50)
    )
    chunked = public.call("POST", "/api/token/transfer", data=pieces)
    assert 413 == chunked.status_code
    assert 200 == public.get("/api/token/supply").status_code  # from now on a known key
    statuses = [public.get("/api/token/supply", scope=None).status_code for _ in range(12)]
    assert 429 == statuses[-1]
    assert 429 == public.get("/api/token/supply", scope="made-up").status_code
    assert 200 == public.get("/api/token/supply").status_code


def test_rates_refill() -> None:
    """A bucket empties, says how long to wait, and refills with time."""
    moment = 0.0
    rates = Rates(Limits(requests_per_s=2, burst=2), clock=lambda: moment)
    assert [0, 0, 0.5] == [rates.spend("a") for _ in range(3)]
    assert 0 == rates.spend("b")
    moment = 0.5
    assert 0 == rates.spend("a")


def test_many_callers_refill_nobody() -> None:
    """Of too many callers, the one who asked least lately is forgotten, not everybody."""
    rates = Rates(Limits(requests_per_s=1, burst=1), clock=lambda: 0.0)
    assert 0 == rates.spend("first")
    for number in range(CALLERS_MAX - 1):
        rates.spend(str(number))
    assert 1 == rates.spend("first")
    rates.spend("another")
    assert [1, 0] == [rates.spend("first"), rates.spend("0")]


def test_a_key_that_is_known_has_its_own_bucket() -> None:
    """What is not known to be a key takes from its address; a key that is withdrawn does again."""
    rates = Rates(Limits())
    assert "address h" == rates.caller("key", "h") == rates.caller(None, "h")
    rates.note("key", "k1")
    assert ["k1", "address h"] == [rates.caller("key", "h"), rates.caller("other", "h")]
    rates.note("key", None)
    assert "address h" == rates.caller("key", "h")


def test_health_metrics_and_log(api: Api) -> None:
    """Health needs no key; metrics count by route; the log names no account and no amount."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    logger = logging.getLogger("token_ledger.api")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        assert {"status": "ok"} == api.get("/health", scope=None).json()
        api.get("/api/token/balance/alice")
        api.post("/api/token/transfer", GIFT | {"amount": "100000"})
        text = api.get("/metrics", scope="read").text
    finally:
        logger.removeHandler(handler)
    route = 'method="GET",route="/api/token/balance/{account_id}",status="200"'
    assert f"token_ledger_request_seconds_count{{{route}}} 1" in text
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert {"request"} == {line["event"] for line in lines}
    assert 422 in [line["status"] for line in lines]
    assert api.keys["admin"].split("_")[1] in [line["key"] for line in lines]
    for word in ("alice", "bob", "100000", "gift", api.keys["admin"]):
        assert word not in stream.getvalue()
        assert word not in text


def test_openapi_is_complete(api: Api) -> None:
    """Every route says what it takes, what it answers, and which problems it may answer with."""
    document = api.get("/openapi.json", scope=None).json()
    assert "Problem" in document["components"]["schemas"]
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert operation["description"], path
            good = operation["responses"].get("201") or operation["responses"]["200"]
            assert good["content"], path
            if path == "/health":
                continue
            assert operation["security"], path
            assert {"400", "401", "403", "429", "503"} <= set(operation["responses"]), path
    text = json.dumps(document)
    for name in set(json.loads(json.dumps(text.split("#/components/schemas/")))[1:]):
        assert name.split('"')[0] in document["components"]["schemas"]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=6,
)
_FIELDS = st.sampled_from([*GIFT, "memo", "metadata", "timestamp", "reference", "account_id"])


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.sampled_from(["transfer", "mint", "burn", "accounts"]),
    changes=st.dictionaries(_FIELDS, _JSON, max_size=4),
    raw=st.none() | st.binary(max_size=30),
)
def test_no_body_breaks_the_server(
    path: str, changes: dict[str, Any], raw: bytes | None, api: Api
) -> None:
    """Whatever is sent, the answer is a result or a documented problem, never a 500."""
    options = {"data": json.dumps(GIFT | changes) if raw is None else raw}
    answer = api.call("POST", f"/api/token/{path}", **options)
    document = api.get("/openapi.json", scope=None).json()
    documented = document["paths"][f"/api/token/{path}"]["post"]["responses"]
    assert str(answer.status_code) in documented, answer.text
    if answer.status_code != 201:
        assert answer.json()["code"]
