// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {
    ERC20Bridgeable
} from "@openzeppelin/contracts/token/ERC20/extensions/draft-ERC20Bridgeable.sol";
import {Buckets} from "./Buckets.sol";
import {IBridges} from "./interfaces/IBridges.sol";

/// @title Bridges
/// @dev The limit is taken before the move, which may still fail and then undoes it.
abstract contract Bridges is ERC20Bridgeable, AccessControl, IBridges {
    using Buckets for Buckets.Bucket;

    struct Bridge {
        Buckets.Bucket mint;
        Buckets.Bucket burn;
        bool paused;
    }

    /// @inheritdoc IBridges
    bytes32 public constant BRIDGE_ADMIN_ROLE = keccak256("BRIDGE_ADMIN_ROLE");

    mapping(address bridge => Bridge) private _bridges;

    /// @inheritdoc IBridges
    function setBridgeLimits(address bridge, Limit calldata mint, Limit calldata burn)
        external
        onlyRole(BRIDGE_ADMIN_ROLE)
    {
        if (bridge == address(0) || bridge == address(this)) revert InvalidBridge(bridge);
        _bridges[bridge].mint.set(mint.capacity, mint.refillPerSecond);
        _bridges[bridge].burn.set(burn.capacity, burn.refillPerSecond);
        emit BridgeLimitsSet(bridge, mint, burn);
    }

    /// @inheritdoc IBridges
    function setBridgePaused(address bridge, bool paused) external onlyRole(BRIDGE_ADMIN_ROLE) {
        _bridges[bridge].paused = paused;
        emit BridgePaused(bridge, paused);
    }

    /// @inheritdoc IBridges
    function bridgeLimits(address bridge)
        external
        view
        returns (Limit memory mint, Limit memory burn, bool paused)
    {
        Bridge storage b = _bridges[bridge];
        mint = Limit(b.mint.capacity, b.mint.refill);
        burn = Limit(b.burn.capacity, b.burn.refill);
        paused = b.paused;
    }

    /// @inheritdoc IBridges
    function bridgeAvailable(address bridge) external view returns (uint256 mint, uint256 burn) {
        return (_bridges[bridge].mint.available(), _bridges[bridge].burn.available());
    }

    function crosschainMint(address to, uint256 value) public override {
        _take(_bridges[msg.sender].mint, value);
        super.crosschainMint(to, value);
    }

    function crosschainBurn(address from, uint256 value) public override {
        _take(_bridges[msg.sender].burn, value);
        super.crosschainBurn(from, value);
    }

    function _take(Buckets.Bucket storage bucket, uint256 value) private {
        if (bucket.capacity == 0) revert UnauthorizedBridge(msg.sender);
        uint256 available = bucket.available();
        if (value > available) revert BridgeLimitExceeded(msg.sender, available, value);
        bucket.take(value);
    }

    /// @dev Asked by both moves, after the limit of either.
    function _checkTokenBridge(address bridge) internal view override {
        if (_bridges[bridge].paused) revert BridgeIsPaused(bridge);
    }

    function supportsInterface(bytes4 interfaceId)
        public
        view
        virtual
        override(ERC20Bridgeable, AccessControl)
        returns (bool)
    {
        return super.supportsInterface(interfaceId);
    }
}
