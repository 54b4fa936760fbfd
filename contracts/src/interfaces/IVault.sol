// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title A vault: the account behind a derived ledger address
/// @notice Holds whatever was sent to its address, before or after its deployment, for one owner.
/// It signs nothing (no ERC-1271): an owner acts through `execute`, or moves the assets out.
interface IVault {
    /// @notice Ownership was offered; it passes when `pendingOwner` accepts.
    event OwnershipTransferStarted(address indexed owner, address indexed pendingOwner);

    /// @notice Ownership passed from `previousOwner` (zero at the claim) to `owner`.
    event OwnershipTransferred(address indexed previousOwner, address indexed owner);

    /// @notice Only the factory may initialize a vault.
    error NotFactory(address caller);

    /// @notice A vault is initialized once.
    error AlreadyInitialized(address owner);

    /// @notice Only the owner may do this.
    error NotOwner(address caller);

    /// @notice Only the account to which ownership was offered may accept it.
    error NotPendingOwner(address caller);

    /// @notice The factory that deployed this vault.
    function factory() external view returns (address);

    /// @notice Who controls this vault. Zero in the implementation, which nobody can use.
    function owner() external view returns (address);

    /// @notice To whom ownership is offered; zero when to nobody.
    function pendingOwner() external view returns (address);

    /// @notice Set the first owner; called by the factory in the transaction that deploys the
    /// vault.
    function initialize(address firstOwner) external;

    /// @notice Call `target` with `value` wei and `data` as this vault; for the owner.
    /// @return result what the call returned; what it reverted with is passed on unchanged
    function execute(address target, uint256 value, bytes calldata data)
        external
        payable
        returns (bytes memory result);

    /// @notice Offer ownership to `newOwner`, or withdraw the offer with zero; for the owner.
    function transferOwnership(address newOwner) external;

    /// @notice Take the ownership that was offered.
    function acceptOwnership() external;
}
