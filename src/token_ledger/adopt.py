"""Adopt: take a token in that was always on a chain. Its books are the index of its contract.

From then on `import` makes entries of its final transfers, from the contract's first block on. The
ledger never issues it: postings of the application's are refused.
"""

from __future__ import annotations

from token_ledger.chain.deploy import deployment_block
from token_ledger.chain.erc20 import read_decimals, read_implementation, read_text
from token_ledger.chain.identity import ChainIdentity
from token_ledger.chain.rpc import Rpc
from token_ledger.chain.state import get_code
from token_ledger.core.address import to_checksum
from token_ledger.core.hashing import keccak
from token_ledger.errors import ForeignContractError, RpcError, TokenExistsError, UsageError
from token_ledger.ledger import (
    Connection,
    Ledger,
    StoredToken,
    TokenTerms,
    cutover,
    homes,
    mirror,
    tokens,
)
from token_ledger.ledger.mirror import StoredContract
from token_ledger.node import meet


def adopt(
    ledger: Ledger,
    rpc_url: str,
    contract: bytes,
    *,
    symbol: str | None = None,
    name: str | None = None,
    decimals: int | None = None,
    from_block: int | None = None,
) -> StoredToken:
    """Make a token of the ledger of an ERC-20 that is on a chain; return it.

    Symbol, name and decimals are what the contract says unless they are given. `from_block`: where
    its logs begin; by default where it was deployed. Raises ForeignContractError where there is no
    contract, TokenExistsError for a symbol or a contract that the ledger has, UsageError where the
    contract does not say its terms, or its mirror begins too late; RpcError.
    """
    with meet(ledger, rpc_url) as (rpc, chain):
        code = get_code(rpc, contract)
        if not code:
            raise ForeignContractError(
                f"there is no contract at {to_checksum(contract)} on chain {chain.chain_id}",
                hint="check chain and address",
            )
        terms = _terms(rpc, contract, symbol, name, decimals)
        start = deployment_block(rpc, contract) if from_block is None else from_block
        code_hash, implementation = keccak(code), read_implementation(rpc, contract)
        if implementation is None:  # every later answer would look like an upgrade
            raise RpcError(
                f"{rpc.shown} does not say whether {to_checksum(contract)} is a proxy",
                hint="name a node that answers eth_getStorageAt",
            )

        def work(connection: Connection) -> StoredToken:
            _check_free(connection, chain, contract, start)
            token = tokens.create_token(
                connection, terms, ledger_uid=ledger.ledger_uid, now=ledger.now()
            )
            stored = mirror.adopt_contract(
                connection,
                token,
                chain_id=chain.chain_id,
                address=contract,
                block_number=start,
                code_hash=code_hash,
                implementation=implementation or None,
                now=ledger.now(),
            )
            _give_away(connection, ledger, token, chain, stored)
            return token

        return ledger.run(work)


def _terms(
    rpc: Rpc, contract: bytes, symbol: str | None, name: str | None, decimals: int | None
) -> TokenTerms:
    found_symbol = symbol or read_text(rpc, contract, "symbol()")
    found_name = name or read_text(rpc, contract, "name()") or found_symbol
    found_decimals = read_decimals(rpc, contract) if decimals is None else decimals
    if found_symbol is None or found_name is None or found_decimals is None:
        raise UsageError(
            f"{to_checksum(contract)} does not say its symbol, name and decimals: is it an ERC-20?",
            hint="give --symbol, --name and --decimals, if you know that it is one",
        )
    return TokenTerms(found_symbol, found_name, found_decimals)


def _check_free(connection: Connection, chain: ChainIdentity, contract: bytes, start: int) -> None:
    known = mirror.find_contract(connection, chain.chain_id, contract)
    if known is None:
        return
    shown = to_checksum(contract)
    if known.token_no is not None:
        raise TokenExistsError(
            f"{shown} is the contract of a token of this ledger already", hint="see `token list`"
        )
    begun = mirror.read_cursor(connection, known) is not None
    if begun and (known.block_number or 0) > start:
        raise UsageError(
            f"the mirror holds {shown} from block {known.block_number} on, and it is of {start}",
            hint="take it in in another ledger: entries need all of its transfers",
        )


def _give_away(
    connection: Connection,
    ledger: Ledger,
    token: StoredToken,
    chain: ChainIdentity,
    stored: StoredContract,
) -> None:
    """Write that the token is the chain's, from the beginning and for ever."""
    now = ledger.now()
    if not chain.is_test_chain:
        tokens.set_canonical_chain(connection, token, chain.chain_id)
    cutover.record_finalized(connection, token, now=now)
    homes.settle(connection, token, stored, replayed_number=0, now=now)


__all__ = ["adopt"]
