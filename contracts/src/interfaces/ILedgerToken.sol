// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

/// @title A ledger's token on a chain
/// @notice Until `finalize` the balances follow the ledger: only `replay` moves them, by batches that
/// the sealer signed. Afterwards this is an ordinary ERC-20 and `replay` is closed for ever.
/// @dev Rows, version 1, all numbers big-endian; A accounts, N = `Batch.count` rows:
///
///     1           version, 0x01
///     1           V, bytes per value, 1 to 32
///     2           A, at least 2
///     20 × A      the accounts, strictly ascending
///     2R × N      per row the places of `from` and `to` in that table; R = 1 if A <= 256, else 2
///     V × N       per row the value
interface ILedgerToken is IERC20 {
    /// @notice The header of a sealed batch, an EIP-712 struct under the token's ledger domain.
    struct Batch {
        uint64 number;
        bytes32 parent;
        uint64 firstSeq;
        uint32 count;
        bytes32 entriesRoot;
        bytes32 rowsHash;
        uint256 totalSupply;
        uint64 sealedAt;
    }

    /// @notice An entry of the ledger as its export shows it; `timestamp` in microseconds.
    struct Entry {
        uint64 seq;
        uint64 timestamp;
        address from;
        address to;
        uint256 value;
        bytes32 nonce;
        bytes32 ref;
    }

    /// @notice A batch was executed; its rows are the `Transfer` logs before this one.
    event BatchReplayed(
        uint64 indexed number,
        bytes32 indexed digest,
        bytes32 entriesRoot,
        uint64 firstSeq,
        uint32 count
    );

    /// @notice Batches must be signed by `sealer` from now on.
    event SealerChanged(address indexed previousSealer, address indexed sealer);

    /// @notice The token left the ledger after batch `number`: transfers open, replay closed.
    event Finalized(uint64 indexed number, bytes32 indexed digest);

    /// @notice The operator cannot be the zero address.
    error OperatorZero();

    /// @notice Ordinary transfers and approvals are closed until `finalize`.
    error NotFinalized();

    /// @notice The token was finalized: no batch can be replayed, and nothing finalized again.
    error AlreadyFinalized();

    /// @notice The next batch is `expected`.
    error UnexpectedNumber(uint64 expected, uint64 actual);

    /// @notice The batch is built on another history: `expected` is the digest of the head.
    error UnexpectedParent(bytes32 expected, bytes32 actual);

    /// @notice The next entry is `expected`.
    error UnexpectedFirstSeq(uint64 expected, uint64 actual);

    /// @notice A batch holds one entry at least.
    error EmptyBatch();

    /// @notice These are not the rows that the header commits to.
    error UnexpectedRowsHash(bytes32 expected, bytes32 actual);

    /// @notice The signature is not the sealer's, or is one for another digest.
    error InvalidSignature(address sealer, bytes32 digest);

    /// @notice The supply after the last row is not the header's.
    error UnexpectedTotalSupply(uint256 expected, uint256 actual);

    /// @notice Rows of this version are unknown here.
    error UnknownRowsVersion(uint256 version);

    /// @notice A value has 1 to 32 bytes.
    error InvalidValueSize(uint256 size);

    /// @notice A row needs two accounts.
    error TooFewAccounts(uint256 accounts);

    /// @notice The rows are truncated or too long for their count.
    error UnexpectedRowsLength(uint256 expected, uint256 actual);

    /// @notice The account table is not strictly ascending: `account` does not exceed the one before.
    error AccountsNotAscending(uint256 index, address account);

    /// @notice A row refers to an account that the table does not hold.
    error ReferenceOutOfTable(uint256 row, uint256 place);

    /// @notice Row number `row` (from 0) takes more than `account` has at that moment. For the zero
    /// address `balance` is what may still be issued.
    error Overdrawn(uint256 row, address account, uint256 balance, uint256 value);

    /// @notice keccak256(abi.encode(bytes32 ledgerUid, string symbol, string name, uint8 decimals)).
    function tokenUid() external view returns (bytes32);

    /// @notice Whose signature makes a batch valid: an EOA, or a contract that speaks ERC-1271.
    function sealer() external view returns (address);

    /// @notice Whether the token has left the ledger.
    function finalized() external view returns (bool);

    /// @notice Where the chain stands: the last batch (zero before the first) and the next `seq`.
    function head() external view returns (uint64 number, bytes32 digest, uint64 nextSeq);

    /// @notice The digest of a replayed batch; zero for a number that is not replayed.
    function digestOf(uint64 number) external view returns (bytes32);

    /// @notice What a sealer signs: the EIP-712 digest of `header` under the ledger domain.
    function batchDigest(Batch calldata header) external view returns (bytes32);

    /// @notice The id of an entry: the EIP-712 digest of `Entry(from,to,value,nonce,ref)`.
    function entryId(Entry calldata entry) external view returns (bytes32);

    /// @notice Execute a sealed batch; anybody may submit it. All of it happens or nothing.
    /// @dev `entriesRoot` cannot be checked against the rows here: an auditor's `verify` does that.
    function replay(Batch calldata header, bytes calldata rows, bytes calldata signature) external;

    /// @notice Whether `entry` is in a batch that was replayed here.
    /// @param header the batch, whose digest must be the stored one
    /// @param proof the path of OpenZeppelin's `standard-v1` tree from the entry's leaf to the root
    function verifyEntry(Batch calldata header, Entry calldata entry, bytes32[] calldata proof)
        external
        view
        returns (bool);

    /// @notice Let batches be signed by `newSealer` (zero: by nobody); for the admin.
    function setSealer(address newSealer) external;

    /// @notice Open transfers and close `replay`, for ever; for the admin.
    function finalize() external;
}
