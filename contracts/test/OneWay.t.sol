// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {LedgerToken} from "../src/LedgerToken.sol";
import {SnapshotToken} from "../src/SnapshotToken.sol";
import {IBridges} from "../src/interfaces/IBridges.sol";
import {IHeaderChain} from "../src/interfaces/IHeaderChain.sol";
import {IOnchainToken} from "../src/interfaces/IOnchainToken.sol";
import {Batches} from "./Batches.sol";

/// @dev Holds every role and every key, and tries whatever the contract offers.
contract Usurper is Batches {
    bytes internal rows;
    IHeaderChain.Batch internal header;

    constructor() {
        token = new LedgerToken("Token", "TOK", 6, LEDGER, address(this));
        token.setSealer(vm.addr(KEY));
        replay(mintRows(100), 1, 100);
        rows = mintRows(50);
        header = next(rows, 1, 150);
        token.grantRole(token.BRIDGE_ADMIN_ROLE(), address(this));
        token.finalize();
    }

    function grant(bytes32 role, address account) external {
        token.grantRole(role, account);
    }

    function revoke(bytes32 role, address account) external {
        if (account != address(this)) token.revokeRole(role, account);
    }

    function appoint(uint160 sealer) external {
        uint160 usual = sealer | 0x10000;
        if (address(usual) != address(token)) token.setSealer(address(usual));
    }

    function bridge(address who, IBridges.Limit memory mint, IBridges.Limit memory burn) external {
        if (who == address(0) || who == address(token)) return;
        token.setBridgeLimits(who, mint, burn);
        token.setBridgePaused(who, false);
    }

    function spend(uint256 value) external {
        value %= token.balanceOf(address(0xA)) + 1;
        vm.prank(address(0xA));
        token.transfer(address(0xB), value);
    }

    function finalizeAgain() external {
        closed(abi.encodeCall(token.finalize, ()));
    }

    function replayAgain(uint256 key, uint32 n) external {
        key = 1 + key % 9;
        token.setSealer(vm.addr(key));
        bytes memory proof = sealedBy(key, header);
        closed(abi.encodeCall(token.replay, (header, rows, proof)));
        closed(abi.encodeCall(token.replayPart, (header, rows, proof, n)));
    }

    function anything(bytes4 selector, bytes memory arguments) external {
        (bool ok,) = address(token).call(abi.encodePacked(selector, arguments));
        ok;
    }

    function stillFinal() external view {
        yes(token.finalized(), "finalized");
        (uint64 number,, uint64 nextSeq) = token.head();
        eq(abi.encode(1, 1), abi.encode(number, nextSeq), "head");
        eq(0, token.digestOf(2), "second batch");
        eq(100, token.totalSupply(), "supply: no bridge has minted");
    }

    function closed(bytes memory call) internal {
        (bool ok, bytes memory reason) = address(token).call(call);
        no(ok, "open again");
        eq(abi.encodePacked(IOnchainToken.AlreadyFinalized.selector), reason, "reason");
    }
}

/// @dev Goal: after finalize no role, the admin's included, opens replay again; and nobody whose
/// key or code cannot be a sealer's becomes one.
contract OneWayTest is Batches {
    bytes32 internal constant SEALER_SLOT = bytes32(uint256(10));

    Usurper internal usurper;

    function setUp() public {
        usurper = new Usurper();
        deploy();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(usurper);
    }

    function invariantReplayStaysClosed() public view {
        usurper.stillFinal();
    }

    function testReplayStaysClosed() public {
        usurper.finalizeAgain();
        usurper.replayAgain(3, 1);
        usurper.stillFinal();
    }

    function testSealerIsNoPrecompileAndNotTheContract() public {
        address[6] memory bad = [
            address(1), address(4), address(0x11), address(0x100), address(0xffff), address(token)
        ];
        for (uint256 i = 0; i < 6; i++) {
            bytes memory reason =
                abi.encodeWithSelector(IHeaderChain.InvalidSealer.selector, bad[i]);
            vm.prank(vm.addr(KEY));
            vm.expectRevert(reason);
            token.setSealer(bad[i]);
            if (i == 5) continue;
            vm.expectRevert(reason);
            new LedgerToken("Token", "TOK", 6, LEDGER, bad[i]);
            vm.expectRevert(reason);
            new SnapshotToken("Token", "TOK", 6, LEDGER, bad[i]);
        }
        vm.prank(vm.addr(KEY));
        token.setSealer(address(0x10000));
    }

    /// @dev Were one the sealer all the same: none answers as ERC-1271 wants it.
    function testPrecompilesApproveNothing() public {
        bytes memory rows = mintRows(5);
        IHeaderChain.Batch memory header = next(rows, 1, 5);
        bytes memory call = abi.encodeCall(token.replay, (header, rows, new bytes(65)));
        for (uint160 i = 0; i <= 0x110; i++) {
            vm.store(address(token), SEALER_SLOT, bytes32(uint256(i)));
            eq(address(i), token.sealer(), "sealer");
            (bool ok,) = address(token).call{gas: 1_000_000}(call);
            no(ok, "approved");
        }
    }
}
