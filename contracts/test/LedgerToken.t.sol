// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {LedgerToken} from "../src/LedgerToken.sol";
import {IHeaderChain} from "../src/interfaces/IHeaderChain.sol";
import {ILedgerToken} from "../src/interfaces/ILedgerToken.sol";
import {IOnchainToken} from "../src/interfaces/IOnchainToken.sol";
import {Batches} from "./Batches.sol";
import {Target, Wallet} from "./Mocks.sol";

/// @dev Goal: who may do what, when, and which batch is accepted. Method: one good batch, then the
/// same with one thing wrong at a time. What rows do is tested in Netting.t.sol.
contract LedgerTokenTest is Batches {
    address internal operator;
    bytes internal rows;

    function setUp() public {
        deploy();
        operator = vm.addr(KEY);
        rows = mintRows(100);
    }

    function testConstructor() public view {
        eq(keccak256(abi.encode(LEDGER, "TOK", "Token", uint8(6))), token.tokenUid(), "uid");
        eq(6, token.decimals(), "decimals");
        eq(bytes("Token"), bytes(token.name()), "name");
        eq(bytes("TOK"), bytes(token.symbol()), "symbol");
        eq(operator, token.sealer(), "sealer");
        yes(token.hasRole(bytes32(0), operator), "admin");
        no(token.hasRole(bytes32(0), address(this)), "not the deployer");
        yes(token.supportsInterface(type(IAccessControl).interfaceId), "ERC-165");
        standsAt(0, 0, 0);
    }

    function testConstructorRefusesZeroOperator() public {
        vm.expectRevert(IHeaderChain.OperatorZero.selector);
        new LedgerToken("Token", "TOK", 6, LEDGER, address(0));
    }

    function testReplayMovesHeadAndEmits() public {
        IHeaderChain.Batch memory header = next(rows, 1, 100);
        bytes32 digest = token.batchDigest(header);
        bytes memory proof = sealedBy(KEY, header);
        vm.expectEmit();
        emit IERC20.Transfer(address(0), address(0xA), 100);
        vm.expectEmit();
        emit ILedgerToken.BatchReplayed(1, digest, header.entriesRoot, 0, 1);
        vm.prank(address(0xBEEF));
        token.replay(header, rows, proof);
        standsAt(1, digest, 1);
        eq(digest, token.digestOf(1), "stored");
        eq(0, token.digestOf(2), "not stored");
        eq(100, token.totalSupply(), "supply");
        eq(100, token.balanceOf(address(0xA)), "balance");
        eq(0, token.balanceOf(address(0)), "system");
    }

    function testReplayRefusesTheSameTwice() public {
        IHeaderChain.Batch memory header = next(rows, 1, 100);
        bytes memory proof = sealedBy(KEY, header);
        token.replay(header, rows, proof);
        vm.expectRevert(abi.encodeWithSelector(IHeaderChain.UnexpectedNumber.selector, 2, 1));
        token.replay(header, rows, proof);
    }

    function testReplayRefusesOutOfOrder() public {
        IHeaderChain.Batch memory header = next(rows, 1, 100);
        header.number = 2;
        refuses(header, abi.encodeWithSelector(IHeaderChain.UnexpectedNumber.selector, 1, 2));
        header.number = 0;
        refuses(header, abi.encodeWithSelector(IHeaderChain.UnexpectedNumber.selector, 1, 0));
    }

    function testReplayRefusesAnotherHistory() public {
        IHeaderChain.Batch memory header = next(rows, 1, 100);
        header.parent = keccak256("x");
        refuses(
            header,
            abi.encodeWithSelector(
                IHeaderChain.UnexpectedParent.selector, bytes32(0), header.parent
            )
        );
    }

    function testReplayRefusesAnotherFirstSeq() public {
        IHeaderChain.Batch memory header = next(rows, 1, 100);
        header.firstSeq = 7;
        refuses(header, abi.encodeWithSelector(IHeaderChain.UnexpectedFirstSeq.selector, 0, 7));
    }

    function testReplayRefusesEmpty() public {
        rows = pack(three(), 1, new Row[](0));
        refuses(next(rows, 0, 0), abi.encodeWithSelector(IHeaderChain.EmptyBatch.selector));
    }

    function testReplayRefusesOtherRows() public {
        IHeaderChain.Batch memory header = next(rows, 1, 100);
        rows = mintRows(101);
        refuses(
            header,
            abi.encodeWithSelector(
                ILedgerToken.UnexpectedRowsHash.selector, header.rowsHash, keccak256(rows)
            )
        );
    }

    function testReplayRefusesWrongSupply() public {
        refuses(
            next(rows, 1, 99),
            abi.encodeWithSelector(ILedgerToken.UnexpectedTotalSupply.selector, 99, 100)
        );
    }

    function testReplayRefusesWrongCount() public {
        refuses(
            next(rows, 2, 100),
            abi.encodeWithSelector(
                ILedgerToken.UnexpectedRowsLength.selector, rows.length + 34, rows.length
            )
        );
    }

    function testReplayRefusesAnotherKeyAndOtherBytes() public {
        IHeaderChain.Batch memory header = next(rows, 1, 100);
        bytes memory good = sealedBy(KEY, header);
        refusesSignature(header, sealedBy(KEY + 1, header));
        refusesSignature(header, "");
        refusesSignature(header, bytes.concat(good, hex"00"));
        header.sealedAt++;
        refusesSignature(header, good);
    }

    function testReplayRefusesBatchOfAnotherTokenOrLedger() public {
        LedgerToken[3] memory others = [
            new LedgerToken("Token", "TOK", 7, LEDGER, operator),
            new LedgerToken("Token2", "TOK", 6, LEDGER, operator),
            new LedgerToken("Token", "TOK", 6, keccak256("another ledger"), operator)
        ];
        IHeaderChain.Batch memory header = next(rows, 1, 100);
        for (uint256 i = 0; i < 3; i++) {
            refusesSignature(header, signature(KEY, others[i].batchDigest(header)));
        }
    }

    function testReplayByContractSealer() public {
        address wallet = address(new Wallet(vm.addr(77)));
        vm.prank(operator);
        token.setSealer(wallet);
        IHeaderChain.Batch memory header = next(rows, 1, 100);
        refusesSignature(header, sealedBy(KEY, header));
        token.replay(header, rows, sealedBy(77, header));
    }

    function testReplayBySealerKeyThatDelegatesToCode() public {
        vm.etch(operator, abi.encodePacked(hex"ef0100", address(new Target())));
        replay(rows, 1, 100);
    }

    function testSetSealer() public {
        vm.prank(operator);
        vm.expectEmit();
        emit IHeaderChain.SealerChanged(operator, address(0x5EA1E7));
        token.setSealer(address(0x5EA1E7));
        IHeaderChain.Batch memory header = next(rows, 1, 100);
        refusesSignature(header, sealedBy(KEY, header));

        vm.prank(operator);
        token.setSealer(address(0));
        refusesSignature(header, new bytes(65));
    }

    function testAdminAlone(address stranger) public {
        vm.assume(stranger != operator);
        bytes memory refusal = abi.encodeWithSelector(
            IAccessControl.AccessControlUnauthorizedAccount.selector, stranger, bytes32(0)
        );
        vm.prank(stranger);
        vm.expectRevert(refusal);
        token.setSealer(stranger);
        vm.prank(stranger);
        vm.expectRevert(refusal);
        token.finalize();
    }

    function testEverythingIsClosedBeforeFinalize() public {
        replay(rows, 1, 100);
        vm.prank(address(0xA));
        vm.expectRevert(IOnchainToken.NotFinalized.selector);
        token.transfer(address(0xB), 1);
        vm.prank(address(0xA));
        vm.expectRevert(IOnchainToken.NotFinalized.selector);
        token.transfer(address(0xB), 0);
        vm.prank(address(0xA));
        vm.expectRevert(IOnchainToken.NotFinalized.selector);
        token.approve(address(this), 1);
        vm.expectRevert(IOnchainToken.NotFinalized.selector);
        token.transferFrom(address(0xA), address(this), 0);

        (uint8 v, bytes32 r, bytes32 s) = vm.sign(9, permitDigest(vm.addr(9)));
        vm.expectRevert(IOnchainToken.NotFinalized.selector);
        token.permit(vm.addr(9), address(this), 5, MAX, v, r, s);
    }

    function testFinalizeOpensTransfersAndClosesReplayForEver() public {
        replay(rows, 1, 100);
        bytes32 digest = token.digestOf(1);
        vm.prank(operator);
        vm.expectEmit();
        emit IOnchainToken.Finalized(1, digest);
        token.finalize();
        yes(token.finalized(), "finalized");

        vm.prank(address(0xA));
        token.transfer(vm.addr(9), 60);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(9, permitDigest(vm.addr(9)));
        token.permit(vm.addr(9), address(this), 5, MAX, v, r, s);
        token.transferFrom(vm.addr(9), address(0xB), 5);
        eq(40, token.balanceOf(address(0xA)), "A");
        eq(5, token.balanceOf(address(0xB)), "B");

        refuses(
            next(rows, 1, 200), abi.encodeWithSelector(IOnchainToken.AlreadyFinalized.selector)
        );
        vm.prank(operator);
        vm.expectRevert(IOnchainToken.AlreadyFinalized.selector);
        token.finalize();
    }

    /// @dev Netting writes these slots; were they to move, balances would be lost.
    function testStorageLayout() public {
        replay(rows, 1, 100);
        bytes32 slot = keccak256(abi.encode(address(0xA), 0));
        eq(100, uint256(vm.load(address(token), slot)), "_balances");
        eq(100, uint256(vm.load(address(token), bytes32(uint256(2)))), "_totalSupply");
        vm.store(address(token), slot, bytes32(uint256(7)));
        vm.store(address(token), bytes32(uint256(2)), bytes32(uint256(8)));
        eq(7, token.balanceOf(address(0xA)), "balanceOf");
        eq(8, token.totalSupply(), "totalSupply");
    }

    /// @dev Solidity goes on working in memory after the assembly that covered its pointer.
    function testMemoryAfterReplay() public {
        replay(rows, 1, 100);
        replay(pack(sequence(0, 300), 1, new Row[](3)), 3, 100);
        standsAt(2, token.digestOf(2), 4);
    }

    function standsAt(uint64 number, bytes32 digest, uint64 nextSeq) internal view {
        (uint64 number_, bytes32 digest_, uint64 nextSeq_) = token.head();
        eq(number, number_, "number");
        eq(digest, digest_, "digest");
        eq(nextSeq, nextSeq_, "nextSeq");
    }

    function refuses(IHeaderChain.Batch memory header, bytes memory reason) internal {
        bytes memory proof = sealedBy(KEY, header);
        vm.expectRevert(reason);
        token.replay(header, rows, proof);
    }

    function refusesSignature(IHeaderChain.Batch memory header, bytes memory proof) internal {
        bytes32 digest = token.batchDigest(header);
        address sealer = token.sealer();
        vm.expectRevert(
            abi.encodeWithSelector(IHeaderChain.InvalidSignature.selector, sealer, digest)
        );
        token.replay(header, rows, proof);
    }

    function permitDigest(address owner) internal view returns (bytes32) {
        bytes32 permit = keccak256(
            "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"
        );
        bytes32 structHash =
            keccak256(abi.encode(permit, owner, address(this), 5, token.nonces(owner), MAX));
        return keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), structHash));
    }
}
