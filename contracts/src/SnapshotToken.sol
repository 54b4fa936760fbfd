// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {OnchainToken} from "./OnchainToken.sol";
import {ISnapshotToken} from "./interfaces/ISnapshotToken.sol";

/// @title SnapshotToken
/// @dev What bridges mint and burn does not touch `unclaimed`.
contract SnapshotToken is OnchainToken, ISnapshotToken {
    bytes32 private constant SNAPSHOT_TYPEHASH = keccak256(
        "Snapshot(bytes32 batchDigest,bytes32 balancesRoot,uint256 totalSupply,uint64 deadline,"
        "uint256 chainId,address token)"
    );

    Snapshot private _snapshot;

    /// @inheritdoc ISnapshotToken
    uint256 public unclaimed;

    /// @inheritdoc ISnapshotToken
    address public sweepDestination;

    /// @inheritdoc ISnapshotToken
    mapping(address account => bool) public claimed;

    constructor(
        string memory name_,
        string memory symbol_,
        uint8 decimals_,
        bytes32 ledgerUid,
        address operator
    ) OnchainToken(name_, symbol_, decimals_, ledgerUid, operator) {}

    /// @inheritdoc ISnapshotToken
    function open(
        Batch calldata header,
        bytes32 balancesRoot,
        uint64 deadline,
        bytes calldata signature
    ) external {
        bytes32 digest = batchDigest(header);
        Snapshot memory signed = Snapshot(digest, balancesRoot, header.totalSupply, deadline);
        _checkSealer(snapshotDigest(signed), signature);
        if (block.timestamp > deadline) revert DeadlinePassed(deadline);

        _store(header.number, digest, header.firstSeq + header.count);
        _finalize();
        _snapshot = signed;
        unclaimed = header.totalSupply;
        emit SnapshotOpened(header.number, digest, balancesRoot, header.totalSupply, deadline);
    }

    /// @inheritdoc ISnapshotToken
    function claim(address account, uint256 amount, bytes32[] calldata proof) external {
        if (!finalized) revert NotFinalized();
        if (block.timestamp > _snapshot.deadline) revert ClaimsClosed(_snapshot.deadline);
        if (claimed[account]) revert AlreadyClaimed(account);
        bytes32 leaf = keccak256(bytes.concat(keccak256(abi.encode(account, amount))));
        if (!MerkleProof.verifyCalldata(proof, _snapshot.balancesRoot, leaf)) {
            revert InvalidProof(account, amount);
        }
        if (amount > unclaimed) revert SupplyExceeded(unclaimed, amount);

        claimed[account] = true;
        unclaimed -= amount;
        _mint(account, amount);
        emit Claimed(account, amount);
    }

    /// @inheritdoc ISnapshotToken
    function setSweepDestination(address destination) external onlyRole(DEFAULT_ADMIN_ROLE) {
        sweepDestination = destination;
        emit SweepDestinationSet(destination);
    }

    /// @inheritdoc ISnapshotToken
    function sweep() external {
        if (!finalized) revert NotFinalized();
        if (block.timestamp <= _snapshot.deadline) revert ClaimsOpen(_snapshot.deadline);
        if (sweepDestination == address(0)) revert NoSweepDestination();
        uint256 amount = unclaimed;
        unclaimed = 0;
        _mint(sweepDestination, amount);
        emit Swept(sweepDestination, amount);
    }

    /// @inheritdoc ISnapshotToken
    function snapshot() external view returns (Snapshot memory) {
        return _snapshot;
    }

    /// @inheritdoc ISnapshotToken
    function snapshotDigest(Snapshot memory snapshot_) public view returns (bytes32) {
        return _typedDigest(
            keccak256(abi.encode(SNAPSHOT_TYPEHASH, snapshot_, block.chainid, address(this)))
        );
    }
}
