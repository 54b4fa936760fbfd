"""Logs that are no plain ERC-20 transfers: what bridges say, other standards, other contracts.

Method: answers as a node would give them, decoded; one thing differs from what is expected.
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.chain.log_node import TRANSFER, make_log

from token_ledger.chain.contracts import CROSSCHAIN_BURN_TOPIC, CROSSCHAIN_MINT_TOPIC
from token_ledger.chain.decoding import decode_logs
from token_ledger.core.transfers import (
    MALFORMED,
    NOT_FUNGIBLE,
    ODD_KEPT_MAX,
    ODDITIES,
    UNINDEXED,
    WIDE,
    OddLog,
)

ADDRESS = "0x" + "c0" * 20
ALICE, BRIDGE, NOBODY = b"\xa1" * 20, b"\xb2" * 20, bytes(20)
TX = {"transactionHash": "0x" + "77" * 32}


def decode(logs: Any) -> Any:
    """Decode logs of the test's contract."""
    return decode_logs(logs, address=ADDRESS, from_block=0, to_block=10**8)


def moved(index: int, sender: bytes, receiver: bytes, value: int = 5, **other: Any) -> Any:
    """Return a Transfer log of the test's one transaction."""
    return make_log(7, index, sender, receiver, value, address=ADDRESS) | TX | other


def crosschain(index: int, topic: bytes, party: bytes, value: int = 5, **other: Any) -> Any:
    """Return a log of ERC-7802 of the test's one transaction and bridge."""
    topics = ["0x" + topic.hex(), *("0x" + who.hex().zfill(64) for who in (party, BRIDGE))]
    return moved(index, party, party, value) | {"topics": topics} | other


@pytest.mark.parametrize("first", ["transfer", "event"])
def test_a_bridges_mint_and_burn_are_noted_with_the_bridge(first: str) -> None:
    """The transfer beside a CrosschainMint or CrosschainBurn gets its bridge, in either order."""
    pairs = [
        (moved(1, NOBODY, ALICE), crosschain(2, CROSSCHAIN_MINT_TOPIC, ALICE)),
        (moved(4, ALICE, NOBODY, 3), crosschain(5, CROSSCHAIN_BURN_TOPIC, ALICE, 3)),
    ]
    if first == "event":
        for transfer, event in pairs:
            transfer["logIndex"], event["logIndex"] = event["logIndex"], transfer["logIndex"]
        pairs = [(event, transfer) for transfer, event in pairs]
    transfers, batches, skipped = decode([moved(0, NOBODY, ALICE, 9), *pairs[0], *pairs[1]])
    assert ({1: BRIDGE, 2: BRIDGE}, [], 0) == (transfers.bridges, batches, skipped)
    assert 3 == len(transfers)


def test_two_mints_side_by_side_get_one_event_each() -> None:
    """Each event tells of one transfer, though both mint the same amount to the same account."""
    logs = [
        moved(0, NOBODY, ALICE), crosschain(1, CROSSCHAIN_MINT_TOPIC, ALICE),
        moved(2, NOBODY, ALICE), crosschain(3, CROSSCHAIN_MINT_TOPIC, ALICE),
        moved(4, NOBODY, ALICE),
    ]  # fmt: skip
    assert {0: BRIDGE, 1: BRIDGE} == decode(logs)[0].bridges


@pytest.mark.parametrize(
    "event",
    [
        crosschain(2, CROSSCHAIN_MINT_TOPIC, ALICE),
        crosschain(1, CROSSCHAIN_MINT_TOPIC, ALICE, 6),
        crosschain(1, CROSSCHAIN_MINT_TOPIC, BRIDGE),
        crosschain(1, CROSSCHAIN_BURN_TOPIC, ALICE),
        crosschain(1, CROSSCHAIN_MINT_TOPIC, ALICE, transactionHash="0x" + "78" * 32),
        crosschain(1, CROSSCHAIN_MINT_TOPIC, ALICE, data="0x"),
        crosschain(1, CROSSCHAIN_MINT_TOPIC, ALICE, data="0x" + "00" * 64),
        crosschain(1, CROSSCHAIN_MINT_TOPIC, ALICE)
        | {"topics": ["0x" + CROSSCHAIN_MINT_TOPIC.hex(), "0x" + "ff" * 32, "0x" + "ff" * 32]},
        crosschain(1, CROSSCHAIN_MINT_TOPIC, ALICE)
        | {"topics": ["0x" + CROSSCHAIN_MINT_TOPIC.hex()]},
    ],
)
def test_an_event_that_tells_of_no_transfer_says_nothing(event: dict[str, Any]) -> None:
    """Not adjacent, of another amount, party, direction, transaction or form: no bridge is noted.

    Any contract may emit what looks like such an event; its transfers are imported all the same.
    """
    transfers, _, skipped = decode([moved(0, NOBODY, ALICE), event])
    assert ({}, 1, 0) == (transfers.bridges, len(transfers), skipped)


