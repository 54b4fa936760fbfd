"""Whatever a node answers, it is an answer or an error of ours: the decoders under random JSON.

Method: real blocks' answers, in which Hypothesis puts other JSON in some places; and whole imports
from a node that answers so at random calls.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import books
from tests.chain.fake_node import Failure, FakeNode
from tests.chain.log_node import LogChain, block_of_logs, real_logs
from tests.onchain import ERC20, TOKEN, a_chain, count
from tests.real_blocks import RealBlock, all_with_receipts

from token_ledger.chain.decoding import decode_logs
from token_ledger.chain.exchange import retry_after_s, shown_url
from token_ledger.chain.logs import decode_header
from token_ledger.chain.rpc import Rpc, decode_data, decode_quantity
from token_ledger.core.headers import check_header, check_header_chain, read_header
from token_ledger.core.limits import LimitKind, classify
from token_ledger.core.logs import compare_logs
from token_ledger.core.receipts import check_receipts, read_receipts
from token_ledger.core.transactions import check_transactions, read_transactions
from token_ledger.errors import TokenLedgerError
from token_ledger.ingest import ingest

HEXES = st.one_of(
    st.binary(max_size=40).map(lambda raw: "0x" + raw.hex()),
    st.integers(0, 2**260).map(hex),
    st.sampled_from(["0x", "0x0", "0X1", "0x-1", "0x_1", "0x" + "f" * 64, "0x" + "é" * 64]),
)
JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**64 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=70),
        HEXES,
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=9), inner, max_size=4)
    ),
    max_leaves=8,
)


def places_of(value: Any) -> list[tuple[Any, Any]]:
    """Return every container in a JSON value with every one of its keys."""
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    else:
        return []
    return [(value, key) for key, _ in items] + [
        place for _, inner in items for place in places_of(inner)
    ]


def spoilt(draw: Any, value: Any) -> Any:
    """Return a copy of a JSON value with other JSON, or nothing, in some of its places."""
    value = copy.deepcopy(value)
    for _ in range(draw(st.integers(0, 3))):
        places = places_of(value)
        if not places:
            return draw(JSON)
        container, key = places[draw(st.integers(0, len(places) - 1))]
        way = draw(st.integers(0, 3))
        if way == 0:
            del container[key]
        elif way == 1 and isinstance(container, list):
            container.append(container[key])
        elif way == 2:
            _, other = places[draw(st.integers(0, len(places) - 1))]
            container[key] = copy.deepcopy(other)
        else:
            container[key] = draw(JSON)
    return value


def decoded(work: Callable[[], Any]) -> Any:
    """Return what a decoder gives, or None for an error of ours; any other one is the bug."""
    with Rpc("http://127.0.0.1:1") as rpc:
        try:
            with rpc.decoding("eth_something"):
                return work()
        except TokenLedgerError:
            return None


@pytest.fixture(scope="module")
def blocks(shared_data: Path) -> list[RealBlock]:
    """Return small real blocks of each fork, with their receipts where there are some."""
    found = [b for b in all_with_receipts(shared_data) if len(b.transactions) <= 40]
    assert any(block.receipts for block in found)
    return found


@pytest.fixture(scope="module")
def logs(shared_data: Path) -> dict[str, list[Any]]:
    """Return a few real logs of each contract of two blocks."""
    found: dict[str, list[Any]] = {}
    for log in real_logs(shared_data):
        if len(log["topics"]) in (3, 4):
            found.setdefault(log["address"], []).append(log)
    return {address: mine[:6] for address, mine in found.items()}


@given(st.data())
@settings(max_examples=200)
def test_logs(logs: dict[str, list[Any]], data: st.DataObject) -> None:
    """Logs decode or are refused; what decodes has columns of one length."""
    address = data.draw(st.sampled_from(sorted(logs)))
    mine = logs[address]
    answer = spoilt(data.draw, mine)
    found = decoded(lambda: decode_logs(answer, address=address, from_block=0, to_block=10**9))
    if found is not None:
        transfers = found[0]
        lengths = {len(getattr(transfers, name)) for name in ("tx_hash", "value", "seq")}
        assert {len(transfers)} == lengths
        assert all(len(value) == 32 for value in transfers.value)


@given(st.data())
@settings(max_examples=150)
def test_headers(blocks: list[RealBlock], data: st.DataObject) -> None:
    """Headers are read or refused, and judged without a surprise."""
    answer = spoilt(data.draw, data.draw(st.sampled_from(blocks)).header)
    decoded(lambda: decode_header(answer, 5))
    header = decoded(lambda: read_header(answer))
    if header is not None:
        check_header(header)
        check_header_chain([header, header], header.claimed_hash)


@given(st.data())
@settings(max_examples=80)
def test_transactions_and_receipts(blocks: list[RealBlock], data: st.DataObject) -> None:
    """So are transactions of every type and receipts."""
    block = data.draw(st.sampled_from([block for block in blocks if block.receipts]))
    number = int(block.header["number"], 16)
    block_hash = bytes.fromhex(block.header["hash"][2:]) if "hash" in block.header else b"\1" * 32
    transactions = decoded(lambda: read_transactions(spoilt(data.draw, block.transactions)))
    answer = spoilt(data.draw, block.receipts)
    receipts = decoded(lambda: read_receipts(answer, block_hash=block_hash, block_number=number))
    if transactions is not None:
        check_transactions(transactions, root=b"\0" * 32, block_number=number)
        if receipts is not None:
            decoded(lambda: check_receipts(receipts, root=b"\0" * 32, transactions=transactions))


@pytest.fixture(scope="module")
def proven(shared_data: Path) -> list[Any]:
    """Return logs as a real node gave them."""
    return block_of_logs(shared_data)[:5]


@given(st.data())
@settings(max_examples=100)
def test_compared_logs(proven: list[Any], data: st.DataObject) -> None:
    """What a node says of logs is compared, or refused; only the same is no difference."""
    said = spoilt(data.draw, proven)
    found = decoded(lambda: compare_logs(proven, said))
    if found == []:
        assert len(proven) == len(said)


@given(JSON, st.text(max_size=300), st.integers(), st.integers(0, 999))
def test_small_values(value: Any, text: str, code: int, status: int) -> None:
    """Quantities, data, refusals, waiting times and URLs of any kind are judged."""
    decoded(lambda: decode_quantity(value))
    decoded(lambda: decode_data(value))
    decoded(lambda: decode_data(value, size=32))
    limit = classify(text, code=code, status=status)
    assert limit.kind in LimitKind
    assert 1 <= limit.next_size(8) <= 8
    assert (retry_after_s(text) or 0) >= 0
    assert isinstance(shown_url(text), str)


@given(st.data())
@settings(max_examples=20)
def test_whole_imports(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """From a node that answers anything at all now and then, an import succeeds or says why."""
    chain = a_chain()
    dice = random.Random(data.draw(st.integers(0, 2**32)))
    answers = [data.draw(JSON) for _ in range(3)]

    def answer(method: str, params: list[Any]) -> Any:
        said = chain(method, params)
        if dice.random() > 0.02 or isinstance(said, Failure):
            return said
        return dice.choice([*answers, *(list(said) if isinstance(said, list) else [])])

    tmp_path = tmp_path_factory.mktemp("fuzz")
    with (
        books.create(f"sqlite:///{tmp_path / 'x.db'}", tmp_path) as ledger,
        FakeNode(answer) as node,
    ):
        try:
            done = ingest(ledger, node.url, contract=TOKEN, from_block=0)
        except TokenLedgerError:
            assert count(ledger) <= len(chain.logs)
        else:
            assert done.transfers == count(ledger)


@pytest.mark.parametrize(
    "header", ["²", "-1", "1e3", "Mon, 01 Jan 0001 00:00:00 +2359", "Sun, 99 Foo 2026", "9" * 400]
)
def test_odd_waiting_times(header: str) -> None:
    """A Retry-After that is none is none; one beyond measure is a number all the same."""
    assert (retry_after_s(header) or 0) >= 0


def test_a_log_chain_is_what_the_fuzz_begins_from() -> None:
    """Unspoilt, the same logs decode whole: the fuzz does not pass for lack of a subject."""
    chain = a_chain()
    assert isinstance(chain, LogChain)
    transfers, _, _ = decode_logs(chain.logs, address=ERC20, from_block=0, to_block=99)
    assert len(chain.logs) == len(transfers)
