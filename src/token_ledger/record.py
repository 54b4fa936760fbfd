"""Record: what was deployed, written down for whoever has to verify it later.

Chain, address, block, transaction, constructor arguments, code hashes and compiler, and beside it
the standard-JSON input that explorers compile to the same code. Everything in it is read from the
chain and from this release; it holds no secret. Written once: what is there is never overwritten.
"""

from __future__ import annotations

import importlib.resources
from pathlib import Path
from typing import Any

import orjson

from token_ledger.chain import contracts
from token_ledger.chain.creation import (
    REGISTRY,
    SNAPSHOT_TOKEN,
    created_at,
    registry_init_code,
    snapshot_init_code,
)
from token_ledger.chain.deploy import deployment_block
from token_ledger.chain.identity import read_identity
from token_ledger.chain.rpc import Rpc
from token_ledger.chain.state import get_code
from token_ledger.core.address import DEPLOYMENT_PROXY, to_checksum
from token_ledger.core.hashing import keccak
from token_ledger.core.strict import decode, encode, to_hex
from token_ledger.errors import FileFormatError, ForeignContractError
from token_ledger.ledger import Ledger, mirror
from token_ledger.wholefile import check_writable, write_whole

RECORD_FORMAT = "token-ledger-deployment-v1"
STANDARD_JSON = ".input.json"
_RECORD_BYTES_MAX = 1 << 20
_INIT_CODES = {
    contracts.TOKEN_CONTRACT: contracts.init_code,
    SNAPSHOT_TOKEN: snapshot_init_code,
    REGISTRY: registry_init_code,
}
_VERBS = {
    contracts.TOKEN_CONTRACT: "migrate",
    SNAPSHOT_TOKEN: "snapshot publish",
    REGISTRY: "anchor",
}


def check_place(
    ledger: Ledger, rpc_url: str, path: Path, *, contract: str = contracts.TOKEN_CONTRACT
) -> None:
    """Raise where `write_record` could not write later: before anything is sent.

    OSError where no file can be put, FileFormatError for a file that is another contract's.
    """
    check_writable(path)
    if not path.exists():
        return
    with Rpc(rpc_url) as rpc:
        chain_id = rpc.quantity("eth_chainId")
    _check_same(
        path,
        {
            "format": RECORD_FORMAT,
            "chainId": chain_id,
            "address": to_checksum(_address(ledger, chain_id, contract)),
        },
        hint="give another --record FILE, or move that one away; nothing was sent",
    )


def _address(ledger: Ledger, chain_id: int, contract: str) -> bytes:
    """Return where a contract of the token's stands on a chain, or would stand."""
    if contract == contracts.TOKEN_CONTRACT:
        with ledger.read() as connection:
            known = mirror.contract_of(connection, ledger.token, chain_id)
        if known is not None:
            return known.address
    return created_at(ledger.token, _INIT_CODES[contract](ledger.token, ledger.operator))


def deployment_record(
    ledger: Ledger, rpc_url: str, *, contract: str = contracts.TOKEN_CONTRACT
) -> dict[str, Any]:
    """Return the record of the token's contract on the node's chain, or of another one of its own.

    `contract`: LedgerToken, SnapshotToken or HeaderRegistry. Raises ForeignContractError where
    there is none.
    """
    token = ledger.token
    init_code = _INIT_CODES[contract](token, ledger.operator)
    with Rpc(rpc_url) as rpc:
        chain = read_identity(rpc)
        known = None
        if contract == contracts.TOKEN_CONTRACT:
            with ledger.read() as connection:
                known = mirror.contract_of(connection, token, chain.chain_id)
        address = _address(ledger, chain.chain_id, contract)
        code = get_code(rpc, address)
        if not code:
            raise ForeignContractError(
                f"there is no contract at {to_checksum(address)} on chain {chain.chain_id}",
                hint=f"run `{_VERBS[contract]}` first",
            )
        block = deployment_block(rpc, address)
    artifact = contracts.artifact(contract)
    constructor: dict[str, Any] = {
        "name": token.name,
        "symbol": token.symbol,
        "decimals": token.decimals,
        "ledgerUid": to_hex(token.ledger_uid),
        "operator": to_checksum(ledger.operator),
    }
    if contract == REGISTRY:
        constructor = {"tokenUid": to_hex(token.uid), "operator": to_checksum(ledger.operator)}
    return {
        "format": RECORD_FORMAT,
        "chainId": chain.chain_id,
        "genesis": to_hex(chain.genesis.hash),
        "contract": contract,
        "address": to_checksum(address),
        "block": block,
        "transaction": None if not known or not known.tx_hash else to_hex(known.tx_hash),
        "deployer": to_checksum(DEPLOYMENT_PROXY),
        "salt": to_hex(token.uid),
        "constructor": constructor,
        "constructorArguments": to_hex(init_code[len(artifact.bytecode) :]),
        "initCodeHash": to_hex(keccak(init_code)),
        "codeHash": to_hex(keccak(code)),
        "codeIsThisReleases": contracts.is_this_releases_code(code, contract),
        "codeIsOfRelease": contracts.release_of(code, contract),
        "compiler": compiler(contract),
    }


def write_record(
    ledger: Ledger, rpc_url: str, path: Path, *, contract: str = contracts.TOKEN_CONTRACT
) -> list[Path]:
    """Write the record, and the standard-JSON input beside it; return what was written.

    A file that is there stays as it is. Raises FileFormatError where it is no record of this very
    contract.
    """
    written = []
    record = deployment_record(ledger, rpc_url, contract=contract)
    if path.exists():
        _check_same(path, record, hint="move it away, then run it again: what was sent stands")
    else:
        write_whole(path, encode(record))
        written.append(path)
    source = standard_json(contract)
    beside = path.with_name(path.name.removesuffix(".json") + STANDARD_JSON)
    if source is not None and not beside.exists():
        write_whole(beside, source)
        written.append(beside)
    return written


def _check_same(path: Path, record: dict[str, Any], *, hint: str) -> None:
    """Raise FileFormatError for a file that is not the record of this contract."""
    with path.open("rb") as file:
        there = file.read(_RECORD_BYTES_MAX)
    try:
        found = decode(there)
    except FileFormatError:
        found = {}
    for name in ("format", "chainId", "address", "codeHash"):
        if name in record and found.get(name) != record[name]:
            raise FileFormatError(
                f"{path} is there, and is not the record of {record['address']} on chain "
                f"{record['chainId']}: its {name} is {str(found.get(name))[:80]}",
                hint=hint,
            )


def compiler(name: str) -> dict[str, Any]:
    """Return the compiler and its settings, as the artifact of this release names them."""
    found: dict[str, Any] = _artifact(name).get("compiler", {})
    return found


def standard_json(name: str) -> bytes | None:
    """Return the standard-JSON input that compiles to a contract, of its own sources alone.

    None where this release does not ship the sources.
    """
    names, shipped = _artifact(name).get("sources"), _artifact("sources")
    if not names or not shipped:
        return None
    sources = {source: shipped["sources"][source] for source in names}
    return encode(
        {"language": shipped["language"], "settings": shipped["settings"], "sources": sources}
    )


def _artifact(name: str) -> dict[str, Any]:
    path = importlib.resources.files("token_ledger.chain") / "artifacts" / f"{name}.json"
    found: dict[str, Any] = orjson.loads(path.read_bytes()) if path.is_file() else {}
    return found
