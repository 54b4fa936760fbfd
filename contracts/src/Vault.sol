// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ERC1155Holder} from "@openzeppelin/contracts/token/ERC1155/utils/ERC1155Holder.sol";
import {ERC721Holder} from "@openzeppelin/contracts/token/ERC721/utils/ERC721Holder.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {IVault} from "./interfaces/IVault.sol";

/// @title Vault
/// @dev FROZEN: the address of every derived account depends on this code. Do not edit.
contract Vault is IVault, ERC721Holder, ERC1155Holder {
    /// @inheritdoc IVault
    address public immutable factory;

    /// @inheritdoc IVault
    address public owner;

    /// @inheritdoc IVault
    address public pendingOwner;

    modifier onlyOwner() {
        if (msg.sender != owner) revert NotOwner(msg.sender);
        _;
    }

    /// @dev Deployed by the factory's constructor; it never initializes the implementation itself.
    constructor() {
        factory = msg.sender;
    }

    receive() external payable {}

    /// @inheritdoc IVault
    function initialize(address firstOwner) external {
        if (msg.sender != factory) revert NotFactory(msg.sender);
        if (owner != address(0)) revert AlreadyInitialized(owner);
        owner = firstOwner;
        emit OwnershipTransferred(address(0), firstOwner);
    }

    /// @inheritdoc IVault
    function execute(address target, uint256 value, bytes calldata data)
        external
        payable
        onlyOwner
        returns (bytes memory)
    {
        (bool success, bytes memory result) = target.call{value: value}(data);
        return Address.verifyCallResult(success, result);
    }

    /// @inheritdoc IVault
    function transferOwnership(address newOwner) external onlyOwner {
        pendingOwner = newOwner;
        emit OwnershipTransferStarted(msg.sender, newOwner);
    }

    /// @inheritdoc IVault
    function acceptOwnership() external {
        if (msg.sender != pendingOwner) revert NotPendingOwner(msg.sender);
        emit OwnershipTransferred(owner, msg.sender);
        owner = msg.sender;
        delete pendingOwner;
    }
}
