// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SnapshotToken} from "../src/SnapshotToken.sol";
import {IHeaderChain} from "../src/interfaces/IHeaderChain.sol";
import {ISnapshotToken} from "../src/interfaces/ISnapshotToken.sol";
import {Golden} from "./VerifyEntry.t.sol";

/// @dev Goal: a snapshot that ethers and @openzeppelin/merkle-tree made is opened and claimed as it
/// is. Method: golden.json (scripts/golden.js); the sealer is a key of the test's.
contract SnapshotGoldenTest is Golden {
    uint256 internal constant KEY = 0x5EA1;

    function testSnapshotOfOtherLibraries() public {
        SnapshotToken coin = new SnapshotToken(
            vm.parseJsonString(golden, ".name"),
            vm.parseJsonString(golden, ".symbol"),
            uint8(vm.parseJsonUint(golden, ".decimals")),
            vm.parseJsonBytes32(golden, ".ledgerUid"),
            vm.addr(KEY)
        );
        eq(vm.parseJsonAddress(golden, ".snapshot.token"), address(coin), "token");
        vm.chainId(vm.parseJsonUint(golden, ".snapshot.chainId"));
        bytes32 root = vm.parseJsonBytes32(golden, ".snapshot.balancesRoot");
        uint64 deadline = uint64(vm.parseJsonUint(golden, ".snapshot.deadline"));
        bytes32 digest = vm.parseJsonBytes32(golden, ".snapshot.digest");
        IHeaderChain.Batch memory batch = header(BATCHES - 1);
        eq(vm.parseJsonBytes32(golden, ".snapshot.batchDigest"), coin.batchDigest(batch), "batch");
        ISnapshotToken.Snapshot memory signed =
            ISnapshotToken.Snapshot(coin.batchDigest(batch), root, batch.totalSupply, deadline);
        eq(digest, coin.snapshotDigest(signed), "digest");

        coin.open(batch, root, deadline, signature(KEY, digest));
        for (uint256 i = 0; i < 7; i++) {
            string memory claim = string.concat(".snapshot.claims[", vm.toString(i), "]");
            address account = vm.parseJsonAddress(golden, string.concat(claim, ".account"));
            uint256 amount = vm.parseJsonUint(golden, string.concat(claim, ".amount"));
            bytes32[] memory path =
                vm.parseJsonBytes32Array(golden, string.concat(claim, ".proof"));
            coin.claim(account, amount, path);
            eq(amount, coin.balanceOf(account), "balance");
        }
        eq(batch.totalSupply, coin.totalSupply(), "supply");
        yes(coin.verifyEntry(batch, entry(BATCHES - 1, 3), proof(BATCHES - 1, 3)), "entry");
    }
}
