// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SnapshotToken} from "../src/SnapshotToken.sol";
import {IHeaderChain} from "../src/interfaces/IHeaderChain.sol";
import {ISnapshotToken} from "../src/interfaces/ISnapshotToken.sol";
import {Test} from "./Test.sol";

/// @title A snapshot of n holders: balances, their standard-v1 tree, and the sealer's signature
abstract contract Snapshots is Test {
    uint256 internal constant KEY = 0x5EA1;
    uint64 internal constant NOW = 1_800_000_000;
    uint64 internal constant DEADLINE = NOW + 1000;
    address internal constant LEFTOVERS = address(0x1EF70EE5);

    SnapshotToken internal token;
    address internal operator = vm.addr(KEY);
    bytes32[] internal tree;

    function deploy(uint256 holders) internal {
        vm.warp(NOW);
        token = new SnapshotToken("Token", "TOK", 6, keccak256("ledger"), operator);
        plant(holders);
    }

    function holder(uint256 i) internal pure returns (address) {
        return address(uint160(0x10000 + i));
    }

    function balance(uint256 i) internal pure returns (uint256) {
        return 10 + i * i;
    }

    function total() internal view returns (uint256 sum) {
        for (uint256 i = 0; i < (tree.length + 1) / 2; i++) {
            sum += balance(i);
        }
    }

    /// @dev A complete binary tree in an array, as OpenZeppelin's library has it: node i has the
    /// children 2i + 1 and 2i + 2, leaves come last. It sorts leaves, which no proof depends on.
    function plant(uint256 n) internal {
        tree = new bytes32[](2 * n - 1);
        for (uint256 i = 0; i < n; i++) {
            tree[2 * n - 2 - i] =
                keccak256(bytes.concat(keccak256(abi.encode(holder(i), balance(i)))));
        }
        for (uint256 i = n - 1; i > 0; i--) {
            (bytes32 a, bytes32 b) = (tree[2 * i - 1], tree[2 * i]);
            tree[i - 1] = a < b ? keccak256(abi.encode(a, b)) : keccak256(abi.encode(b, a));
        }
    }

    function proofOf(uint256 i) internal view returns (bytes32[] memory proof) {
        uint256 node = tree.length - 1 - i;
        uint256 depth = 0;
        for (uint256 n = node; n > 0; n = (n - 1) / 2) {
            depth++;
        }
        proof = new bytes32[](depth);
        for (uint256 d = 0; d < depth; d++) {
            proof[d] = tree[node % 2 == 0 ? node - 1 : node + 1];
            node = (node - 1) / 2;
        }
    }

    function header(uint256 supply) internal pure returns (IHeaderChain.Batch memory) {
        return
            IHeaderChain.Batch(7, keccak256("parent"), 100, 20, keccak256("entries"), 0, supply, 1);
    }

    function sealedBy(uint256 key, uint256 supply, uint64 deadline)
        internal
        view
        returns (bytes memory)
    {
        bytes32 digest = token.batchDigest(header(supply));
        return signature(
            key, token.snapshotDigest(ISnapshotToken.Snapshot(digest, tree[0], supply, deadline))
        );
    }

    function open() internal {
        token.open(header(total()), tree[0], DEADLINE, sealedBy(KEY, total(), DEADLINE));
    }

    function claim(uint256 i) internal {
        token.claim(holder(i), balance(i), proofOf(i));
    }
}
