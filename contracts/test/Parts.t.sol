// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IHeaderChain} from "../src/interfaces/IHeaderChain.sol";
import {ILedgerToken} from "../src/interfaces/ILedgerToken.sol";
import {IOnchainToken} from "../src/interfaces/IOnchainToken.sol";
import {NettingBase} from "./Netting.t.sol";
import {Vm} from "./Test.sol";

/// @dev Goal: a batch in several transactions does what it does in one, nothing else happens in
/// between, and logs say which entry is which. Method: the same rows go to NaiveToken at once.
contract PartsTest is NettingBase {
    function testPartsOfTwoRows() public {
        (IHeaderChain.Batch memory header, bytes memory rows) = fiveRows();
        bytes32 digest = token.batchDigest(header);
        bytes memory proof = sealedBy(KEY, header);

        vm.expectEmit();
        emit IERC20.Transfer(address(0), address(0xA), 10);
        vm.expectEmit();
        emit IERC20.Transfer(address(0xA), address(0xB), 1);
        vm.expectEmit();
        emit ILedgerToken.BatchPartReplayed(1, digest, 0, 2);
        token.replayPart(header, rows, proof, 2);
        isOpen(digest, 2);
        eq(9, token.balanceOf(address(0xA)), "A");
        eq(10, token.totalSupply(), "supply so far");

        vm.expectEmit();
        emit ILedgerToken.BatchPartReplayed(1, digest, 2, 2);
        token.replayPart(header, rows, proof, 2);
        isOpen(digest, 4);

        vm.expectEmit();
        emit IERC20.Transfer(address(0xB), address(0), 2);
        vm.expectEmit();
        emit ILedgerToken.BatchPartReplayed(1, digest, 4, 1);
        vm.expectEmit();
        emit ILedgerToken.BatchReplayed(1, digest, header.entriesRoot, 0, 5);
        token.replayPart(header, rows, proof, 2);
        isOpen(0, 0);
        standsAt(1, digest, 5);
        eq(7, token.balanceOf(address(0xA)), "A");
        eq(1, token.balanceOf(address(0xB)), "B");
        eq(8, token.totalSupply(), "supply");
    }

    /// @dev Which is `replay`: no part is told of.
    function testOnePartOfAllRows() public {
        (IHeaderChain.Batch memory header, bytes memory rows) = fiveRows();
        token.replayPart(header, rows, sealedBy(KEY, header), type(uint32).max);
        isOpen(0, 0);
        standsAt(1, token.batchDigest(header), 5);
    }

    /// @dev Whoever begins a batch in small parts delays nobody: `replay` ends it.
    function testReplayEndsWhatAPartBegan() public {
        (IHeaderChain.Batch memory header, bytes memory rows) = fiveRows();
        bytes32 digest = token.batchDigest(header);
        vm.prank(address(0xBEEF));
        token.replayPart(header, rows, sealedBy(KEY, header), 1);
        vm.expectEmit();
        emit ILedgerToken.BatchPartReplayed(1, digest, 1, 4);
        vm.expectEmit();
        emit ILedgerToken.BatchReplayed(1, digest, header.entriesRoot, 0, 5);
        token.replay(header, rows, sealedBy(KEY, header));
        standsAt(1, digest, 5);
        eq(8, token.totalSupply(), "supply");
    }

    function testNothingElseWhileABatchIsOpen() public {
        (IHeaderChain.Batch memory header, bytes memory rows) = fiveRows();
        bytes32 digest = token.batchDigest(header);
        token.replayPart(header, rows, sealedBy(KEY, header), 1);

        IHeaderChain.Batch memory other = header;
        other.sealedAt++;
        bytes memory proof = sealedBy(KEY, other);
        bytes memory reason = abi.encodeWithSelector(
            ILedgerToken.UnexpectedDigest.selector, digest, token.batchDigest(other)
        );
        vm.expectRevert(reason);
        token.replay(other, rows, proof);
        vm.expectRevert(reason);
        token.replayPart(other, rows, proof, 1);

        vm.prank(vm.addr(KEY));
        vm.expectRevert(abi.encodeWithSelector(ILedgerToken.BatchIsOpen.selector, digest));
        token.finalize();
        vm.prank(address(0xA));
        vm.expectRevert(IOnchainToken.NotFinalized.selector);
        token.transfer(address(0xB), 1);
        isOpen(digest, 1);
        standsAt(0, 0, 0);
    }

    function testEveryPartIsChecked() public {
        (IHeaderChain.Batch memory header, bytes memory rows) = fiveRows();
        bytes memory proof = sealedBy(KEY, header);
        bytes memory forged = sealedBy(KEY + 1, header);
        bytes memory changed = bytes.concat(rows);
        changed[changed.length - 1] ^= 0x01;
        for (uint256 i = 0; i < 2; i++) {
            vm.expectRevert(ILedgerToken.EmptyPart.selector);
            token.replayPart(header, rows, proof, 0);
            vm.expectPartialRevert(IHeaderChain.InvalidSignature.selector);
            token.replayPart(header, rows, forged, 1);
            vm.expectPartialRevert(ILedgerToken.UnexpectedRowsHash.selector);
            token.replayPart(header, changed, proof, 1);
            token.replayPart(header, rows, proof, 1);
        }
    }

    /// @dev What a later part could not do is refused before the first one.
    function testABatchThatCannotEndDoesNotBegin() public {
        (IHeaderChain.Batch memory header, bytes memory rows) = fiveRows();
        header.totalSupply = 9;
        bytes memory proof = sealedBy(KEY, header);
        vm.expectRevert(abi.encodeWithSelector(ILedgerToken.UnexpectedTotalSupply.selector, 9, 8));
        token.replayPart(header, rows, proof, 1);
        isOpen(0, 0);
    }

    function testABatchThatOverdrawsLaterDoesNotBegin() public {
        bytes memory rows = overdrawingRows();
        IHeaderChain.Batch memory header = next(rows, 3, 5);
        bytes memory proof = sealedBy(KEY, header);
        bytes memory overdrawn =
            abi.encodeWithSelector(ILedgerToken.Overdrawn.selector, 2, address(0xA), 0, 1);
        for (uint32 n = 1; n <= 3; n++) {
            vm.expectRevert(overdrawn);
            token.replayPart(header, rows, proof, n);
        }
        isOpen(0, 0);
    }

    /// @dev Another sealer ends the batch by signing the same header.
    function testSealerChangesBetweenParts() public {
        (IHeaderChain.Batch memory header, bytes memory rows) = fiveRows();
        token.replayPart(header, rows, sealedBy(KEY, header), 1);
        vm.prank(vm.addr(KEY));
        token.setSealer(vm.addr(77));
        bytes memory former = sealedBy(KEY, header);
        vm.expectPartialRevert(IHeaderChain.InvalidSignature.selector);
        token.replay(header, rows, former);
        token.replay(header, rows, sealedBy(77, header));
        standsAt(1, token.batchDigest(header), 5);
    }

    function testBatchesAfterABatchInParts() public {
        (IHeaderChain.Batch memory header, bytes memory rows) = fiveRows();
        token.replayPart(header, rows, sealedBy(KEY, header), 4);
        token.replayPart(header, rows, sealedBy(KEY, header), 4);
        replay(mintRows(3), 1, 11);
        header = next(mintRows(4), 1, 15);
        token.replayPart(header, mintRows(4), sealedBy(KEY, header), 9);
        standsAt(3, token.batchDigest(header), 7);
    }

    /// @dev Batches of anything in parts of any size: logs are attributed as the interface says.
    function testFuzzPartsAgainstNaive(uint256 seed) public {
        address[] memory pool = sequence(0, 10);
        for (uint256 i = 0; i < 3; i++) {
            (bytes memory rows, uint256 count) = randomBatch(seed, pool);
            inParts(rows, count, pool, seed);
            seed = uint256(keccak256(abi.encode(seed)));
        }
    }

    function testFuzzManyAccountsInParts(uint256 seed) public {
        address[] memory pool = sequence(0, 300);
        (bytes memory rows, uint256 count) = randomBatch(seed, pool);
        inParts(rows, count, sequence(0, 12), seed);
    }

    function inParts(bytes memory rows, uint256 count, address[] memory accounts, uint256 seed)
        internal
    {
        vm.recordLogs();
        (bool accepted, bytes memory reason) =
            address(naive).call(abi.encodeCall(naive.execute, (rows, count)));
        Vm.Log[] memory expected = vm.getRecordedLogs();
        IHeaderChain.Batch memory header = next(rows, count, naive.totalSupply());
        bytes memory proof = sealedBy(KEY, header);

        uint256 done = 0;
        while (accepted ? done < count : done == 0) {
            uint32 n = uint32(1 + uint256(keccak256(abi.encode(seed, done))) % 12);
            (bool ok, bytes memory result) =
                address(token).call(abi.encodeCall(token.replayPart, (header, rows, proof, n)));
            eq(accepted ? 1 : 0, ok ? 1 : 0, "accepted");
            if (!accepted) eq(reason, result, "reason");
            uint256 part = count - done < n ? count - done : n;
            if (accepted) attributed(expected, done, part, count, header.firstSeq);
            done += part;
        }
        isOpen(0, 0);
        eq(naive.totalSupply(), token.totalSupply(), "supply");
        for (uint256 i = 0; i < accounts.length; i++) {
            eq(naive.balanceOf(accounts[i]), token.balanceOf(accounts[i]), "balance");
        }
    }

    /// @dev The last transaction's logs: Transfers, the part's event unless the batch is whole, and
    /// the batch's after the last row.
    function attributed(
        Vm.Log[] memory expected,
        uint256 done,
        uint256 part,
        uint256 count,
        uint64 firstSeq
    ) internal view {
        Vm.Log[] memory actual = vm.getRecordedLogs();
        for (uint256 i = 0; i < part; i++) {
            eq(abi.encode(expected[done + i].topics), abi.encode(actual[i].topics), "topics");
            eq(expected[done + i].data, actual[i].data, "data");
        }
        uint256 place = part;
        if (part < count) {
            eq(ILedgerToken.BatchPartReplayed.selector, actual[place].topics[0], "part");
            eq(abi.encode(firstSeq + done, part), actual[place].data, "first seq and count");
            place++;
        }
        if (done + part == count) {
            eq(ILedgerToken.BatchReplayed.selector, actual[place].topics[0], "batch");
            place++;
        }
        eq(place, actual.length, "logs");
    }

    /// @dev Ten to A, of which three go on to B one by one, who burns two.
    function fiveRows() internal view returns (IHeaderChain.Batch memory, bytes memory) {
        Row[] memory list = new Row[](5);
        list[0] = Row(0, 1, 10);
        list[1] = list[2] = list[3] = Row(1, 2, 1);
        list[4] = Row(2, 0, 2);
        bytes memory rows = pack(three(), 1, list);
        return (next(rows, 5, 8), rows);
    }

    /// @dev Five to A, who gives them to B, and then one more.
    function overdrawingRows() internal pure returns (bytes memory) {
        Row[] memory list = new Row[](3);
        list[0] = Row(0, 1, 5);
        list[1] = Row(1, 2, 5);
        list[2] = Row(1, 2, 1);
        return pack(three(), 1, list);
    }

    function isOpen(bytes32 digest, uint32 rowsDone) internal view {
        (bytes32 digest_, uint32 rowsDone_) = token.openBatch();
        eq(digest, digest_, "open batch");
        eq(rowsDone, rowsDone_, "rows done");
    }

    function standsAt(uint64 number, bytes32 digest, uint64 nextSeq) internal view {
        (uint64 number_, bytes32 digest_, uint64 nextSeq_) = token.head();
        eq(number, number_, "number");
        eq(digest, digest_, "digest");
        eq(nextSeq, nextSeq_, "nextSeq");
    }
}
