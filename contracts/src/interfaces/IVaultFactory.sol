// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title The factory of vaults
/// @notice A vault's address is known before the vault exists: it is the CREATE2 address of a clone
/// whose immutable argument is the ledger's operator and whose salt names the ledger's account.
interface IVaultFactory {
    /// @notice `vault` was deployed and handed to `owner` on the word of `operator`.
    event VaultClaimed(
        address indexed vault, address indexed operator, address indexed owner, bytes32 salt
    );

    /// @notice A vault cannot be handed to the zero address.
    error OwnerZero();

    /// @notice The operator's permission ended at `expiry`.
    error ClaimExpired(uint256 expiry);

    /// @notice The vault has its owner already.
    error AlreadyClaimed(address vault);

    /// @notice The signature is not the operator's, or is one for another claim.
    error InvalidSignature(address operator, bytes32 digest);

    /// @notice The code that every vault delegates to.
    function implementation() external view returns (address);

    /// @notice The address of the vault of `operator` under `salt`, deployed or not.
    function predict(address operator, bytes32 salt) external view returns (address vault);

    /// @notice What an operator signs: the EIP-712 digest of
    /// `Claim(address vault,address owner,uint256 expiry)` under this factory's domain
    /// ("token_ledger vault", "1", chain id, factory). The vault's address binds operator and salt.
    function claimDigest(address vault, address owner, uint256 expiry)
        external
        view
        returns (bytes32 digest);

    /// @notice Deploy the vault of `operator` under `salt` and give it to `owner`. Anybody may
    /// call.
    /// @param operator the ledger's operator: an EOA, or a contract that speaks ERC-1271
    /// @param salt names the account within the ledger
    /// @param owner who will control the vault
    /// @param expiry the last second (block timestamp) at which the signature counts
    /// @param signature the operator's, on `claimDigest`
    /// @return vault the address that `predict` foretold
    function claim(
        address operator,
        bytes32 salt,
        address owner,
        uint256 expiry,
        bytes calldata signature
    ) external returns (address vault);
}
