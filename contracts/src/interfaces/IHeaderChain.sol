// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title A chain of batch headers, as a ledger's sealer signed them
/// @notice What every contract of a ledger's token has in common: it is bound to the token's uid,
/// it knows whom to believe, and it answers what was sealed. A stored digest never changes.
interface IHeaderChain {
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

    /// @notice Headers must be signed by `sealer` from now on.
    event SealerChanged(address indexed previousSealer, address indexed sealer);

    /// @notice The operator cannot be the zero address.
    error OperatorZero();

    /// @notice No key and no wallet is known to be at `sealer`: an address below 2^16, where chains
    /// have precompiles and system contracts, or this contract itself.
    error InvalidSealer(address sealer);

    /// @notice The next batch is `expected`.
    error UnexpectedNumber(uint64 expected, uint64 actual);

    /// @notice The batch is built on another history: `expected` is the digest of the head.
    error UnexpectedParent(bytes32 expected, bytes32 actual);

    /// @notice The next entry is `expected`.
    error UnexpectedFirstSeq(uint64 expected, uint64 actual);

    /// @notice A batch holds one entry at least.
    error EmptyBatch();

    /// @notice The signature is not the sealer's, or is one for another digest.
    error InvalidSignature(address sealer, bytes32 digest);

    /// @notice keccak256(abi.encode(bytes32 ledgerUid, string symbol, string name, uint8
    /// decimals)).
    function tokenUid() external view returns (bytes32);

    /// @notice Whose signature is believed: an EOA's, or that of a contract that speaks ERC-1271.
    function sealer() external view returns (address);

    /// @notice Where the chain stands: the last batch (zero before the first) and the next `seq`.
    function head() external view returns (uint64 number, bytes32 digest, uint64 nextSeq);

    /// @notice The digest of a batch that is stored here; zero for any other number.
    function digestOf(uint64 number) external view returns (bytes32);

    /// @notice What a sealer signs: the EIP-712 digest of `header` under the ledger domain.
    function batchDigest(Batch calldata header) external view returns (bytes32);

    /// @notice The id of an entry: the EIP-712 digest of `Entry(from,to,value,nonce,ref)`.
    function entryId(Entry calldata entry) external view returns (bytes32);

    /// @notice Whether `entry` is in a batch that is stored here.
    /// @param header the batch, whose digest must be the stored one
    /// @param proof the path of OpenZeppelin's `standard-v1` tree from the entry's leaf to the root
    function verifyEntry(Batch calldata header, Entry calldata entry, bytes32[] calldata proof)
        external
        view
        returns (bool);

    /// @notice Believe `newSealer` from now on (zero: nobody); for the admin.
    function setSealer(address newSealer) external;
}
