// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {IERC5267} from "@openzeppelin/contracts/interfaces/IERC5267.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {Bridges} from "./Bridges.sol";
import {HeaderChain} from "./HeaderChain.sol";
import {IOnchainToken} from "./interfaces/IOnchainToken.sol";

/// @title OnchainToken
/// @dev ERC20 stays the first base: Netting writes its storage. HeaderChain stays the last one:
/// `finalized` shares the slot of the head, which every replay reads and writes anyway. There are
/// two EIP-712 domains: HeaderChain's, and the one of permits, which names the chain and this
/// contract.
abstract contract OnchainToken is ERC20, ERC20Permit, Bridges, HeaderChain, IOnchainToken {
    uint8 private immutable _decimals;

    /// @inheritdoc IOnchainToken
    bool public finalized;

    /// @dev Independent of the deployer: the deterministic deployment proxy deploys this, with the
    /// token uid as salt.
    /// @param name_ at most 31 bytes, which is what permits allow
    /// @param operator becomes the admin and the first sealer
    constructor(
        string memory name_,
        string memory symbol_,
        uint8 decimals_,
        bytes32 ledgerUid,
        address operator
    )
        ERC20(name_, symbol_)
        ERC20Permit(name_)
        HeaderChain(keccak256(abi.encode(ledgerUid, symbol_, name_, decimals_)), operator)
    {
        _decimals = decimals_;
    }

    function decimals() public view override returns (uint8) {
        return _decimals;
    }

    function supportsInterface(bytes4 interfaceId)
        public
        view
        override(AccessControl, Bridges)
        returns (bool)
    {
        return interfaceId == type(IERC20).interfaceId
            || interfaceId == type(IERC20Metadata).interfaceId
            || interfaceId == type(IERC20Permit).interfaceId
            || interfaceId == type(IERC5267).interfaceId || super.supportsInterface(interfaceId);
    }

    /// @dev The one place that sets the flag; nothing takes it back.
    function _finalize() internal {
        if (finalized) revert AlreadyFinalized();
        finalized = true;
        (uint64 number, bytes32 digest,) = head();
        emit Finalized(number, digest);
    }

    /// @dev Every move of balances but `replay`: transfers, claims, bridges.
    function _update(address from, address to, uint256 value) internal override {
        if (!finalized) revert NotFinalized();
        super._update(from, to, value);
    }

    /// @dev Approvals and permits: none may be lying in wait when transfers open.
    function _approve(address owner, address spender, uint256 value, bool emitEvent)
        internal
        override
    {
        if (!finalized) revert NotFinalized();
        super._approve(owner, spender, value, emitEvent);
    }
}
