"""Logs that a node answers against those that receipts prove: every difference has its kind."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from tests import real_blocks

from token_ledger.core.headers import read_header
from token_ledger.core.logs import LOG_DIFFERS, LOG_INVENTED, LOG_OMITTED, compare_logs
from token_ledger.core.receipts import Log, read_receipts

TRANSFER = bytes.fromhex("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef")
WETH = bytes.fromhex("c02aaa39b223fe8d0a0e5c4f27ead9083c756cc2")


@pytest.fixture(scope="module")
def told(shared_data: Path) -> list[dict[str, Any]]:
    """Return the WETH transfers of a real block as a node answers them."""
    block = real_blocks.helios_block(shared_data)
    logs = [log for receipt in block.receipts or [] for log in receipt["logs"]]
    wanted = ("0x" + WETH.hex(), "0x" + TRANSFER.hex())
    return [log for log in logs if (log["address"], log["topics"][0]) == wanted]


@pytest.fixture(scope="module")
def proven(shared_data: Path) -> list[Log]:
    """Return the same out of the block's receipts."""
    block = real_blocks.helios_block(shared_data)
    header = read_header(block.header)
    receipts = read_receipts(
        block.receipts,
        block_hash=header.block.hash,
        block_number=header.block.number,
        addresses=[WETH],
    )
    return receipts.logs_of(WETH, [TRANSFER])


def test_an_honest_answer_has_no_difference(told: list[Any], proven: list[Log]) -> None:
    """The node's own words, extra fields, order and capitals aside, are what receipts prove."""
    assert 10 < len(proven)
    assert [] == compare_logs(proven, told)
    shouted = [log | {"address": log["address"].upper().replace("X", "x")} for log in told]
    assert [] == compare_logs(proven, [log | {"blockTimestamp": "0x1"} for log in shouted[::-1]])


def test_an_omitted_log_is_found(told: list[Any], proven: list[Log]) -> None:
    """Each log left out is a finding with its place and what stands there."""
    findings = compare_logs(proven, [*told[:3], *told[5:]])
    assert [LOG_OMITTED, LOG_OMITTED] == [finding.kind for finding in findings]
    places = [int(log["logIndex"], 16) for log in told[3:5]]
    assert places == [finding.details["log_index"] for finding in findings]
    assert findings[0].details["actual"] is None
    assert {finding.kind for finding in compare_logs(proven, [])} == {LOG_OMITTED}


def test_an_invented_log_is_found(told: list[Any], proven: list[Log]) -> None:
    """A log at a place where none stands, or of another block, is a finding."""
    for change in ({"logIndex": "0xffff"}, {"blockNumber": "0x1"}):
        findings = compare_logs(proven, [*told, told[0] | change])
        assert [LOG_INVENTED] == [finding.kind for finding in findings]
        assert findings[0].details["expected"] is None


@pytest.mark.parametrize(
    "change",
    [
        {"data": "0x" + "01" * 32},
        {"data": "0x" + "01" * 4096},
        {"topics": []},
        {"address": "0x" + "01" * 20},
        {"blockHash": "0x" + "01" * 32},
        {"transactionHash": "0x" + "01" * 32},
        {"transactionIndex": "0x0"},
        {"removed": True},
    ],
    ids=lambda change: next(iter(change)),
)
def test_an_altered_log_is_found(
    told: list[Any], proven: list[Log], change: dict[str, Any]
) -> None:
    """Whatever of a log is not as proven is a finding with both sides, bounded in size."""
    answer = copy.deepcopy(told)
    answer[2] |= change
    findings = compare_logs(proven, answer)
    assert [LOG_DIFFERS] == [finding.kind for finding in findings]
    assert len(str(findings[0].to_json())) < 2_500


@pytest.mark.parametrize("answer", [None, {}, [None], [{}], [{"topics": None}]])
def test_what_is_no_list_of_logs_is_refused(proven: list[Log], answer: Any) -> None:
    """Null and malformed logs are no answer."""
    with pytest.raises(ValueError, match=r"not a list|is no log|is missing|topics of a log"):
        compare_logs(proven, answer)


def test_a_repeated_log_is_refused(told: list[Any], proven: list[Log]) -> None:
    """One log told twice is no answer: which one should count?"""
    with pytest.raises(ValueError, match="comes twice"):
        compare_logs(proven, [*told, told[0]])
