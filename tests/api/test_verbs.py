"""Every verb over HTTP, each with its scope: awards, holds, lists, reversal, limits, batches."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.api.conftest import Api

from token_ledger.core.files import read_batch
from token_ledger.seal import seal

ONE = 10**18
PATH = "/api/token"


def put(api: Api, path: str, body: Any, **options: Any) -> Any:
    return api.call("PUT", f"{PATH}{path}", json=body, **options)


def post(api: Api, path: str, body: Any, **options: Any) -> Any:
    return api.post(f"{PATH}{path}", body, **options)


def test_rules_and_awards(api: Api) -> None:
    """A rule is set, applied, changed and retired; an award says its version, repeats too."""
    terms = {"base_amount": "1.5", "multiplier": "2", "count_max": 2, "period_s": 86_400}
    made = put(api, "/rules/publish", terms)
    assert (200, 1, False) == (made.status_code, made.json()["version"], made.json()["retired"])
    body = {"account_id": "dora", "action": "publish", "reference": {"type": "p", "id": "7"}}
    headers = {"Idempotency-Key": "k"}
    first = post(api, "/award", body, scope="mint", headers=dict(headers))
    assert (201, "3", "3", 1) == (
        first.status_code,
        first.json()["amount"],
        first.json()["balance_after_to"],
        first.json()["rule_version"],
    )
    assert 2 == put(api, "/rules/publish", terms | {"base_amount": "9"}).json()["version"]
    again = post(api, "/award", body, scope="mint", headers=dict(headers))
    assert first.json() | {"repeated": True} == again.json()
    assert "true" == again.headers["Idempotent-Replayed"]
    entry = api.get(f"{PATH}/entries/{first.json()['id']}", scope="read").json()
    assert ({"action": "publish", "version": 1}, None) == (entry["rule"], entry["reversed_by"])
    assert 201 == post(api, "/award", body).status_code
    capped = post(api, "/award", body)
    assert (422, "earning_cap") == (capped.status_code, capped.json()["code"])
    assert api.call("DELETE", f"{PATH}/rules/publish").json()["retired"]
    unknown = post(api, "/award", body)
    assert (404, "unknown_rule") == (unknown.status_code, unknown.json()["code"])
    assert [] == api.get(f"{PATH}/rules", scope="read").json()["rules"]
    history = api.get(f"{PATH}/rules?history=true", scope="read").json()["rules"]
    assert [1, 2, 3] == [rule["version"] for rule in history]
    assert "9" == api.get(f"{PATH}/rules/publish?version=2", scope="read").json()["base_amount"]


def test_holds(api: Api) -> None:
    """Hold, capture, release and expire; the list holds what has not ended."""
    held = post(api, "/holds", {"account_id": "alice", "amount": "9"}, scope="write").json()
    listed = api.get(f"{PATH}/holds?account=alice", scope="read").json()["holds"]
    assert [(held["id"], "9", "9")] == [(h["id"], h["amount"], h["remaining"]) for h in listed]
    path = f"/holds/{held['id']}"
    taken = post(api, f"{path}/capture", {"amount": "4", "to": "bob"}, scope="write")
    assert (201, "54") == (taken.status_code, taken.json()["balance_after_to"])
    assert "5" == post(api, f"{path}/release", {}, scope="write").json()["amount"]
    found = api.get(f"{PATH}{path}", scope="read").json()
    assert ("4", "0", True) == (found["captured"], found["remaining"], found["ended"])
    assert 422 == post(api, f"{path}/release", {}).status_code
    assert {"expired": 0} == post(api, "/expire", None, scope="write").json()
    assert 404 == api.get(f"{PATH}/holds/0x{'00' * 32}").status_code


def test_lists(api: Api) -> None:
    """A list lands whole, or each by itself; under one key again it changes nothing."""
    good = {"from_account": "alice", "to_account": "bob", "amount": "1", "reason": "gift"}
    bad = good | {"amount": "1000"}
    refused = post(api, "/postings", {"postings": [good, bad]}, scope="write")
    assert (422, "insufficient_balance") == (refused.status_code, refused.json()["code"])
    assert 50 * ONE == api.ledger.get_balance("bob")
    body = {"postings": [good, bad, good], "atomic": False}
    headers = {"Idempotency-Key": "k"}
    first = post(api, "/postings", body, scope="write", headers=dict(headers)).json()["items"]
    assert [None, "insufficient_balance", None] == [
        i["error"] and i["error"]["code"] for i in first
    ]
    again = post(api, "/postings", body, scope="write", headers=dict(headers)).json()["items"]
    assert [i["posted"] and i["posted"] | {"repeated": True} for i in first] == [
        i["posted"] for i in again
    ]
    assert 52 * ONE == api.ledger.get_balance("bob")
    for other in (
        body | {"atomic": True},
        body | {"postings": [good, bad, good, good]},
        body | {"postings": [good, good, good]},
        body | {"postings": [good]},
    ):
        conflict = post(api, "/postings", other, scope="write", headers=dict(headers))
        assert (409, "key_conflict") == (conflict.status_code, conflict.json()["code"])
    moved = post(api, "/transfer", good, scope="write", headers={"Idempotency-Key": "k:0"})
    assert (201, None) == (moved.status_code, moved.headers.get("Idempotent-Replayed"))
    whole = {"postings": [good, good]}
    for said in (None, "true"):
        answer = post(api, "/postings", whole, scope="write", headers={"Idempotency-Key": "w"})
        assert (200, said) == (answer.status_code, answer.headers.get("Idempotent-Replayed"))
    own = {"postings": [good | {"idempotency_key": "mine"}]}
    both = post(api, "/postings", own, scope="write", headers={"Idempotency-Key": "x"})
    assert 400 <= both.status_code < 500
    assert 55 * ONE == api.ledger.get_balance("bob")
    issued = {"postings": [good | {"from_account": "system"}]}
    assert 403 == post(api, "/postings", issued, scope="write").status_code
    assert 200 == post(api, "/postings", issued).status_code
    assert 400 == post(api, "/postings", {"postings": []}).status_code


def test_applications_words(api: Api) -> None:
    """Credit makes the account, spend pays, debit takes back, seed endows once, reverse undoes."""
    words = {"account_id": "dora", "amount": "5", "reason": "gift"}
    assert 404 == post(api, "/credit", words, scope="mint").status_code
    made = post(api, "/credit", words | {"create_account": True}, scope="mint")
    assert (201, "5") == (made.status_code, made.json()["balance_after_to"])
    paid = post(api, "/spend", words | {"amount": "2", "to": "bob"}, scope="write").json()
    assert "3" == paid["balance_after_from"]
    assert "2" == post(api, "/debit", words | {"amount": "1"}, scope="mint").json()[
        "balance_after_from"
    ]  # fmt: skip
    assert {"seeded": 1} == post(api, "/seed", {"amount": "7"}, scope="mint").json()
    back = post(api, f"/entries/{paid['id']}/reverse", {"amount": "1"})
    assert (201, "10") == (back.status_code, back.json()["balance_after_to"])
    entry = api.get(f"{PATH}/entries/{paid['id']}").json()
    assert back.json()["id"] == entry["reversed_by"]
    assert 403 == post(api, f"/entries/{paid['id']}/reverse", {}, scope="mint").status_code
    history = api.get(f"{PATH}/history/dora?limit=2&offset=1", scope="read").json()
    assert ["endow", "gift"] == [e["reason"] for e in history["entries"]]


def test_controls(api: Api) -> None:
    """Limits, freezing, closing, overdrafts and writing off, each for an administrator alone."""
    gift = {"from_account": "alice", "to_account": "bob", "amount": "10", "reason": "gift"}

    def refused(code: str) -> None:
        answer = post(api, "/transfer", gift)
        assert (422, code) == (answer.status_code, answer.json()["code"])

    assert "55" == put(api, "/limits/balance", {"maximum": "55"}).json()["maximum"]
    refused("balance_limit")
    put(api, "/accounts/bob/limits/balance", {"maximum": "500"})
    spending = {"maximum": "9", "period_s": 60}
    assert (
        spending | {"account_id": "alice"}
        == put(api, "/accounts/alice/limits/spending", spending).json()
    )
    refused("spend_limit")
    assert 400 == put(api, "/accounts/alice/limits/spending", {"maximum": "1"}).status_code
    put(api, "/accounts/alice/limits/spending", {"maximum": None})
    assert post(api, "/accounts/alice/freeze", None).json()["frozen"]
    refused("account_frozen")
    assert not post(api, "/accounts/alice/unfreeze", None).json()["frozen"]
    assert 422 == post(api, "/accounts/alice/close", None).status_code
    post(api, "/accounts", {"account_id": "a/b"})
    assert post(api, "/accounts/a%2Fb/close", None).json()["closed"]
    put(api, "/accounts/bob/limits/overdraft", {"maximum": "5"})
    spent = post(api, "/spend", {"account_id": "bob", "amount": "52", "reason": "x"}).json()
    assert "-2" == spent["balance_after_from"]
    debtors = api.get(f"{PATH}/debtors", scope="read").json()["accounts"]
    assert [("bob", "2")] == [(a["account_id"], a["debt"]) for a in debtors]
    done = post(api, "/accounts/bob/write-off", {"by": "me", "reason": "gone"})
    assert [done.json()] == api.get(f"{PATH}/write-offs").json()["write_offs"]
    for path in ("/accounts/bob/freeze", "/accounts/bob/write-off"):
        assert 403 == post(api, path, {}, scope="mint").status_code
    assert 403 == put(api, "/limits/balance", {"maximum": "1"}, scope="mint").status_code
    assert 403 == api.get(f"{PATH}/write-offs", scope="read").status_code


def test_balances_as_they_were(api: Api) -> None:
    """A balance as of an entry or a time; of a missing account it is 0."""
    first = api.ledger.get_history("alice")[0]
    post(api, "/transfer", {"from_account": "alice", "to_account": "bob", "amount": "1",
                            "reason": "x"})  # fmt: skip
    for entry in (first.entry_no, "0x" + first.id.hex()):
        found = api.get(f"{PATH}/balance/alice?at_entry={entry}", scope="read").json()
        assert ("100", first.entry_no, False) == (
            found["amount"],
            found["entry_no"],
            found["back_dated"],
        )
    assert "99" == api.get(f"{PATH}/balance/alice?at_time=2999-01-01T00:00:00Z").json()["amount"]
    both = api.get(f"{PATH}/balance/alice?at_time=2999-01-01T00:00:00Z&at_entry=1")
    assert (400, "bad_usage") == (both.status_code, both.json()["code"])


def test_files_are_as_export_and_prove_write_them(api: Api, tmp_path: Any) -> None:
    """A batch is its file, byte for byte; texts are opened for an administrator alone."""
    posted = post(api, "/transfer", {"from_account": "alice", "to_account": "bob", "amount": "1",
                                     "reason": "x", "memo": "private"}).json()  # fmt: skip
    seal(api.ledger)
    answer = api.get(f"{PATH}/batches/1", scope="read")
    assert "application/json" == answer.headers["Content-Type"]
    assert 3 == len(read_batch(json.loads(answer.content)).entries)
    assert answer.content.endswith(b"}\n")
    assert 404 == api.get(f"{PATH}/batches/2").status_code
    path = f"{PATH}/proofs/{posted['id']}"
    assert "private" not in api.get(path, scope="read").text
    assert 403 == api.get(f"{path}?opened=true", scope="read").status_code
    assert "private" in api.get(f"{path}?opened=true").text


def test_opened_proofs_need_a_key_where_reading_needs_none(public: Api) -> None:
    """Public reading opens no texts."""
    posted = public.ledger.transfer("alice", "bob", 1, reason="x")
    seal(public.ledger)
    path = f"{PATH}/proofs/0x{posted.id.hex()}"
    assert 200 == public.get(path, scope=None).status_code
    assert 400 == public.get(f"{path}?opened=true", scope=None).status_code


@pytest.mark.parametrize("name", ["a/b", "user:1", "ü", "a b", "a%2Fb", "freeze"])
def test_any_account_id_is_reached(name: str, api: Api) -> None:
    """Whatever an account is called, its routes find it."""
    from urllib.parse import quote

    made = post(api, "/accounts", {"account_id": name, "initial_balance": "1"})
    assert 201 == made.status_code
    again = post(api, "/accounts", {"account_id": name, "exist_ok": True})
    assert made.json() == again.json()
    path = quote(name, safe="")
    assert "1" == api.get(f"{PATH}/balance/{path}").json()["amount"]
    assert name == api.get(f"{PATH}/accounts/{path}").json()["account_id"]
    assert post(api, f"/accounts/{path}/freeze", None).json()["frozen"]


def test_the_whole_ledger_and_its_feed(api: Api) -> None:
    """All entries newest first, by what they are about; the feed gives each once, first first."""
    gift = {"from_account": "alice", "to_account": "bob", "amount": "1", "reason": "gift:a"}
    about = gift | {"reference": {"type": "paper", "id": "7"}, "reason": "gift:b"}
    for body in (gift, about, gift):
        post(api, "/transfer", body)

    def reasons(query: str) -> list[str]:
        entries = api.get(f"{PATH}/ledger?{query}", scope="read").json()["entries"]
        return [entry["reason"] for entry in entries]

    assert ["gift:a", "gift:b", "gift:a", "endow", "endow"] == reasons("")
    assert ["gift:a", "gift:b", "gift:a"] == reasons("reason_prefix=gift:")
    assert ["gift:b"] == reasons("reference_type=paper&reference_id=7")
    assert ["gift:b"] == reasons("account=bob&counterparty=alice&direction=in&reason=gift:b")
    assert [] == reasons("since=2999-01-01T00:00:00Z")
    pages, cursor = [], ""
    while cursor is not None:
        page = api.get(f"{PATH}/ledger?limit=2{cursor and '&cursor=' + cursor}").json()
        pages += [entry["entry_no"] for entry in page["entries"]]
        cursor = page["cursor"]
    assert [5, 4, 3, 2, 1] == pages
    feed, after = [], 0
    while page := api.get(f"{PATH}/entries?after={after}&limit=2").json():
        feed += [entry["entry_no"] for entry in page["entries"]]
        if not page["entries"]:
            break
        after = page["after"]
    assert [1, 2, 3, 4, 5] == feed
    table = api.get(f"{PATH}/statement/bob", scope="read")
    assert table.headers["Content-Type"].startswith("text/csv")
    assert 5 == len(table.text.splitlines())


def test_words_are_erased_by_an_administrator(api: Api) -> None:
    """Redaction empties the words, is seen, and leaves id and amount."""
    body = {"from_account": "alice", "to_account": "bob", "amount": "1", "reason": "x"}
    entry = post(api, "/transfer", body | {"memo": "private"}).json()["id"]
    path = f"{PATH}/entries/{entry}"
    assert api.get(f"{path}/redaction", scope="read").json() is None
    assert 403 == post(api, f"/entries/{entry}/redact", {}, scope="mint").status_code
    assert ["memo"] == post(api, f"/entries/{entry}/redact", {"fields": ["memo"]}).json()["fields"]
    found = api.get(path).json()
    assert (None, "x", "1", True) == tuple(
        found[name] for name in ("memo", "reason", "amount", "redacted")
    )
    assert ["memo"] == api.get(f"{path}/redaction", scope="read").json()["fields"]


def test_limits_are_told_and_unknown_holds_are_not_found(api: Api) -> None:
    """What was set stands in the account; a hold that is none is 404 for every verb."""
    put(api, "/accounts/bob/limits/balance", {"maximum": "80"})
    put(api, "/accounts/bob/limits/spending", {"maximum": "8", "period_s": 3600})
    bob = api.get(f"{PATH}/accounts/bob").json()
    assert ("80", "8", 3600) == (bob["balance_max"], bob["spend_max"], bob["spend_period_s"])
    none = "0x" + "0" * 64
    for answered in (
        api.get(f"{PATH}/holds/{none}"),
        post(api, f"/holds/{none}/capture", {}),
        post(api, f"/holds/{none}/release", {}),
    ):
        assert (404, "unknown_hold") == (answered.status_code, answered.json()["code"])
