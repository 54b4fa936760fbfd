// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {HeaderRegistry} from "../src/HeaderRegistry.sol";
import {LedgerToken} from "../src/LedgerToken.sol";
import {IHeaderChain} from "../src/interfaces/IHeaderChain.sol";
import {IHeaderRegistry} from "../src/interfaces/IHeaderRegistry.sol";
import {Test} from "./Test.sol";

/// @dev Goal: the registry is an append-only chain of what the sealer signed, and says of headers
/// and entries what a LedgerToken of the same token says.
contract HeaderRegistryTest is Test {
    uint256 internal constant KEY = 0x5EA1;

    HeaderRegistry internal registry;
    LedgerToken internal token;

    function setUp() public {
        token = new LedgerToken("Token", "TOK", 6, keccak256("ledger"), vm.addr(KEY));
        registry = new HeaderRegistry(token.tokenUid(), vm.addr(KEY));
    }

    function testConstructor() public {
        eq(token.tokenUid(), registry.tokenUid(), "uid");
        eq(vm.addr(KEY), registry.sealer(), "sealer");
        standsAt(0, 0, 0);
        vm.expectRevert(IHeaderRegistry.TokenUidZero.selector);
        new HeaderRegistry(0, vm.addr(KEY));
        vm.expectRevert(IHeaderChain.OperatorZero.selector);
        new HeaderRegistry(keccak256("uid"), address(0));
    }

    function testAnchorOneByOne() public {
        IHeaderChain.Batch[] memory headers = chain(2);
        for (uint256 i = 0; i < 2; i++) {
            bytes32 digest = token.batchDigest(headers[i]);
            vm.prank(address(0xBEEF));
            vm.expectEmit();
            emit IHeaderRegistry.HeaderAnchored(
                headers[i].number, digest, headers[i].entriesRoot, headers[i].firstSeq, 3
            );
            registry.anchor(only(headers[i]), sealedBy(KEY, headers[i]));
            standsAt(uint64(i + 1), digest, uint64(3 * i + 3));
            eq(digest, registry.digestOf(uint64(i + 1)), "stored");
        }
    }

    /// @dev The last signature vouches for all headers: each holds the digest of the one before.
    function testAnchorMany() public {
        IHeaderChain.Batch[] memory headers = chain(30);
        registry.anchor(headers, sealedBy(KEY, headers[29]));
        for (uint256 i = 0; i < 30; i++) {
            eq(token.batchDigest(headers[i]), registry.digestOf(uint64(i + 1)), "stored");
        }
        standsAt(30, token.batchDigest(headers[29]), 90);
    }

    function testVerifyEntryInABatchOfOne() public {
        IHeaderChain.Batch[] memory headers = chain(1);
        IHeaderChain.Entry memory entry =
            IHeaderChain.Entry(0, 5, address(1), address(2), 3, keccak256("n"), keccak256("r"));
        bytes memory leaf = abi.encode(
            token.entryId(entry), entry.seq, entry.timestamp, entry.from, entry.to, entry.value
        );
        headers[0].count = 1;
        headers[0].entriesRoot = keccak256(bytes.concat(keccak256(leaf)));
        no(registry.verifyEntry(headers[0], entry, new bytes32[](0)), "before");
        registry.anchor(headers, sealedBy(KEY, headers[0]));
        yes(registry.verifyEntry(headers[0], entry, new bytes32[](0)), "after");
        entry.value++;
        no(registry.verifyEntry(headers[0], entry, new bytes32[](0)), "changed");
    }

    function testAnchorRefusesAnotherSignature() public {
        IHeaderChain.Batch[] memory headers = chain(3);
        refusesSignature(headers, sealedBy(KEY + 1, headers[2]));
        refusesSignature(headers, sealedBy(KEY, headers[1]));
        refusesSignature(headers, "");
        standsAt(0, 0, 0);
    }

    function testAnchorRefusesWhatDoesNotFollow() public {
        IHeaderChain.Batch[] memory headers = chain(3);
        registry.anchor(only(headers[0]), sealedBy(KEY, headers[0]));
        refuses(headers[0], abi.encodeWithSelector(IHeaderChain.UnexpectedNumber.selector, 2, 1));
        refuses(headers[2], abi.encodeWithSelector(IHeaderChain.UnexpectedNumber.selector, 2, 3));
        IHeaderChain.Batch memory bad = copy(headers[1]);
        bad.parent = keccak256("another history");
        refuses(
            bad,
            abi.encodeWithSelector(
                IHeaderChain.UnexpectedParent.selector, registry.digestOf(1), bad.parent
            )
        );
        bad = copy(headers[1]);
        bad.firstSeq++;
        refuses(bad, abi.encodeWithSelector(IHeaderChain.UnexpectedFirstSeq.selector, 3, 4));
        bad = copy(headers[1]);
        bad.count = 0;
        refuses(bad, abi.encodeWithSelector(IHeaderChain.EmptyBatch.selector));
        vm.expectRevert(IHeaderChain.EmptyBatch.selector);
        registry.anchor(new IHeaderChain.Batch[](0), "");
        standsAt(1, token.batchDigest(headers[0]), 3);
    }

    /// @dev What is stored stays, whoever becomes sealer or admin.
    function testNothingStoredChanges() public {
        IHeaderChain.Batch[] memory headers = chain(2);
        registry.anchor(headers, sealedBy(KEY, headers[1]));
        vm.prank(vm.addr(KEY));
        registry.setSealer(vm.addr(77));
        IHeaderChain.Batch memory other = copy(headers[1]);
        other.sealedAt++;
        bytes memory proof = sealedBy(77, other);
        vm.expectRevert(abi.encodeWithSelector(IHeaderChain.UnexpectedNumber.selector, 3, 2));
        registry.anchor(only(other), proof);
        eq(token.batchDigest(headers[1]), registry.digestOf(2), "stored");
    }

    function testFuzzChain(uint256 seed) public {
        IHeaderChain.Batch[] memory headers = chain(1 + seed % 9);
        uint256 bad = (seed >> 8) % headers.length;
        bytes memory good = sealedBy(KEY, headers[headers.length - 1]);
        headers[bad].rowsHash = keccak256("changed");
        (bool ok,) = address(registry).call(abi.encodeCall(registry.anchor, (headers, good)));
        no(ok, "a changed header passed");
        headers[bad].rowsHash = 0;
        registry.anchor(headers, good);
    }

    function chain(uint256 n) internal view returns (IHeaderChain.Batch[] memory headers) {
        headers = new IHeaderChain.Batch[](n);
        bytes32 parent;
        for (uint256 i = 0; i < n; i++) {
            headers[i] = IHeaderChain.Batch(
                uint64(i + 1), parent, uint64(3 * i), 3, keccak256("root"), 0, 5, uint64(i)
            );
            parent = token.batchDigest(headers[i]);
        }
    }

    function only(IHeaderChain.Batch memory header)
        internal
        pure
        returns (IHeaderChain.Batch[] memory headers)
    {
        headers = new IHeaderChain.Batch[](1);
        headers[0] = header;
    }

    function copy(IHeaderChain.Batch memory header)
        internal
        pure
        returns (IHeaderChain.Batch memory)
    {
        return abi.decode(abi.encode(header), (IHeaderChain.Batch));
    }

    function sealedBy(uint256 key, IHeaderChain.Batch memory header)
        internal
        view
        returns (bytes memory)
    {
        return signature(key, token.batchDigest(header));
    }

    function refuses(IHeaderChain.Batch memory header, bytes memory reason) internal {
        bytes memory proof = sealedBy(KEY, header);
        vm.expectRevert(reason);
        registry.anchor(only(header), proof);
    }

    function refusesSignature(IHeaderChain.Batch[] memory headers, bytes memory proof) internal {
        vm.expectPartialRevert(IHeaderChain.InvalidSignature.selector);
        registry.anchor(headers, proof);
    }

    function standsAt(uint64 number, bytes32 digest, uint64 nextSeq) internal view {
        (uint64 number_, bytes32 digest_, uint64 nextSeq_) = registry.head();
        eq(abi.encode(number, digest, nextSeq), abi.encode(number_, digest_, nextSeq_), "head");
    }
}
