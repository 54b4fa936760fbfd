"""Many view calls in one: as Multicall3 answers them, and without it as the node does.

What stands at Multicall3's address is a contract of the same interface, compiled here, and its code
is called canonical for the test: the real one's is not ours to copy.
"""

from __future__ import annotations

import itertools
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from eth_abi.abi import decode, encode

from token_ledger.chain import contracts, multicall
from token_ledger.chain.multicall import (
    MULTICALL3,
    Views,
    decode_aggregate,
    encode_aggregate,
)
from token_ledger.chain.rpc import Rpc, hex_data
from token_ledger.core.hashing import keccak, word
from token_ledger.errors import RpcError

SOURCE = """
// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;
contract Aggregator {
    struct Call { address target; bool allowFailure; bytes callData; }
    struct Result { bool success; bytes returnData; }
    function aggregate3(Call[] calldata calls) external payable returns (Result[] memory results) {
        results = new Result[](calls.length);
        for (uint256 i = 0; i < calls.length; i++) {
            (results[i].success, results[i].returnData) =
                calls[i].target.call(calls[i].callData);
            require(results[i].success || calls[i].allowFailure, "Multicall3: call failed");
        }
    }
}
"""
# Answers each call with its own 32 bytes behind the selector, or reverts where they are zero.
ECHO = "0x60043580600a575f5ffd5b5f5260205ff3"
CALLS = [b"\1\2\3\4" + word(number) for number in range(1, 1_200)]


@pytest.fixture(scope="module")
def aggregator(project: Path) -> str:
    """Return the runtime code of the contract above."""
    node = shutil.which("node")
    assert node is not None, "node is missing: see `make setup`"
    done = subprocess.run(
        [node, str(project / "tests/javascript/compile.mjs")],
        input=SOURCE,
        capture_output=True,
        text=True,
        check=True,
    )
    return "0x" + done.stdout


@pytest.fixture
def rpc(fresh_anvil: str) -> Iterator[Rpc]:
    """Yield a node with a contract that echoes."""
    with Rpc(fresh_anvil) as rpc:
        rpc.call("anvil_setCode", [hex_data(b"\7" * 20), ECHO])
        yield rpc


class Counting(Rpc):
    """A client that counts its requests."""

    requests = 0

    def _post(self, body: bytes, method: str, *, retry: bool) -> object:
        self.requests += 1
        return super()._post(body, method, retry=retry)


def stand(rpc: Rpc, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put code at Multicall3's address, and call it canonical."""
    rpc.call("anvil_setCode", [hex_data(MULTICALL3), code])
    known = keccak(bytes.fromhex(code[2:]))
    monkeypatch.setattr(multicall, "CANONICAL", frozenset({known}))


def test_both_ways_answer_alike(
    rpc: Rpc, fresh_anvil: str, aggregator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1,199 answers, in their order: in 12 batches, or in 3 calls where Multicall3 stands."""
    with Counting(fresh_anvil) as counting:
        views = Views(counting, b"\7" * 20, "latest")
        counting.requests = 0
        assert not views.has_multicall
        assert list(range(1, 1_200)) == views.numbers(CALLS)
        assert 12 == counting.requests
        stand(rpc, aggregator, monkeypatch)
        views = Views(counting, b"\7" * 20, "latest")
        counting.requests = 0
        assert views.has_multicall
        assert list(range(1, 1_200)) == views.numbers(CALLS)
        assert 3 == counting.requests


def test_other_code_at_its_address_is_not_asked(rpc: Rpc, aggregator: str) -> None:
    """Code that is not the canonical one could answer anything: it is passed by."""
    rpc.call("anvil_setCode", [hex_data(MULTICALL3), aggregator])
    assert not Views(rpc, b"\7" * 20, "latest").has_multicall


@pytest.mark.parametrize(
    "code",
    [
        "0x5f5ffd",  # reverts
        "0x5f5ff3",  # answers nothing
        "0x60205f5260405ff3",  # answers that there are no answers
        "0x5b5f56",  # burns all gas
    ],
)
def test_an_aggregate_that_does_not_answer_is_asked_in_batches(
    rpc: Rpc, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever comes back instead of the answers, the same calls are made one by one."""
    stand(rpc, code, monkeypatch)
    assert [1, 2, 3] == Views(rpc, b"\7" * 20, "latest").numbers(CALLS[:3])


def test_a_call_that_fails_is_told(
    rpc: Rpc, aggregator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call that reverts is an error by itself, with a multicall and without one."""
    failing = [*CALLS[:2], b"\1\2\3\4" + word(0)]
    with pytest.raises(RpcError, match="revert"):
        Views(rpc, b"\7" * 20, "latest").words(failing)
    stand(rpc, aggregator, monkeypatch)
    with pytest.raises(RpcError, match="revert"):
        Views(rpc, b"\7" * 20, "latest").words(failing)


def test_the_calldata_is_the_abis() -> None:
    """What is encoded by hand is what eth-abi encodes, and its answers are decoded."""
    calls = [contracts.balance_of_calldata(bytes([i]) * 20) for i in range(5)]
    calls += [contracts.TOTAL_SUPPLY_CALL, b"", bytes(64)]
    plain = [("0x" + "07" * 20, False, call) for call in calls]
    expected = keccak(b"aggregate3((address,bool,bytes)[])")[:4] + encode(
        ["(address,bool,bytes)[]"], [plain]
    )
    actual = encode_aggregate(b"\7" * 20, calls)
    assert decode(["(address,bool,bytes)[]"], expected[4:]) == decode(
        ["(address,bool,bytes)[]"], actual[4:]
    )
    assert expected == actual
    answer = encode(["(bool,bytes)[]"], [[(True, word(i)) for i in range(7)]])
    assert [word(i) for i in range(7)] == decode_aggregate(answer, 7)


def test_an_answer_of_another_shape_is_refused() -> None:
    """Cut off, too short, of another count or with a failure in it: never a wrong figure."""
    good = encode(["(bool,bytes)[]"], [[(True, word(7)), (True, word(8))]])
    failed = encode(["(bool,bytes)[]"], [[(True, word(7)), (False, word(8))]])
    longer = encode(["(bool,bytes)[]"], [[(True, word(7)), (True, word(8) * 2)]])
    for answer in (good[:-32], good[:-1], b"", failed, longer):
        with pytest.raises(ValueError, match=r"aggregate3|one word|cut off"):
            decode_aggregate(answer, 2)
    with pytest.raises(ValueError, match="aggregate3"):
        decode_aggregate(good, 1)
    for at, value in itertools.product(range(0, len(good), 32), (0, 2**255)):
        altered = good[:at] + word(value) + good[at + 32 :]
        try:
            assert 2 == len(decode_aggregate(altered, 2))
        except ValueError:
            continue
