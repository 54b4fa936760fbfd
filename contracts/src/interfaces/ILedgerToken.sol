// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IOnchainToken} from "./IOnchainToken.sol";

/// @title A ledger's token, brought to the chain by replaying every entry
/// @notice Until `finalize` the balances follow the ledger: only `replay` moves them, by batches
/// that the sealer signed. Afterwards this is an ordinary ERC-20 and `replay` is closed for ever.
/// @dev Rows, version 1, all numbers big-endian; A accounts, N = `Batch.count` rows:
///
///     1           version, 0x01
///     1           V, bytes per value, 1 to 32
///     2           A, at least 2
///     20 × A      the accounts, strictly ascending
///     2R × N      per row the places of `from` and `to` in that table; R = 1 if A <= 256, else 2
///     V × N       per row the value
///
/// Which `Transfer` log is which entry: a BatchPartReplayed stands right behind its `count`
/// Transfers, which are `firstSeq` and the following. So does a BatchReplayed, unless a
/// BatchPartReplayed stands right before it (log index one less): then parts, the last one just
/// before, told of all Transfers.
interface ILedgerToken is IOnchainToken {
    /// @notice A batch was executed; its rows are the `Transfer` logs before this one.
    event BatchReplayed(
        uint64 indexed number,
        bytes32 indexed digest,
        bytes32 entriesRoot,
        uint64 firstSeq,
        uint32 count
    );

    /// @notice Part of a batch was executed: the `count` entries from `firstSeq` on, whose
    /// `Transfer` logs are those right before this one. The batch counts when its BatchReplayed has
    /// come.
    event BatchPartReplayed(
        uint64 indexed number, bytes32 indexed digest, uint64 firstSeq, uint32 count
    );

    /// @notice These are not the rows that the header commits to.
    error UnexpectedRowsHash(bytes32 expected, bytes32 actual);

    /// @notice The supply after the last row is not the header's.
    error UnexpectedTotalSupply(uint256 expected, uint256 actual);

    /// @notice Part of batch `expected` was replayed: the rest of it comes next.
    error UnexpectedDigest(bytes32 expected, bytes32 actual);

    /// @notice Part of batch `digest` was replayed; nothing can be finalized before the rest was.
    error BatchIsOpen(bytes32 digest);

    /// @notice A part holds one row at least.
    error EmptyPart();

    /// @notice Rows of this version are unknown here.
    error UnknownRowsVersion(uint256 version);

    /// @notice A value has 1 to 32 bytes.
    error InvalidValueSize(uint256 size);

    /// @notice A row needs two accounts.
    error TooFewAccounts(uint256 accounts);

    /// @notice The rows are truncated or too long for their count.
    error UnexpectedRowsLength(uint256 expected, uint256 actual);

    /// @notice The account table is not strictly ascending: `account` does not exceed the one
    /// before.
    error AccountsNotAscending(uint256 index, address account);

    /// @notice A row refers to an account that the table does not hold.
    error ReferenceOutOfTable(uint256 row, uint256 place);

    /// @notice Row number `row` (from 0) takes more than `account` has at that moment. For the zero
    /// address `balance` is what may still be issued.
    error Overdrawn(uint256 row, address account, uint256 balance, uint256 value);

    /// @notice The batch of which a part was replayed and how many rows that were; zeros if none.
    function openBatch() external view returns (bytes32 digest, uint32 rowsDone);

    /// @notice Execute a sealed batch, or what is left of one that `replayPart` began; anybody may
    /// submit it. All of it happens or nothing.
    /// @dev `entriesRoot` cannot be checked against the rows here: an auditor's `verify` does that.
    function replay(Batch calldata header, bytes calldata rows, bytes calldata signature) external;

    /// @notice Execute the next rows of a sealed batch, `rowsMax` of them or what is left; anybody
    /// may submit it. For a batch that fits no transaction any more because gas was repriced.
    /// @dev The first part rehearses all rows, so that a batch that was begun can be ended: until
    /// then nothing else is replayed, `head` does not move, and nothing is finalized. All rows are
    /// sent every time, for their hash; if calldata alone fills a transaction, this does not help.
    function replayPart(
        Batch calldata header,
        bytes calldata rows,
        bytes calldata signature,
        uint32 rowsMax
    ) external;

    /// @notice Open transfers and close `replay`, for ever; for the admin.
    function finalize() external;
}
