// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {LedgerToken} from "../src/LedgerToken.sol";
import {IHeaderChain} from "../src/interfaces/IHeaderChain.sol";
import {Test} from "./Test.sol";

/// @title golden.json: what ethers and @openzeppelin/merkle-tree computed (scripts/golden.js)
abstract contract Golden is Test {
    uint256 internal constant BATCHES = 9;

    string internal golden = vm.readFile("test/golden.json");

    function batchPath(uint256 i) internal pure returns (string memory) {
        return string.concat(".batches[", vm.toString(i), "]");
    }

    function entryPath(uint256 i, uint256 j) internal pure returns (string memory) {
        return string.concat(batchPath(i), ".entries[", vm.toString(j), "]");
    }

    function header(uint256 i) internal view returns (IHeaderChain.Batch memory) {
        string memory path = string.concat(batchPath(i), ".header.");
        return IHeaderChain.Batch({
            number: uint64(vm.parseJsonUint(golden, string.concat(path, "number"))),
            parent: vm.parseJsonBytes32(golden, string.concat(path, "parent")),
            firstSeq: uint64(vm.parseJsonUint(golden, string.concat(path, "firstSeq"))),
            count: uint32(vm.parseJsonUint(golden, string.concat(path, "count"))),
            entriesRoot: vm.parseJsonBytes32(golden, string.concat(path, "entriesRoot")),
            rowsHash: vm.parseJsonBytes32(golden, string.concat(path, "rowsHash")),
            totalSupply: vm.parseJsonUint(golden, string.concat(path, "totalSupply")),
            sealedAt: uint64(vm.parseJsonUint(golden, string.concat(path, "sealedAt")))
        });
    }

    function entry(uint256 i, uint256 j) internal view returns (IHeaderChain.Entry memory) {
        string memory path = string.concat(entryPath(i, j), ".");
        return IHeaderChain.Entry({
            seq: uint64(vm.parseJsonUint(golden, string.concat(path, "seq"))),
            timestamp: uint64(vm.parseJsonUint(golden, string.concat(path, "timestamp"))),
            from: vm.parseJsonAddress(golden, string.concat(path, "from")),
            to: vm.parseJsonAddress(golden, string.concat(path, "to")),
            value: vm.parseJsonUint(golden, string.concat(path, "value")),
            nonce: vm.parseJsonBytes32(golden, string.concat(path, "nonce")),
            ref: vm.parseJsonBytes32(golden, string.concat(path, "ref"))
        });
    }

    function proof(uint256 i, uint256 j) internal view returns (bytes32[] memory) {
        return vm.parseJsonBytes32Array(golden, string.concat(entryPath(i, j), ".proof"));
    }
}

/// @dev Goal: ids, digests and proofs agree with ethers and @openzeppelin/merkle-tree, and nothing
/// but a true proof passes. Method: golden.json (scripts/golden.js), digests put into storage.
contract VerifyEntryTest is Golden {
    uint256 internal constant DIGESTS_SLOT = 11;

    LedgerToken internal token;

    function setUp() public {
        token = new LedgerToken(
            vm.parseJsonString(golden, ".name"),
            vm.parseJsonString(golden, ".symbol"),
            uint8(vm.parseJsonUint(golden, ".decimals")),
            vm.parseJsonBytes32(golden, ".ledgerUid"),
            address(0x10000)
        );
        for (uint256 i = 0; i < BATCHES; i++) {
            vm.store(
                address(token),
                keccak256(abi.encode(i + 1, DIGESTS_SLOT)),
                vm.parseJsonBytes32(golden, string.concat(batchPath(i), ".digest"))
            );
        }
    }

    function testTokenUid() public view {
        eq(vm.parseJsonBytes32(golden, ".tokenUid"), token.tokenUid(), "uid");
    }

    function testDigests() public view {
        for (uint256 i = 0; i < BATCHES; i++) {
            bytes32 digest = vm.parseJsonBytes32(golden, string.concat(batchPath(i), ".digest"));
            eq(digest, token.batchDigest(header(i)), "digest");
            eq(digest, token.digestOf(uint64(i + 1)), "stored");
        }
    }

    function testEveryProof() public view {
        for (uint256 i = 0; i < BATCHES; i++) {
            IHeaderChain.Batch memory batch = header(i);
            for (uint256 j = 0; j < batch.count; j++) {
                IHeaderChain.Entry memory e = entry(i, j);
                eq(
                    vm.parseJsonBytes32(golden, string.concat(entryPath(i, j), ".id")),
                    token.entryId(e),
                    "id"
                );
                yes(token.verifyEntry(batch, e, proof(i, j)), "proof");
            }
        }
    }

    function testChangedEntriesFail() public view {
        IHeaderChain.Batch memory batch = header(4);
        bytes32[] memory path = proof(4, 2);
        IHeaderChain.Entry memory e = entry(4, 2);
        e.seq++;
        no(token.verifyEntry(batch, e, path), "seq");
        e = entry(4, 2);
        e.timestamp++;
        no(token.verifyEntry(batch, e, path), "timestamp");
        e = entry(4, 2);
        e.from = address(9);
        no(token.verifyEntry(batch, e, path), "from");
        e = entry(4, 2);
        e.to = address(9);
        no(token.verifyEntry(batch, e, path), "to");
        e = entry(4, 2);
        e.value++;
        no(token.verifyEntry(batch, e, path), "value");
        e = entry(4, 2);
        e.nonce = 0;
        no(token.verifyEntry(batch, e, path), "nonce");
        e = entry(4, 2);
        e.ref = 0;
        no(token.verifyEntry(batch, e, path), "ref");
    }

    function testSeqOutsideTheBatchFails() public view {
        IHeaderChain.Entry memory e = entry(4, 0);
        IHeaderChain.Batch memory batch = header(4);
        e.seq = batch.firstSeq - 1;
        no(token.verifyEntry(batch, e, proof(4, 0)), "before");
        e.seq = batch.firstSeq + batch.count;
        no(token.verifyEntry(batch, e, proof(4, 0)), "after");
        e.seq = type(uint64).max;
        no(token.verifyEntry(batch, e, proof(4, 0)), "far");
    }

    function testPathOfWrongLengthFails() public view {
        no(token.verifyEntry(header(4), entry(4, 0), new bytes32[](0)), "empty");
        no(token.verifyEntry(header(4), entry(4, 0), new bytes32[](1)), "short");
        no(token.verifyEntry(header(4), entry(4, 0), new bytes32[](4)), "long");
        no(token.verifyEntry(header(0), entry(0, 0), new bytes32[](1)), "one leaf");
    }

    function testOtherBatchFails() public view {
        no(token.verifyEntry(header(3), entry(4, 0), proof(4, 0)), "another batch");
        IHeaderChain.Batch memory batch = header(4);
        batch.entriesRoot = 0;
        no(token.verifyEntry(batch, entry(4, 0), proof(4, 0)), "changed header");
        batch = header(4);
        batch.count++;
        no(token.verifyEntry(batch, entry(4, 0), proof(4, 0)), "changed count");
        batch = header(4);
        batch.count = 0;
        no(token.verifyEntry(batch, entry(4, 0), proof(4, 0)), "no entries");
        batch = header(4);
        batch.number = 10;
        no(token.verifyEntry(batch, entry(4, 0), proof(4, 0)), "not replayed");
    }
}
