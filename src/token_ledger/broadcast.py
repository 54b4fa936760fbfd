"""Broadcast: signed transactions from a file, sent in order and waited for.

They were signed elsewhere; any client could send them. Sent again they change nothing: a
transaction is its hash. Only replays go several at once, because the contract itself takes each
after its predecessor alone; everything else waits for what stands before it. Knows no key and no
database.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from eth_account import Account
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from hexbytes import HexBytes

from token_ledger.chain import contracts
from token_ledger.chain.rpc import NodeError, Rpc, hex_data
from token_ledger.chain.sender import Receipt, Sender
from token_ledger.chain.signer import NodeAccount
from token_ledger.core.address import to_checksum
from token_ledger.core.outbox import Signed, SignedFile
from token_ledger.core.progress import Progress, no_progress
from token_ledger.errors import ChainError, FileFormatError, RevertedError, WrongChainError

_KNOWN = re.compile(r"already known|already imported|known transaction", re.IGNORECASE)
_LOW = re.compile(r"nonce too low|nonce is too low", re.IGNORECASE)
IN_FLIGHT_MAX = 8
_REPLAYS = (contracts.REPLAY_SELECTOR, contracts.REPLAY_PART_SELECTOR)


@dataclass(frozen=True, slots=True)
class BroadcastResult:
    """How many transactions this run sent, how many were mined before, and the gas of all."""

    chain_id: int
    payer: bytes
    sent: int
    known: int
    gas_used: int

    def to_json(self) -> dict[str, object]:
        """Return the result as one JSON-ready object."""
        return {
            "chain_id": self.chain_id,
            "from": to_checksum(self.payer),
            "sent": self.sent,
            "known": self.known,
            "gas_used": self.gas_used,
        }


def check_signed(file: SignedFile) -> None:
    """Raise FileFormatError unless every raw transaction is the payer's own."""
    for transaction in file.transactions:
        try:
            signer = Account.recover_transaction(transaction.raw)
        except Exception:  # eth-account raises whatever its decoders do
            signer = ""
        if signer.lower() != hex_data(file.payer):
            raise FileFormatError(
                f"the transaction of nonce {transaction.nonce} is not signed by "
                f"{to_checksum(file.payer)}",
                hint="the file was altered: sign again",
            )


def broadcast(
    file: SignedFile, rpc_url: str, *, progress: Progress = no_progress
) -> BroadcastResult:
    """Send what the chain does not have yet, in order, and wait until all of it is mined.

    Raises WrongChainError for another chain than the signatures are for, ChainError where another
    transaction took one of the nonces, RevertedError for the first that fails: what comes behind
    it is not sent, but for replays behind a replay, which then fail as well.
    """
    check_signed(file)
    sent = known = gas = 0
    with Rpc(rpc_url) as rpc:
        chain_id = rpc.quantity("eth_chainId")
        if chain_id != file.chain_id:
            raise WrongChainError(
                f"{rpc.shown} serves chain {chain_id}, the transactions are for {file.chain_id}",
                hint="check --rpc",
            )
        sender = Sender(rpc, NodeAccount(file.payer), chain_id=chain_id)
        total, done = len(file.transactions), 0
        for run in _runs(file.transactions):
            there = sender.receipts([transaction.hash for transaction in run])
            for transaction, receipt in zip(run, there, strict=True):
                if receipt is None:
                    _send(rpc, sender, file, transaction)
                    sent += 1
                else:
                    known += 1
            for transaction in run:
                gas += _mined(sender, transaction).gas_used
                done += 1
                progress("broadcast", done, total)
    return BroadcastResult(file.chain_id, file.payer, sent, known, gas)


def _runs(transactions: Sequence[Signed]) -> Iterator[Sequence[Signed]]:
    """Yield what may be on its way together, in order: replays by eight, all else by itself."""
    run: list[Signed] = []
    for transaction in transactions:
        alone = not _is_replay(transaction.raw)
        if run and (alone or len(run) == IN_FLIGHT_MAX):
            yield run
            run = []
        if alone:
            yield [transaction]
        else:
            run.append(transaction)
    if run:
        yield run


def _is_replay(raw: bytes) -> bool:
    """Return whether a raw transaction replays a batch: read from itself, not from the file."""
    try:
        data = TypedTransaction.from_bytes(HexBytes(raw)).as_dict()["data"]
    except Exception:  # a legacy transaction, which `sign_file` never makes
        return False
    return bytes(data)[:4] in _REPLAYS


def _send(rpc: Rpc, sender: Sender, file: SignedFile, transaction: Signed) -> None:
    try:
        rpc.data("eth_sendRawTransaction", [hex_data(transaction.raw)], size=32)
    except NodeError as error:
        if _KNOWN.search(error.text) or sender.receipts([transaction.hash])[0] is not None:
            return
        if _LOW.search(error.text):
            raise ChainError(
                f"another transaction of {to_checksum(file.payer)} took nonce {transaction.nonce}",
                hint="compose the file again: what it still lacks gets new nonces",
            ) from None
        raise


def _mined(sender: Sender, transaction: Signed) -> Receipt:
    receipt = sender.wait(transaction.hash)
    if not receipt.succeeded:
        raise RevertedError(
            f"{transaction.what} failed in transaction {hex_data(transaction.hash)}",
            hint="somebody replayed meanwhile, perhaps: compose the file again"
            if _is_replay(transaction.raw)
            else "what stands behind it was not sent: look why it failed, then compose again",
        )
    return receipt
