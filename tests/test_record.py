"""The deployment record, and code that is none of ours."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest
from tests import books

from token_ledger.chain import contracts
from token_ledger.chain.rpc import Rpc, hex_data
from token_ledger.chain.state import get_code
from token_ledger.compose import compose
from token_ledger.core.address import DEPLOYMENT_PROXY, create2, to_checksum
from token_ledger.core.hashing import keccak
from token_ledger.core.strict import decode, encode
from token_ledger.errors import FileFormatError, ForeignContractError, NotReadyError
from token_ledger.ingest import ingest
from token_ledger.ledger import Ledger
from token_ledger.migrate import migrate
from token_ledger.reconcile import reconcile
from token_ledger.record import deployment_record, write_record
from token_ledger.seal import seal
from token_ledger.sign import sign


@pytest.fixture
def ledger(sqlite_url: str, tmp_path: Path) -> Iterator[Ledger]:
    with books.create(sqlite_url, tmp_path) as ledger:
        books.fill(ledger, 10)
        seal(ledger)
        sign(ledger, books.operator())
        yield ledger


def test_the_record_says_what_is_there(ledger: Ledger, fresh_anvil: str, tmp_path: Path) -> None:
    """Address, block, arguments and hashes are the chain's; the address follows from them."""
    with pytest.raises(ForeignContractError):
        deployment_record(ledger, fresh_anvil)
    done = migrate(ledger, fresh_anvil)
    path = tmp_path / "deployment.json"
    source = tmp_path / "deployment.input.json"
    assert [path, source] == write_record(ledger, fresh_anvil, path)
    given = decode(source.read_bytes())
    assert "Solidity" == given["language"]
    assert "src/LedgerToken.sol" in given["sources"]
    assert all(text["content"] for text in given["sources"].values())
    record = decode(path.read_bytes())
    bytecode = contracts.artifact(contracts.TOKEN_CONTRACT).bytecode
    init_code = bytecode + bytes.fromhex(record["constructorArguments"][2:])
    assert hex_data(keccak(init_code)) == record["initCodeHash"]
    address = create2(DEPLOYMENT_PROXY, bytes.fromhex(record["salt"][2:]), keccak(init_code))
    assert (to_checksum(address), 31337, True) == (
        record["address"],
        record["chainId"],
        record["codeIsThisReleases"],
    )
    with Rpc(fresh_anvil) as rpc:
        assert hex_data(keccak(get_code(rpc, done.contract))) == record["codeHash"]
        assert get_code(rpc, done.contract, block=hex(record["block"]))
        assert not get_code(rpc, done.contract, block=hex(record["block"] - 1))
    assert record["compiler"]["version"]
    assert version("token-ledger") == record["codeIsOfRelease"]
    before = path.read_bytes()
    assert [] == write_record(ledger, fresh_anvil, path)
    assert before == path.read_bytes()
    for other in (b"my notes", encode(record | {"chainId": 1}), encode(record | {"codeHash": ""})):
        path.write_bytes(other)
        with pytest.raises(FileFormatError, match="is not the record of"):
            write_record(ledger, fresh_anvil, path)
        assert other == path.read_bytes()


def test_the_published_file_alone_gives_the_code_on_the_chain(
    ledger: Ledger, fresh_anvil: str, tmp_path: Path, project: Path
) -> None:
    """The compiler, given the file beside the record, makes exactly what stands on the chain.

    As an explorer does: nothing else is read; the record's arguments complete the creation code.
    """
    done = migrate(ledger, fresh_anvil)
    path, source = write_record(ledger, fresh_anvil, tmp_path / "deployment.json")
    record = decode(path.read_bytes())
    told = subprocess.run(
        ["node", str(project / "tests/javascript/recompile.mjs"), record["contract"]],
        input=source.read_bytes(),
        cwd=tmp_path,
        capture_output=True,
        check=True,
        timeout=300,
    )
    compiled = json.loads(told.stdout)
    assert compiled["version"].startswith(record["compiler"]["version"].split("+")[0])
    creation = bytes.fromhex(compiled["bytecode"] + record["constructorArguments"][2:])
    assert hex_data(keccak(creation)) == record["initCodeHash"]
    made = create2(DEPLOYMENT_PROXY, bytes.fromhex(record["salt"][2:]), keccak(creation))
    assert (to_checksum(made), done.contract) == (record["address"], made)
    places = contracts.artifact(record["contract"]).immutables
    with Rpc(fresh_anvil) as rpc:
        on_chain = get_code(rpc, done.contract)
    assert contracts.masked_code(bytes.fromhex(compiled["runtime"]), places) == (
        contracts.masked_code(on_chain, places)
    )


def test_contracts_of_earlier_releases_are_known(ledger: Ledger, fresh_anvil: str) -> None:
    """Each contract of this release is listed; a list with another release knows its code too."""
    listed = contracts.released_codes()
    current = {code.contract for code in listed if code.release == version("token-ledger")}
    assert set(contracts.CONTRACTS) == current
    for name in contracts.CONTRACTS:
        runtime = contracts.artifact(name).runtime
        assert version("token-ledger") == contracts.release_of(runtime, name)
        assert None is contracts.release_of(runtime[:-1] + b"\1", name)
    contract = migrate(ledger, fresh_anvil).contract
    with Rpc(fresh_anvil) as rpc:
        code = get_code(rpc, contract) + b"\0"  # as another release might have had it
    [ours] = [r for r in listed if r.contract == contracts.TOKEN_CONTRACT]
    masked = keccak(contracts.masked_code(code, ours.immutables))
    earlier = replace(ours, release="0.0.9", size=len(code), masked_hash=masked)
    assert None is contracts.release_of(code)
    assert "0.0.9" == contracts.release_of(code, releases=[earlier, *listed])


def test_foreign_code_is_refused_unless_it_is_named(
    ledger: Ledger, fresh_anvil: str, sqlite_url: str, tmp_path: Path
) -> None:
    """Other code at the address: migrate refuses, reconcile finds it, --allow-code accepts it."""
    contract = migrate(ledger, fresh_anvil).contract
    ingest(ledger, fresh_anvil)
    with Rpc(fresh_anvil) as rpc:
        code = get_code(rpc, contract) + b"\0"
        rpc.call("anvil_setCode", [hex_data(contract), hex_data(code)])
    with pytest.raises(
        ForeignContractError, match="not that of any token contract of ours"
    ) as caught:
        migrate(ledger, fresh_anvil)
    assert hex_data(keccak(code)) in str(caught.value.hint)
    assert ["code_differs"] == [f.kind for f in reconcile(ledger, fresh_anvil).findings]
    allowed = [keccak(code)]
    assert reconcile(ledger, fresh_anvil, allow_code=allowed).clean
    assert 0 == migrate(ledger, fresh_anvil, allow_code=allowed).batches
    with pytest.raises(ForeignContractError, match="not that of any token contract of ours"):
        compose(ledger, fresh_anvil)
    with pytest.raises(NotReadyError, match="lacks nothing"):
        compose(ledger, fresh_anvil, allow_code=allowed)
    with pytest.raises(ForeignContractError):
        migrate(ledger, fresh_anvil, allow_code=[b"\1" * 32])
