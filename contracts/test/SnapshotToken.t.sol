// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SnapshotToken} from "../src/SnapshotToken.sol";
import {IBridges} from "../src/interfaces/IBridges.sol";
import {IHeaderChain} from "../src/interfaces/IHeaderChain.sol";
import {IOnchainToken} from "../src/interfaces/IOnchainToken.sol";
import {ISnapshotToken} from "../src/interfaces/ISnapshotToken.sol";
import {Wallet} from "./Mocks.sol";
import {Snapshots} from "./Snapshots.sol";

/// @dev Goal: everybody gets their balance of the ledger once, and nobody anything else.
contract SnapshotTokenTest is Snapshots {
    function setUp() public {
        deploy(5);
    }

    function testOpen() public {
        bytes32 digest = token.batchDigest(header(total()));
        bytes memory proof = sealedBy(KEY, total(), DEADLINE);
        vm.prank(address(0xBEEF));
        vm.expectEmit();
        emit IOnchainToken.Finalized(7, digest);
        vm.expectEmit();
        emit ISnapshotToken.SnapshotOpened(7, digest, tree[0], total(), DEADLINE);
        token.open(header(total()), tree[0], DEADLINE, proof);
        yes(token.finalized(), "finalized");
        eq(
            abi.encode(digest, tree[0], total(), DEADLINE),
            abi.encode(token.snapshot()),
            "snapshot"
        );
        (uint64 number, bytes32 head, uint64 nextSeq) = token.head();
        eq(abi.encode(7, digest, 120), abi.encode(number, head, nextSeq), "head");
        eq(digest, token.digestOf(7), "digest");
        eq(total(), token.unclaimed(), "unclaimed");
        eq(0, token.totalSupply(), "nothing is minted yet");
    }

    function testOpenOnce() public {
        open();
        bytes memory proof = sealedBy(KEY, total(), DEADLINE);
        vm.expectRevert(IOnchainToken.AlreadyFinalized.selector);
        token.open(header(total()), tree[0], DEADLINE, proof);
    }

    /// @dev Header, root, supply and deadline are signed together: none can be exchanged.
    function testOpenRefusesWhatIsNotSigned() public {
        bytes memory proof = sealedBy(KEY, total(), DEADLINE);
        IHeaderChain.Batch memory good = header(total());
        IHeaderChain.Batch memory bad = header(total() + 1);
        refusesToOpen(bad, tree[0], DEADLINE, proof);
        bad = header(total());
        bad.number++;
        refusesToOpen(bad, tree[0], DEADLINE, proof);
        refusesToOpen(good, tree[1], DEADLINE, proof);
        refusesToOpen(good, tree[0], DEADLINE + 1, proof);
        refusesToOpen(good, tree[0], DEADLINE, sealedBy(KEY + 1, total(), DEADLINE));
        refusesToOpen(good, tree[0], DEADLINE, signature(KEY, token.batchDigest(good)));
    }

    /// @dev What was signed for one chain opens no other, a contract's approval included.
    function testOpenOnOneChainAlone() public {
        vm.chainId(5001);
        bytes memory proof = sealedBy(KEY, total(), DEADLINE);
        bytes memory approval = sealedBy(77, total(), DEADLINE);
        vm.chainId(5002);
        refusesToOpen(header(total()), tree[0], DEADLINE, proof);
        address wallet = address(new Wallet(vm.addr(77)));
        vm.prank(operator);
        token.setSealer(wallet);
        refusesToOpen(header(total()), tree[0], DEADLINE, approval);
        vm.chainId(5001);
        token.open(header(total()), tree[0], DEADLINE, approval);
        yes(token.finalized(), "finalized");
    }

    /// @dev Nor does it open another contract of the same ledger on the same chain.
    function testOpenOneContractAlone() public {
        bytes memory proof = sealedBy(KEY, total(), DEADLINE);
        token = new SnapshotToken("Token", "TOK", 6, keccak256("ledger"), operator);
        refusesToOpen(header(total()), tree[0], DEADLINE, proof);
        open();
        yes(token.finalized(), "finalized");
    }

    function testOpenByContractSealer() public {
        address wallet = address(new Wallet(vm.addr(77)));
        vm.prank(operator);
        token.setSealer(wallet);
        token.open(header(total()), tree[0], DEADLINE, sealedBy(77, total(), DEADLINE));
    }

    function testOpenRefusesPastDeadline() public {
        bytes memory proof = sealedBy(KEY, total(), NOW - 1);
        vm.expectRevert(abi.encodeWithSelector(ISnapshotToken.DeadlinePassed.selector, NOW - 1));
        token.open(header(total()), tree[0], NOW - 1, proof);
    }

    function testEveryHolderClaimsOnce() public {
        open();
        for (uint256 i = 0; i < 5; i++) {
            vm.prank(address(0xBEEF));
            vm.expectEmit();
            emit IERC20.Transfer(address(0), holder(i), balance(i));
            vm.expectEmit();
            emit ISnapshotToken.Claimed(holder(i), balance(i));
            claim(i);
            eq(balance(i), token.balanceOf(holder(i)), "balance");
            yes(token.claimed(holder(i)), "claimed");
            bytes32[] memory proof = proofOf(i);
            vm.expectRevert(
                abi.encodeWithSelector(ISnapshotToken.AlreadyClaimed.selector, holder(i))
            );
            token.claim(holder(i), balance(i), proof);
        }
        eq(0, token.unclaimed(), "unclaimed");
        eq(total(), token.totalSupply(), "supply");
        eq(0, token.balanceOf(address(0xBEEF)), "who submits gets nothing");
        vm.prank(holder(1));
        token.transfer(holder(2), 3);
        eq(balance(2) + 3, token.balanceOf(holder(2)), "transfers are open");
    }

    function testNobodyElseClaims(address account, uint256 amount, uint256 i) public {
        i %= 5;
        if (account == holder(i) && amount == balance(i)) amount++;
        open();
        bytes32[] memory proof = proofOf(i);
        bytes memory refusal =
            abi.encodeWithSelector(ISnapshotToken.InvalidProof.selector, account, amount);
        vm.expectRevert(refusal);
        token.claim(account, amount, proof);
        vm.expectRevert(
            abi.encodeWithSelector(ISnapshotToken.InvalidProof.selector, holder(i), balance(i) + 1)
        );
        token.claim(holder(i), balance(i) + 1, proof);
    }

    /// @dev A tree whose balances exceed the supply: whoever comes too late gets nothing.
    function testClaimsNeverExceedTheSupply() public {
        token.open(header(30), tree[0], DEADLINE, sealedBy(KEY, 30, DEADLINE));
        claim(0);
        claim(1);
        bytes32[] memory proof = proofOf(2);
        vm.expectRevert(
            abi.encodeWithSelector(ISnapshotToken.SupplyExceeded.selector, 9, balance(2))
        );
        token.claim(holder(2), balance(2), proof);
        eq(21, token.totalSupply(), "supply");
        no(token.claimed(holder(2)), "claimed");
    }

    function testNothingBeforeItIsOpen() public {
        bytes32[] memory proof = proofOf(0);
        vm.expectRevert(IOnchainToken.NotFinalized.selector);
        token.claim(holder(0), balance(0), proof);
        vm.expectRevert(IOnchainToken.NotFinalized.selector);
        token.sweep();
        vm.prank(holder(0));
        vm.expectRevert(IOnchainToken.NotFinalized.selector);
        token.approve(holder(1), 1);
    }

    function testDeadlineAndSweep() public {
        open();
        vm.warp(DEADLINE);
        claim(0);
        vm.expectRevert(abi.encodeWithSelector(ISnapshotToken.ClaimsOpen.selector, DEADLINE));
        token.sweep();
        vm.warp(DEADLINE + 1);
        bytes32[] memory proof = proofOf(1);
        vm.expectRevert(abi.encodeWithSelector(ISnapshotToken.ClaimsClosed.selector, DEADLINE));
        token.claim(holder(1), balance(1), proof);
        vm.expectRevert(ISnapshotToken.NoSweepDestination.selector);
        token.sweep();

        vm.prank(operator);
        vm.expectEmit();
        emit ISnapshotToken.SweepDestinationSet(LEFTOVERS);
        token.setSweepDestination(LEFTOVERS);
        vm.expectEmit();
        emit ISnapshotToken.Swept(LEFTOVERS, total() - balance(0));
        token.sweep();
        eq(total() - balance(0), token.balanceOf(LEFTOVERS), "swept");
        eq(total(), token.totalSupply(), "supply");
        token.sweep();
        eq(total(), token.totalSupply(), "a second sweep finds nothing");
    }

    function testAdminAlone() public {
        vm.expectRevert(
            abi.encodeWithSelector(
                IAccessControl.AccessControlUnauthorizedAccount.selector, address(this), bytes32(0)
            )
        );
        token.setSweepDestination(address(this));
    }

    /// @dev What a bridge mints is no claim, and takes nothing from those who have not claimed.
    function testBridgeMintsAreCountedApart() public {
        open();
        bytes32 role = token.BRIDGE_ADMIN_ROLE();
        vm.prank(operator);
        token.grantRole(role, operator);
        vm.prank(operator);
        token.setBridgeLimits(address(this), IBridges.Limit(1000, 0), IBridges.Limit(1000, 0));
        token.crosschainMint(holder(0), 500);
        eq(total(), token.unclaimed(), "unclaimed");
        no(token.claimed(holder(0)), "claimed");
        for (uint256 i = 0; i < 5; i++) {
            claim(i);
        }
        eq(total() + 500, token.totalSupply(), "supply");
        token.crosschainBurn(holder(0), 500);
        eq(total(), token.totalSupply(), "supply");
        eq(0, token.unclaimed(), "unclaimed");
    }

    function testFuzzTrees(uint256 n) public {
        n = bound(n, 1, 40);
        deploy(n);
        open();
        for (uint256 i = 0; i < n; i++) {
            claim(i);
        }
        eq(total(), token.totalSupply(), "supply");
    }

    function refusesToOpen(
        IHeaderChain.Batch memory batch,
        bytes32 root,
        uint64 deadline,
        bytes memory proof
    ) internal {
        vm.expectPartialRevert(IHeaderChain.InvalidSignature.selector);
        token.open(batch, root, deadline, proof);
    }
}

