// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IHeaderChain} from "./IHeaderChain.sol";

/// @title The headers of a ledger's batches, and no coin
/// @notice Makes a ledger tamper-evident: what was anchored can be proved, and never changed.
interface IHeaderRegistry is IHeaderChain {
    /// @notice A header was stored. Nothing was moved by it: there is nothing to move.
    event HeaderAnchored(
        uint64 indexed number,
        bytes32 indexed digest,
        bytes32 entriesRoot,
        uint64 firstSeq,
        uint32 count
    );

    /// @notice The uid of a token is not zero.
    error TokenUidZero();

    /// @notice Store the next headers; anybody may submit them.
    /// @param headers in their order, each the parent of the one behind
    /// @param signature the sealer's of the last header, which commits to all before it
    function anchor(Batch[] calldata headers, bytes calldata signature) external;
}
