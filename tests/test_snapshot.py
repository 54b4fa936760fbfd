"""Snapshot and anchor: the other ways onto a chain, on a real Anvil."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests import books

from token_ledger.anchor import anchor
from token_ledger.chain.anvil import Anvil
from token_ledger.chain.contracts import TOTAL_SUPPLY_CALL, balance_of_calldata
from token_ledger.chain.creation import SNAPSHOT_TOKEN, create, snapshot_init_code
from token_ledger.chain.delivery import open_courier, rehearse
from token_ledger.chain.rpc import Rpc, hex_data
from token_ledger.chain.state import call_contract, get_code, read_state
from token_ledger.core.snapshot import make_snapshot
from token_ledger.core.strict import decode, encode
from token_ledger.core.types import Header
from token_ledger.errors import (
    CanonicalChainError,
    FileFormatError,
    NotReadyError,
    RevertedError,
    SigningKeyError,
    TokenFinalizedError,
    UsageError,
)
from token_ledger.export import export
from token_ledger.ledger import Ledger
from token_ledger.migrate import migrate
from token_ledger.seal import seal
from token_ledger.sign import sign
from token_ledger.snapshot import claim, digest_to_sign, publish, sweep, take, write_files
from token_ledger.verify import Anchors, verify

LATER = 4_000_000_000


@pytest.fixture
def ledger(sqlite_url: str, tmp_path: Path) -> Iterator[Ledger]:
    with books.create(sqlite_url, tmp_path) as ledger:
        books.fill(ledger, 40)
        seal(ledger)
        sign(ledger, books.operator())
        yield ledger


def number(rpc: Rpc, contract: bytes, data: bytes) -> int:
    return int.from_bytes(call_contract(rpc, contract, data), "big")


def test_every_holder_claims_exactly_its_balance(ledger: Ledger, fresh_anvil: str) -> None:
    """Claims give each holder what the ledger says, once; together they are the supply."""
    made = take(ledger, deadline=LATER)
    opened = publish(ledger, fresh_anvil, made, sealer=books.operator())
    assert opened.tx_hash is not None
    assert publish(ledger, fresh_anvil, made, sealer=books.operator()).tx_hash is None
    with Rpc(fresh_anvil) as rpc:
        assert 0 == number(rpc, opened.contract, TOTAL_SUPPLY_CALL)
        for account, amount in made.holdings:
            document = made.proof_to_json(account, amount)
            more = document | {"amount": str(amount + 1)}
            with pytest.raises(RevertedError, match="InvalidProof"):
                claim(fresh_anvil, opened.contract, more)
            assert claim(fresh_anvil, opened.contract, document).tx_hash is not None
            assert claim(fresh_anvil, opened.contract, document).tx_hash is None
            assert amount == number(rpc, opened.contract, balance_of_calldata(account))
        supply = number(rpc, opened.contract, TOTAL_SUPPLY_CALL)
    assert ledger.get_total_supply() == supply
    with pytest.raises(TokenFinalizedError):
        ledger.transfer("alice", "bob", 1, reason="too late")


def test_a_signature_opens_one_chain_alone(ledger: Ledger) -> None:
    """What opened the claims on one chain, sent by a stranger to another: the contract refuses."""
    made = take(ledger, deadline=LATER)
    with Anvil(args=("--chain-id", "5001")) as home, Anvil(args=("--chain-id", "5002")) as other:
        opened = publish(ledger, home.url, made, sealer=books.operator())
        assert opened.tx_hash is not None
        with Rpc(home.url) as rpc:
            sent = rpc.call("eth_getTransactionByHash", [hex_data(opened.tx_hash)])
        with Rpc(other.url) as rpc:
            sender = open_courier(rpc, None, chain_id=5002)
            create(
                sender,
                ledger.token,
                snapshot_init_code(ledger.token, ledger.operator),
                name=SNAPSHOT_TOKEN,
            )
            assert get_code(rpc, opened.contract)
            data = bytes.fromhex(sent["input"][2:])
            with pytest.raises(RevertedError, match="InvalidSignature"):
                rehearse(sender, opened.contract, data, what="the snapshot")
            assert not sender.send_and_wait(opened.contract, data, gas=500_000).succeeded
            assert not read_state(rpc, opened.contract).finalized


def test_what_is_signed_elsewhere_names_its_chain(ledger: Ledger, fresh_anvil: str) -> None:
    """A digest is of one chain: none is guessed, and one of another chain opens nothing here."""
    made = take(ledger, deadline=LATER)
    with pytest.raises(UsageError, match="none is named"):
        digest_to_sign(ledger, made)
    here, there = (digest_to_sign(ledger, made, chain_id) for chain_id in (31337, 31338))
    with pytest.raises(SigningKeyError, match="not signed by the operator"):
        publish(
            ledger,
            fresh_anvil,
            replace(made, signature=books.operator().sign_digest(there)),
        )
    signed = replace(made, signature=books.operator().sign_digest(here))
    assert publish(ledger, fresh_anvil, signed).tx_hash is not None
    ledger.set_canonical_chain(7777)
    assert digest_to_sign(ledger, made, 7777) == digest_to_sign(ledger, made)
    with pytest.raises(CanonicalChainError):
        digest_to_sign(ledger, made, 31337)


def test_the_digest_is_that_of_other_libraries(project: Path) -> None:
    """Ethers computes the same digest of the same balances, chain and contract."""
    golden = json.loads((project / "contracts/test/golden.json").read_text())
    header = {
        name: int(value) if name == "totalSupply" else value
        for name, value in golden["batches"][-1]["header"].items()
    }
    words = [bytes.fromhex(v[2:]) if isinstance(v, str) else v for v in header.values()]
    told = golden["snapshot"]
    made = make_snapshot(
        bytes.fromhex(golden["tokenUid"][2:]),
        Header(*words),
        bytes.fromhex(told["batchDigest"][2:]),
        [(bytes.fromhex(held["account"][2:]), int(held["amount"])) for held in told["claims"]],
        deadline=told["deadline"],
    )
    assert told["balancesRoot"] == hex_data(made.root)
    token = bytes.fromhex(told["token"][2:])
    assert told["digest"] == hex_data(made.digest_for(told["chainId"], token))


def test_what_is_taken_opens_nothing(ledger: Ledger, tmp_path: Path) -> None:
    """The files that holders are given hold no signature: nobody can open an older snapshot."""
    made = take(ledger, deadline=LATER)
    write_files(made, tmp_path)
    assert None is made.signature
    assert "signature" not in decode((tmp_path / "snapshot.json").read_bytes())


def test_what_nobody_claimed_is_swept_after_the_deadline(ledger: Ledger, fresh_anvil: str) -> None:
    """Before the deadline, and without a destination, sweep is refused; then it mints the rest."""
    with Rpc(fresh_anvil) as rpc:
        rpc.call("anvil_setBalance", [hex_data(books.operator().address), hex(10**20)])
        now = int(rpc.call("eth_getBlockByNumber", ["latest", False])["timestamp"], 16)
        made = take(ledger, deadline=now + 1000)
        contract = publish(ledger, fresh_anvil, made, sealer=books.operator()).contract
        claim(fresh_anvil, contract, made.proof_to_json(*made.holdings[0]))
        with pytest.raises(RevertedError, match="ClaimsOpen"):
            sweep(fresh_anvil, contract)
        rpc.call("evm_increaseTime", [2000])
        rpc.call("anvil_mine", ["0x1"])
        with pytest.raises(RevertedError, match="NoSweepDestination"):
            sweep(fresh_anvil, contract)
        with pytest.raises(RevertedError, match="ClaimsClosed"):
            claim(fresh_anvil, contract, made.proof_to_json(*made.holdings[1]))
        target = b"\x88" * 20
        with pytest.raises(SigningKeyError):
            sweep(fresh_anvil, contract, destination=target)
        sweep(fresh_anvil, contract, destination=target, admin=books.operator())
        rest = made.header.total_supply - made.holdings[0][1]
        assert rest == number(rpc, contract, balance_of_calldata(target))


def test_the_tree_is_openzeppelins(ledger: Ledger, tmp_path: Path, project: Path) -> None:
    """@openzeppelin/merkle-tree makes the same root of the same balances, and takes every proof."""
    made = take(ledger, deadline=LATER)
    assert len(made.holdings) == write_files(made, tmp_path / "snapshot")
    proofs = [
        decode(path.read_bytes()) for path in sorted((tmp_path / "snapshot/proofs").iterdir())
    ]
    assert all(encode(proof) for proof in proofs)
    script = """
      const { StandardMerkleTree } = require("@openzeppelin/merkle-tree");
      const proofs = JSON.parse(require("fs").readFileSync(0, "utf8"));
      const types = ["address", "uint256"];
      const tree = StandardMerkleTree.of(proofs.map((p) => [p.account, p.amount]), types);
      const good = proofs.every((p) =>
        StandardMerkleTree.verify(p.balancesRoot, types, [p.account, p.amount], p.proof));
      console.log(JSON.stringify({ root: tree.root, good }));
    """
    told = subprocess.run(
        ["node", "-e", script],
        cwd=project / "contracts",
        input=json.dumps(proofs),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert {"root": "0x" + made.root.hex(), "good": True} == json.loads(told.stdout)


def test_a_snapshot_is_refused_where_it_does_not_belong(ledger: Ledger, fresh_anvil: str) -> None:
    """Unsigned, behind the ledger, after a replay, with no time or a foreign proof: all refused."""
    with pytest.raises(UsageError):
        take(ledger, deadline=0)
    unsigned = take(ledger, deadline=LATER)
    with pytest.raises(SigningKeyError):
        publish(ledger, fresh_anvil, unsigned)
    with Rpc(fresh_anvil) as rpc:
        before = rpc.quantity("eth_blockNumber")
        with pytest.raises(SigningKeyError, match="not signed by the operator"):
            publish(ledger, fresh_anvil, take(ledger, deadline=LATER), sealer=books.stranger())
        assert before == rpc.quantity("eth_blockNumber")
    ledger.transfer("alice", "bob", 1, reason="the books are open")
    made = take(ledger, deadline=LATER)
    with pytest.raises(NotReadyError, match="1 entry of TKN not sealed yet") as caught:
        publish(ledger, fresh_anvil, made, sealer=books.operator())
    assert "take the snapshot anew" in str(caught.value.hint)
    held = ledger.hold("alice", 1)
    seal(ledger)
    with pytest.raises(NotReadyError, match="1 hold of TKN open"):
        publish(ledger, fresh_anvil, take(ledger, deadline=LATER), sealer=books.operator())
    ledger.release(held.id)
    seal(ledger)
    with pytest.raises(NotReadyError, match="gone on"):
        publish(ledger, fresh_anvil, made, sealer=books.operator())
    sign(ledger, books.operator())
    migrate(ledger, fresh_anvil)
    made = take(ledger, deadline=LATER)
    with pytest.raises(NotReadyError, match="by replay"):
        publish(ledger, fresh_anvil, made, sealer=books.operator())
    with pytest.raises(FileFormatError):
        claim(fresh_anvil, b"\1" * 20, {"format": "x"})


def test_anchored_headers_vouch(ledger: Ledger, fresh_anvil: str, tmp_path: Path) -> None:
    """Headers go in once, in order, over several runs; verify takes the registry as an anchor."""
    first = anchor(ledger, fresh_anvil)
    assert (1, 1) == (first.headers, first.head_number)
    assert (0, 1, 0) == (
        (again := anchor(ledger, fresh_anvil)).headers,
        again.head_number,
        again.gas_used,
    )
    for seed in range(2, 5):
        books.fill(ledger, 6, seed=seed)
        seal(ledger)
    with pytest.raises(SigningKeyError):
        anchor(ledger, fresh_anvil)
    sign(ledger, books.operator())
    assert (3, 4) == ((more := anchor(ledger, fresh_anvil)).headers, more.head_number)
    export(ledger, tmp_path / "export")
    with Rpc(fresh_anvil) as rpc:
        rpc.call("anvil_mine", ["0x80"])
    anchors = Anchors(rpc_url=fresh_anvil, contract=first.registry)
    report = verify(tmp_path / "export", anchors)
    assert (True, True, []) == (report.consistent, report.anchored, report.findings)
    ledger.transfer("alice", "bob", 1, reason="the books stay open")