def test_a_bridge_event_alone_is_no_transfer() -> None:
    """An event of a bridge without a Transfer is neither taken nor counted as another standard."""
    transfers, _, skipped = decode([crosschain(0, CROSSCHAIN_BURN_TOPIC, ALICE)])
    assert (0, 0) == (len(transfers), skipped)


@pytest.mark.parametrize(
    ("topics", "words", "reason"),
    [
        (1, 3, UNINDEXED), (2, 2, UNINDEXED), (4, 0, NOT_FUNGIBLE), (3, 2, MALFORMED),
        (1, 2, MALFORMED), (2, 3, MALFORMED), (3, 0, MALFORMED), (4, 1, MALFORMED),
    ],
)  # fmt: skip
def test_other_shapes_of_transfer_are_told_apart(topics: int, words: int, reason: str) -> None:
    """What is no ERC-20 transfer is skipped, counted by its reason and named by its place."""
    odd = moved(1, ALICE, BRIDGE)
    odd["topics"] = [TRANSFER, *["0x" + "00" * 31 + "01"] * (topics - 1)]
    odd["data"] = "0x" + "00" * 32 * words
    transfers, _, skipped = decode([moved(0, NOBODY, ALICE), odd])
    assert (1, 1, {reason: 1}) == (len(transfers), skipped, transfers.odd.counts)
    block_hash, tx_hash = (
        bytes.fromhex(odd[name][2:]) for name in ("blockHash", "transactionHash")
    )
    assert [OddLog(7, block_hash, 1, tx_hash, reason)] == transfers.odd.first
    assert reason in ODDITIES


@pytest.mark.parametrize("place", [1, 2])
@pytest.mark.parametrize("among_others", [False, True])
def test_a_side_that_is_no_address_stops_nothing(place: int, among_others: bool) -> None:
    """A contract may log any words: such a log is odd, and all others are taken."""
    wide = moved(1, ALICE, BRIDGE)
    wide["topics"][place] = "0x01" + wide["topics"][place][4:]
    others = [moved(3, ALICE, BRIDGE) | {"topics": [TRANSFER]}] if among_others else []
    transfers, _, skipped = decode(
        [moved(0, NOBODY, ALICE), wide, moved(2, ALICE, BRIDGE), *others]
    )
    assert ([0, 2], 1 + among_others) == (list(transfers.log_index), skipped)
    assert {WIDE: 1, **({MALFORMED: 1} if among_others else {})} == transfers.odd.counts


def test_so_many_odd_logs_are_told_and_all_are_counted() -> None:
    """A contract of another standard fills no memory: the first are kept, the rest is a number."""
    logs = [moved(i, ALICE, BRIDGE) | {"data": "0x"} for i in range(ODD_KEPT_MAX + 5)]
    transfers, _, skipped = decode(logs)
    assert (ODD_KEPT_MAX + 5, ODD_KEPT_MAX) == (skipped, len(transfers.odd.first))
    assert list(range(ODD_KEPT_MAX)) == [odd.log_index for odd in transfers.odd.first]
    transfers.odd.extend(transfers.odd)
    assert ODD_KEPT_MAX == len(transfers.odd.first)


def test_a_transfer_of_ether_is_another_contracts() -> None:
    """EIP-7708 logs the same event from its own address: in an answer for a token it is refused."""
    ether = moved(1, ALICE, BRIDGE, address="0x" + "ff" * 19 + "fe")
    with pytest.raises(ValueError, match="another address"):
        decode([moved(0, NOBODY, ALICE), ether])
