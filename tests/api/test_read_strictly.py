"""What a request says is read in one way only, or refused."""

from __future__ import annotations

import http.client
import json
import re
from urllib.parse import urlsplit

import pytest
from tests.api.conftest import Api

ONE = 10**18
GIFT = {"from_account": "alice", "to_account": "bob", "amount": "1", "reason": "gift"}


def send(api: Api, body: str, keys: tuple[bytes, ...] = ()) -> tuple[int, dict[str, object]]:
    """Send a transfer as these bytes; return the status and what is answered."""
    connection = http.client.HTTPConnection(urlsplit(api.url).netloc, timeout=30)
    connection.putrequest("POST", "/api/token/transfer")
    connection.putheader("Authorization", f"Bearer {api.keys['write']}")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(len(body.encode())))
    for key in keys:
        connection.putheader("Idempotency-Key", key)
    connection.endheaders(body.encode())
    answer = connection.getresponse()
    said = json.loads(answer.read())
    connection.close()
    return answer.status, said


@pytest.mark.parametrize(
    "keys", [("prämie:1".encode(),), ("prämie:1".encode("latin-1"),), (b"a", b"b"), (b"a", b"a")]
)
def test_a_key_that_could_be_read_otherwise_is_refused(api: Api, keys: tuple[bytes, ...]) -> None:
    """A header that is not ASCII posts nothing, nor do two: another way in would pay again."""
    status, said = send(api, json.dumps(GIFT), keys)
    assert (400, "bad_request") == (status, said["code"])
    assert 50 * ONE == api.ledger.get_balance("bob")


@pytest.mark.parametrize("key", ["k", "a key: 1", "k" * 300])
def test_a_key_is_the_same_over_http(api: Api, key: str) -> None:
    """What was posted in Python under a key is answered over HTTP as its repeat."""
    first = api.ledger.transfer("alice", "bob", 1, reason="gift", idempotency_key=key)
    status, said = send(api, json.dumps(GIFT), (key.encode(),))
    assert (201, "0x" + first.id.hex(), True) == (status, said["id"], said["repeated"])
    own = GIFT | {"idempotency_key": "prämie:1"}
    listed = api.post("/api/token/postings", {"postings": [own]}, scope="write").json()["items"]
    again = api.ledger.transfer("alice", "bob", 1, reason="gift", idempotency_key="prämie:1")
    assert ("0x" + again.id.hex(), True) == (listed[0]["posted"]["id"], again.repeated)


@pytest.mark.parametrize(
    "more", ['"amount": "1"', '"amount": "9"', '"metadata": {"a": 1, "a": 2}', '"to_account": "x"']
)
def test_a_member_named_twice_is_refused(api: Api, more: str) -> None:
    """A body that says one thing twice, at any depth, posts nothing."""
    status, said = send(api, json.dumps(GIFT)[:-1] + f", {more}}}")
    assert (400, "an object of the body names a member twice") == (status, said["detail"])
    assert 50 * ONE == api.ledger.get_balance("bob")


def test_the_document_takes_the_amounts_that_are_answered(api: Api) -> None:
    """The greatest amount of a token of 0 and of 77 decimals is within the document's pattern."""
    schemas = api.get("/openapi.json").json()["components"]["schemas"]
    pattern = schemas["TransferIn"]["properties"]["amount"]["pattern"]
    for amount in (str(2**256 - 1), "1." + "1" * 77, "12.5"):
        assert re.fullmatch(pattern, amount), amount
    assert not re.fullmatch(pattern, "-1")