/// @dev Claims, bridges, sweeps and time in any order.
contract Claimant is Snapshots {
    uint256 public claims;
    uint256 public minted;
    uint256 public burned;
    uint256 public swept;

    constructor() {
        deploy(20);
        open();
        bytes32 role = token.BRIDGE_ADMIN_ROLE();
        vm.prank(operator);
        token.grantRole(role, operator);
        vm.prank(operator);
        token.setBridgeLimits(address(this), IBridges.Limit(99, 5), IBridges.Limit(99, 5));
        vm.prank(operator);
        token.setSweepDestination(LEFTOVERS);
    }

    function claimOne(uint256 i, uint256 amount) external {
        bytes memory call = abi.encodeCall(token.claim, (holder(i % 20), amount, proofOf(i % 20)));
        (bool stolen,) = address(token).call(call);
        if (stolen) eq(balance(i % 20), amount, "another amount was claimed");
        call = abi.encodeCall(token.claim, (holder(i % 20), balance(i % 20), proofOf(i % 20)));
        (bool ok,) = address(token).call(call);
        if (ok || stolen) claims += balance(i % 20);
    }

    function bridgeIn(uint256 i, uint8 value) external {
        (bool ok,) =
            address(token).call(abi.encodeCall(token.crosschainMint, (holder(i % 20), value)));
        if (ok) minted += value;
    }

    function bridgeOut(uint256 i, uint8 value) external {
        (bool ok,) =
            address(token).call(abi.encodeCall(token.crosschainBurn, (holder(i % 20), value)));
        if (ok) burned += value;
    }

    function sweepAndWait(uint8 time) external {
        wait(time);
        uint256 left = token.unclaimed();
        (bool ok,) = address(token).call(abi.encodeCall(token.sweep, ()));
        if (ok) swept += left;
    }

    function check() external view {
        eq(claims + swept + minted - burned, token.totalSupply(), "supply");
        eq(
            total(),
            claims + swept + token.unclaimed(),
            "the snapshot's supply is neither more nor less"
        );
    }
}

contract SnapshotInvariants {
    Claimant internal claimant;

    function setUp() public {
        claimant = new Claimant();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(claimant);
    }

    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    function targetSelectors() external view returns (FuzzSelector[] memory targets) {
        targets = new FuzzSelector[](1);
        targets[0].addr = address(claimant);
        targets[0].selectors = new bytes4[](4);
        targets[0].selectors[0] = Claimant.claimOne.selector;
        targets[0].selectors[1] = Claimant.bridgeIn.selector;
        targets[0].selectors[2] = Claimant.bridgeOut.selector;
        targets[0].selectors[3] = Claimant.sweepAndWait.selector;
    }

    function invariantClaimsAndBridgesAreCountedApart() public view {
        claimant.check();
    }
}
