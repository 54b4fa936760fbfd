// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IOnchainToken} from "./IOnchainToken.sol";

/// @title A ledger's token, brought to the chain by its balances
/// @notice The sealer signs the balances at a sealed batch, once; each is minted when it is
/// claimed. After the deadline what nobody claimed is minted to a destination that the admin named.
/// @dev Balances are an OpenZeppelin `standard-v1` tree over (address account, uint256 amount),
/// each account once; a leaf is keccak256(keccak256(abi.encode(account, amount))).
interface ISnapshotToken is IOnchainToken {
    /// @notice What a sealer signs, for one contract on one chain: `snapshotDigest`.
    /// @param batchDigest the batch after whose last entry the balances were taken
    /// @param balancesRoot the root of the tree of balances
    /// @param totalSupply the batch's, which is the sum of the balances
    /// @param deadline the last second for claims, in seconds since the epoch
    struct Snapshot {
        bytes32 batchDigest;
        bytes32 balancesRoot;
        uint256 totalSupply;
        uint64 deadline;
    }

    /// @notice Claims are open; the token left the ledger with batch `number`.
    event SnapshotOpened(
        uint64 indexed number,
        bytes32 indexed digest,
        bytes32 balancesRoot,
        uint256 totalSupply,
        uint64 deadline
    );

    /// @notice `account` has its balance of the ledger; the `Transfer` before this log is no
    /// issuance.
    event Claimed(address indexed account, uint256 amount);

    /// @notice What nobody claims will go to `destination`.
    event SweepDestinationSet(address indexed destination);

    /// @notice What nobody claimed went to `destination`; the `Transfer` before this log is no
    /// issuance.
    event Swept(address indexed destination, uint256 amount);

    /// @notice A snapshot whose deadline has passed cannot be opened.
    error DeadlinePassed(uint64 deadline);

    /// @notice `account` has claimed before.
    error AlreadyClaimed(address account);

    /// @notice The proof does not lead from (account, amount) to the snapshot's root.
    error InvalidProof(address account, uint256 amount);

    /// @notice Claims were possible until `deadline`.
    error ClaimsClosed(uint64 deadline);

    /// @notice Claims are still possible, until `deadline`.
    error ClaimsOpen(uint64 deadline);

    /// @notice The balances add up to more than the supply: only `unclaimed` is left of it.
    error SupplyExceeded(uint256 unclaimed, uint256 amount);

    /// @notice The admin has named no destination.
    error NoSweepDestination();

    /// @notice The snapshot that was opened; zeros before.
    function snapshot() external view returns (Snapshot memory);

    /// @notice What a sealer signs: the EIP-712 digest of a snapshot, this chain's id and this
    /// contract's address, under the ledger domain. It opens no other contract, on no other chain.
    function snapshotDigest(Snapshot calldata snapshot_) external view returns (bytes32);

    /// @notice Whether `account` has claimed.
    function claimed(address account) external view returns (bool);

    /// @notice What is left of the snapshot's supply: neither claimed nor swept.
    function unclaimed() external view returns (uint256);

    /// @notice Where what nobody claims will go; zero until it is named.
    function sweepDestination() external view returns (address);

    /// @notice Open claims; anybody may submit what the sealer signed. Only once.
    /// @param header the batch after whose last entry the balances were taken
    /// @param signature the sealer's, of the snapshot's digest
    function open(
        Batch calldata header,
        bytes32 balancesRoot,
        uint64 deadline,
        bytes calldata signature
    ) external;

    /// @notice Give `account` its balance; anybody may submit it, and it goes nowhere else.
    function claim(address account, uint256 amount, bytes32[] calldata proof) external;

    /// @notice Name where what nobody claims will go; for the admin.
    function setSweepDestination(address destination) external;

    /// @notice Mint what nobody claimed to the destination, after the deadline; anybody may submit
    /// it.
    function sweep() external;
}
