// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IBridges} from "./IBridges.sol";
import {IHeaderChain} from "./IHeaderChain.sol";

/// @title A ledger's token on a chain, whichever way it came there
/// @notice An ERC-20 that is closed until the token has left its ledger: no transfer, approval,
/// permit or bridge before. That happens once and is never taken back.
interface IOnchainToken is IERC20, IBridges, IHeaderChain {
    /// @notice The token left the ledger after batch `number`: what was closed is open.
    event Finalized(uint64 indexed number, bytes32 indexed digest);

    /// @notice Transfers, approvals, permits and bridges are closed until the token is finalized.
    error NotFinalized();

    /// @notice The token was finalized before: what this does can be done no more.
    error AlreadyFinalized();

    /// @notice Whether the token has left the ledger.
    function finalized() external view returns (bool);
}
