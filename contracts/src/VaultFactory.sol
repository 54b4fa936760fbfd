// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Clones} from "@openzeppelin/contracts/proxy/Clones.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Signatures} from "./Signatures.sol";
import {Vault} from "./Vault.sol";
import {IVaultFactory} from "./interfaces/IVaultFactory.sol";

/// @title VaultFactory
/// @dev FROZEN: the address of every derived account depends on this code. Do not edit. Deployed by
/// the deterministic deployment proxy with salt zero, hence at one address on every chain.
contract VaultFactory is IVaultFactory, EIP712 {
    bytes32 private constant CLAIM_TYPEHASH =
        keccak256("Claim(address vault,address owner,uint256 expiry)");

    /// @inheritdoc IVaultFactory
    address public immutable implementation = address(new Vault());

    constructor() EIP712("token_ledger vault", "1") {}

    /// @inheritdoc IVaultFactory
    function claim(
        address operator,
        bytes32 salt,
        address owner,
        uint256 expiry,
        bytes calldata signature
    ) external returns (address vault) {
        if (owner == address(0)) revert OwnerZero();
        if (block.timestamp > expiry) revert ClaimExpired(expiry);
        vault = predict(operator, salt);
        if (vault.code.length != 0) revert AlreadyClaimed(vault);
        bytes32 digest = claimDigest(vault, owner, expiry);
        if (!Signatures.isValid(operator, digest, signature)) {
            revert InvalidSignature(operator, digest);
        }

        Clones.cloneDeterministicWithImmutableArgs(
            implementation, abi.encodePacked(operator), salt
        );
        Vault(payable(vault)).initialize(owner);
        emit VaultClaimed(vault, operator, owner, salt);
    }

    /// @inheritdoc IVaultFactory
    function predict(address operator, bytes32 salt) public view returns (address) {
        return Clones.predictDeterministicAddressWithImmutableArgs(
            implementation, abi.encodePacked(operator), salt
        );
    }

    /// @inheritdoc IVaultFactory
    function claimDigest(address vault, address owner, uint256 expiry)
        public
        view
        returns (bytes32)
    {
        return _hashTypedDataV4(keccak256(abi.encode(CLAIM_TYPEHASH, vault, owner, expiry)));
    }
}
