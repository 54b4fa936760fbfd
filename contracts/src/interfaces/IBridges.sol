// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Bridges that may mint and burn, each within its limits (ERC-7802)
/// @notice Each bridge has a token bucket for minting and one for burning. A bucket holds
/// `capacity` at most, loses what is minted or burned, and regains `refillPerSecond` every second:
/// from any moment on, a bridge moves at most capacity + refillPerSecond × seconds in that
/// direction.
interface IBridges {
    /// @notice The limit of one bridge in one direction; capacity zero: closed.
    struct Limit {
        uint128 capacity;
        uint128 refillPerSecond;
    }

    /// @notice The limits of `bridge` are these from now on.
    event BridgeLimitsSet(address indexed bridge, Limit mint, Limit burn);

    /// @notice `bridge` was stopped (true) or may go on (false).
    event BridgePaused(address indexed bridge, bool paused);

    /// @notice The zero address and the token itself are no bridges.
    error InvalidBridge(address bridge);

    /// @notice `caller` is not allowed to mint, or to burn, whichever it tried.
    error UnauthorizedBridge(address caller);

    /// @notice `bridge` is stopped.
    error BridgeIsPaused(address bridge);

    /// @notice `value` is more than the bucket of `bridge` holds at this moment.
    error BridgeLimitExceeded(address bridge, uint256 available, uint256 value);

    /// @notice Who sets limits and stops bridges; the admin names them.
    function BRIDGE_ADMIN_ROLE() external view returns (bytes32);

    /// @notice What is set for `bridge`.
    function bridgeLimits(address bridge)
        external
        view
        returns (Limit memory mint, Limit memory burn, bool paused);

    /// @notice What `bridge` could mint and burn at this moment, were it not for a pause.
    function bridgeAvailable(address bridge) external view returns (uint256 mint, uint256 burn);

    /// @notice Set both limits of `bridge`; for bridge admins.
    /// @dev A bucket that was closed begins full. One that was open keeps what it holds, up to the
    /// new capacity, so that a limit that is tightened in an emergency hands out nothing.
    function setBridgeLimits(address bridge, Limit calldata mint, Limit calldata burn) external;

    /// @notice Stop `bridge`, or let it go on; for bridge admins.
    function setBridgePaused(address bridge, bool paused) external;
}
