// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {IERC7802} from "@openzeppelin/contracts/interfaces/draft-IERC7802.sol";
import {LedgerToken} from "../src/LedgerToken.sol";
import {IBridges} from "../src/interfaces/IBridges.sol";
import {IOnchainToken} from "../src/interfaces/IOnchainToken.sol";
import {Batches} from "./Batches.sol";

/// @dev Goal: a bridge never moves more than its buckets allow, and nobody else mints or burns at
/// all. Method: one bridge by hand, then buckets against a model that keeps every single unit's
/// time.
contract BridgesTest is Batches {
    address internal constant BRIDGE = address(0xB21D6E);
    address internal operator;

    function setUp() public {
        deploy();
        operator = vm.addr(KEY);
        replay(mintRows(100), 1, 100);
        vm.warp(1_800_000_000);
        bytes32 role = token.BRIDGE_ADMIN_ROLE();
        vm.prank(operator);
        token.grantRole(role, operator);
    }

    function testClosedUntilFinalize() public {
        limit(50, 1, 50, 1);
        vm.prank(BRIDGE);
        vm.expectRevert(IOnchainToken.NotFinalized.selector);
        token.crosschainMint(address(0xB), 1);
        vm.prank(BRIDGE);
        vm.expectRevert(IOnchainToken.NotFinalized.selector);
        token.crosschainBurn(address(0xA), 1);
    }

    function testMintAndBurn() public {
        open();
        limit(50, 1, 30, 0);
        vm.prank(BRIDGE);
        vm.expectEmit();
        emit IERC7802.CrosschainMint(address(0xB), 20, BRIDGE);
        token.crosschainMint(address(0xB), 20);
        eq(20, token.balanceOf(address(0xB)), "minted");
        eq(120, token.totalSupply(), "supply");
        vm.prank(BRIDGE);
        vm.expectEmit();
        emit IERC7802.CrosschainBurn(address(0xA), 30, BRIDGE);
        token.crosschainBurn(address(0xA), 30);
        eq(70, token.balanceOf(address(0xA)), "burned");
        available(30, 0);
        wait(7);
        available(37, 0);
        wait(1000);
        available(50, 0);
    }

    function testLimit() public {
        open();
        limit(50, 2, 10, 1);
        mints(50);
        vm.prank(BRIDGE);
        vm.expectRevert(
            abi.encodeWithSelector(IBridges.BridgeLimitExceeded.selector, BRIDGE, 0, 1)
        );
        token.crosschainMint(address(0xB), 1);
        wait(3);
        vm.prank(BRIDGE);
        vm.expectRevert(
            abi.encodeWithSelector(IBridges.BridgeLimitExceeded.selector, BRIDGE, 6, 7)
        );
        token.crosschainMint(address(0xB), 7);
        mints(6);
        vm.prank(BRIDGE);
        vm.expectRevert(
            abi.encodeWithSelector(IBridges.BridgeLimitExceeded.selector, BRIDGE, 10, MAX)
        );
        token.crosschainBurn(address(0xA), MAX);
    }

    /// @dev A burn that fails for want of funds costs nothing of the bucket.
    function testWhatFailsIsUndone() public {
        open();
        limit(0, 0, 500, 0);
        vm.prank(BRIDGE);
        vm.expectRevert(abi.encodeWithSelector(bytes4(0xe450d38c), address(0xA), 100, 101));
        token.crosschainBurn(address(0xA), 101);
        available(0, 500);
    }

    function testOneSideOnly() public {
        open();
        limit(5, 0, 0, 9);
        mints(5);
        vm.prank(BRIDGE);
        vm.expectRevert(abi.encodeWithSelector(IBridges.UnauthorizedBridge.selector, BRIDGE));
        token.crosschainBurn(address(0xA), 0);
    }

    function testNobodyElse(address stranger) public {
        vm.assume(stranger != BRIDGE);
        open();
        limit(50, 1, 50, 1);
        bytes memory refusal =
            abi.encodeWithSelector(IBridges.UnauthorizedBridge.selector, stranger);
        vm.prank(stranger);
        vm.expectRevert(refusal);
        token.crosschainMint(stranger, 0);
        vm.prank(stranger);
        vm.expectRevert(refusal);
        token.crosschainBurn(address(0xA), 1);
    }

    function testPause() public {
        open();
        limit(50, 1, 50, 1);
        vm.prank(operator);
        vm.expectEmit();
        emit IBridges.BridgePaused(BRIDGE, true);
        token.setBridgePaused(BRIDGE, true);
        bytes memory refusal = abi.encodeWithSelector(IBridges.BridgeIsPaused.selector, BRIDGE);
        vm.prank(BRIDGE);
        vm.expectRevert(refusal);
        token.crosschainMint(address(0xB), 1);
        vm.prank(BRIDGE);
        vm.expectRevert(refusal);
        token.crosschainBurn(address(0xA), 1);
        (,, bool paused) = token.bridgeLimits(BRIDGE);
        yes(paused, "paused");
        vm.prank(operator);
        token.setBridgePaused(BRIDGE, false);
        mints(1);
    }

    function testPausingOneLeavesTheOther() public {
        open();
        limit(50, 1, 50, 1);
        vm.prank(operator);
        token.setBridgePaused(address(0x07E4), true);
        mints(1);
    }

    /// @dev Tightening hands out nothing; what was closed begins full.
    function testLimitsChange() public {
        open();
        limit(50, 0, 50, 0);
        mints(45);
        limit(20, 0, 60, 0);
        available(5, 50);
        limit(3, 0, 60, 0);
        available(3, 50);
        limit(0, 0, 0, 0);
        available(0, 0);
        limit(8, 2, 0, 0);
        available(8, 0);
        (IBridges.Limit memory mint, IBridges.Limit memory burn,) = token.bridgeLimits(BRIDGE);
        eq(abi.encode(8, 2, 0, 0), abi.encode(mint, burn), "limits");
    }

    function testBridgeAdminAlone() public {
        IBridges.Limit memory none;
        bytes32 role = token.BRIDGE_ADMIN_ROLE();
        bytes memory refusal = abi.encodeWithSelector(
            IAccessControl.AccessControlUnauthorizedAccount.selector, address(this), role
        );
        vm.expectRevert(refusal);
        token.setBridgeLimits(BRIDGE, none, none);
        vm.expectRevert(refusal);
        token.setBridgePaused(BRIDGE, true);
        no(new LedgerToken("T", "T", 0, LEDGER, operator).hasRole(role, operator), "none at first");
    }

    function testNoBridgeAtZeroOrAtTheToken() public {
        IBridges.Limit memory none;
        address[2] memory bad = [address(0), address(token)];
        for (uint256 i = 0; i < 2; i++) {
            vm.prank(operator);
            vm.expectRevert(abi.encodeWithSelector(IBridges.InvalidBridge.selector, bad[i]));
            token.setBridgeLimits(bad[i], none, none);
        }
    }

    /// @dev The greatest numbers there are do not overflow.
    function testBounds() public {
        open();
        uint128 most = type(uint128).max;
        limit(most, most, most, most);
        mints(most);
        available(0, most);
        vm.warp(type(uint64).max);
        available(most, most);
        mints(most);
        eq(100 + 2 * uint256(most), token.totalSupply(), "supply");
    }

    /// @dev Against a model that refills second by second.
    function testFuzzBucketAgainstModel(uint256 seed) public {
        open();
        uint256 capacity = 1 + seed % 100;
        uint256 refill = (seed >> 8) % 10;
        limit(uint128(capacity), uint128(refill), 0, 0);
        uint256 level = capacity;
        for (uint256 i = 0; i < 40; i++) {
            uint256 r = uint256(keccak256(abi.encode(seed, i)));
            for (uint256 s = r % 12; s > 0; s--) {
                wait(1);
                level = level + refill > capacity ? capacity : level + refill;
            }
            uint256 value = (r >> 8) % (capacity + 5);
            vm.prank(BRIDGE);
            (bool ok,) =
                address(token).call(abi.encodeCall(token.crosschainMint, (address(0xB), value)));
            eq(value <= level ? 1 : 0, ok ? 1 : 0, "accepted");
            if (ok) level -= value;
            available(level, 0);
        }
    }

    function open() internal {
        vm.prank(operator);
        token.finalize();
    }

    function limit(uint128 mint, uint128 mintRefill, uint128 burn, uint128 burnRefill) internal {
        vm.prank(operator);
        token.setBridgeLimits(
            BRIDGE, IBridges.Limit(mint, mintRefill), IBridges.Limit(burn, burnRefill)
        );
    }

    function mints(uint256 value) internal {
        vm.prank(BRIDGE);
        token.crosschainMint(address(0xB), value);
    }

    function available(uint256 mint, uint256 burn) internal view {
        (uint256 mint_, uint256 burn_) = token.bridgeAvailable(BRIDGE);
        eq(mint, mint_, "mintable");
        eq(burn, burn_, "burnable");
    }
}
