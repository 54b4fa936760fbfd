// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Netting} from "../src/Netting.sol";
import {IHeaderChain} from "../src/interfaces/IHeaderChain.sol";
import {ILedgerToken} from "../src/interfaces/ILedgerToken.sol";
import {Batches} from "./Batches.sol";
import {NaiveToken} from "./NaiveToken.sol";
import {Vm} from "./Test.sol";

/// @dev Goal: netting does what transfers one after the other would do: same balances, same supply,
/// same logs in the same order, same refusals. Method: the same rows go to NaiveToken first.
abstract contract NettingBase is Batches {
    NaiveToken internal naive;

    function setUp() public virtual {
        deploy();
        naive = new NaiveToken();
    }

    /// @dev Give `rows` to both and compare all that can be seen. Returns whether they were
    /// accepted.
    function same(bytes memory rows, uint256 count, address[] memory accounts)
        internal
        returns (bool accepted)
    {
        bytes memory reason;
        vm.recordLogs();
        (accepted, reason) = address(naive).call(abi.encodeCall(naive.execute, (rows, count)));
        Vm.Log[] memory expected = vm.getRecordedLogs();

        IHeaderChain.Batch memory header = next(rows, count, naive.totalSupply());
        bytes memory call = abi.encodeCall(token.replay, (header, rows, sealedBy(KEY, header)));
        (bool ok, bytes memory result) = address(token).call(call);
        Vm.Log[] memory actual = vm.getRecordedLogs();

        eq(accepted ? 1 : 0, ok ? 1 : 0, "accepted");
        if (!accepted) eq(reason, result, "reason");
        else sameLogs(expected, actual);
        eq(naive.totalSupply(), token.totalSupply(), "supply");
        for (uint256 i = 0; i < accounts.length; i++) {
            eq(naive.balanceOf(accounts[i]), token.balanceOf(accounts[i]), "balance");
        }
    }

    function sameLogs(Vm.Log[] memory expected, Vm.Log[] memory actual) internal view {
        eq(expected.length + 1, actual.length, "one log per row and one for the batch");
        for (uint256 i = 0; i < expected.length; i++) {
            eq(address(token), actual[i].emitter, "emitter");
            eq(abi.encode(expected[i].topics), abi.encode(actual[i].topics), "topics");
            eq(expected[i].data, actual[i].data, "data");
        }
        eq(ILedgerToken.BatchReplayed.selector, actual[expected.length].topics[0], "batch");
    }

    /// @dev A batch of anything: mostly valid, or with one thing wrong.
    function randomBatch(uint256 seed, address[] memory pool)
        internal
        pure
        returns (bytes memory packed, uint256 count)
    {
        uint256 skip = seed % 3;
        address[] memory accounts = new address[](pool.length - skip);
        for (uint256 i = 0; i < accounts.length; i++) {
            accounts[i] = pool[i + (seed >> 8) % (skip + 1)];
        }
        count = 1 + (seed >> 16) % 40;
        uint256 size = (seed >> 24) % 4 == 0 ? 32 : 1 + (seed >> 32) % 32;
        Row[] memory rows = new Row[](count);
        for (uint256 i = 0; i < count; i++) {
            uint256 r = uint256(keccak256(abi.encode(seed, i)));
            rows[i] = Row({
                from: r % 2 == 0 ? 0 : (r >> 8) % accounts.length,
                to: (r >> 16) % accounts.length,
                value: (r >> 32) % 8 < 6 ? r >> 64 + (r >> 40) % 192 : MAX - r % 3
            });
        }
        if ((seed >> 40) % 16 == 0) rows[(seed >> 48) % count].to = 10 + (seed >> 64) % 246;
        if ((seed >> 72) % 16 == 0) accounts[1] = accounts[(seed >> 80) % accounts.length];
        packed = pack(accounts, size, rows);
    }
}

contract NettingTest is NettingBase {
    function testConstants() public pure {
        eq(Netting.TRANSFER, uint256(IERC20.Transfer.selector), "Transfer");
        eq(Netting.OVERDRAWN, uint32(ILedgerToken.Overdrawn.selector), "Overdrawn");
        eq(
            Netting.NOT_ASCENDING,
            uint32(ILedgerToken.AccountsNotAscending.selector),
            "AccountsNotAscending"
        );
    }

    /// @dev Whole supply at once, there and back, and nothing beyond it.
    function testUpToTheLastUnit() public {
        Row[] memory rows = new Row[](4);
        rows[0] = Row(0, 1, MAX);
        rows[1] = Row(1, 2, MAX);
        rows[2] = Row(2, 0, MAX);
        rows[3] = Row(0, 2, MAX - 1);
        yes(same(pack(three(), 32, rows), 4, three()), "all units");
        rows = new Row[](2);
        rows[0] = Row(0, 1, 1);
        rows[1] = Row(0, 1, 1);
        no(same(pack(three(), 32, rows), 2, three()), "one too many");
    }

    function testZeroBalanceTouchedTwiceAndSelfTransfers() public {
        Row[] memory rows = new Row[](5);
        rows[0] = Row(1, 2, 0);
        rows[1] = Row(2, 1, 0);
        rows[2] = Row(0, 1, 5);
        rows[3] = Row(1, 1, 5);
        rows[4] = Row(0, 0, MAX - 5);
        yes(same(pack(three(), 32, rows), 5, three()), "accepted");
        rows[3] = Row(1, 1, 11);
        no(same(pack(three(), 32, rows), 5, three()), "self-transfer of more than there is");
    }

    /// @dev The account is covered in the end, but not when the row comes: at every place of a
    /// group.
    function testOverdraftInBetween() public {
        for (uint256 count = 2; count < 18; count++) {
            Row[] memory rows = new Row[](count);
            for (uint256 bad = 0; bad < count; bad++) {
                for (uint256 i = 0; i < count; i++) {
                    rows[i] = Row(0, 1, 3);
                }
                rows[bad] = Row(2, 1, 1);
                rows[count - 1] = bad == count - 1 ? Row(1, 2, 3 * bad + 1) : Row(0, 2, 9);
                no(same(pack(three(), 2, rows), count, three()), "overdraft");
            }
        }
    }

    /// @dev Two overdrafts in a row: the first is the one that is named.
    function testFirstOverdraftIsNamed() public {
        Row[] memory rows = new Row[](8);
        for (uint256 first = 0; first < 7; first++) {
            for (uint256 i = 0; i < 8; i++) {
                rows[i] = Row(0, 1, 3);
            }
            rows[first] = Row(2, 2, 1 + first);
            rows[first + 1] = Row(2, 1, 99);
            no(same(pack(three(), 1, rows), 8, three()), "overdraft");
        }
    }

    function testEveryCountAndValueSize() public {
        address[] memory accounts = sequence(0, 5);
        for (uint256 size = 1; size <= 32; size++) {
            uint256 count = 1 + (size * 7) % 35;
            Row[] memory rows = new Row[](count);
            for (uint256 i = 0; i < count; i++) {
                rows[i] = i % 2 == 0
                    ? Row(0, 1 + i % 4, MAX >> (262 - 8 * size))
                    : Row(1 + (i - 1) % 4, i % 5, 1);
            }
            yes(same(pack(accounts, size, rows), count, accounts), "accepted");
        }
    }

    /// @dev One byte a reference up to 256 accounts, two from 257 on; the last place is used.
    function testReferenceSizeBoundary() public {
        for (uint256 n = 255; n <= 258; n++) {
            for (uint256 count = 1; count <= 18; count += 3) {
                Row[] memory rows = new Row[](count);
                for (uint256 i = 0; i < count; i++) {
                    rows[i] = Row(0, n - 1 - i % 3, i + 1);
                }
                yes(same(pack(sequence(0, n), 2, rows), count, sequence(0, n)), "accepted");
            }
        }
    }

    /// @dev A reference to just behind the table, at every place of a word and of the last word.
    function testReferenceOutOfTable() public {
        uint256[4] memory tables = [uint256(2), 255, 257, 300];
        for (uint256 t = 0; t < 4; t++) {
            address[] memory accounts = sequence(0, tables[t]);
            for (uint256 count = 1; count <= 19; count += 6) {
                for (uint256 bad = 0; bad < 2 * count; bad++) {
                    Row[] memory rows = new Row[](count);
                    if (bad % 2 == 0) rows[bad / 2].from = tables[t];
                    else rows[bad / 2].to = tables[t];
                    no(same(pack(accounts, 1, rows), count, new address[](0)), "behind the table");
                }
            }
        }
    }

    /// @dev A value full of ones beside the last reference must not be taken for one.
    function testValuesAreNotReferences() public {
        Row[] memory rows = new Row[](3);
        rows[0] = rows[1] = rows[2] = Row(0, 1, 0xff);
        yes(same(pack(three(), 1, rows), 3, three()), "accepted");
    }

    function testUnsortedAndDuplicateAccounts() public {
        Row[] memory rows = new Row[](1);
        for (uint256 i = 1; i < 5; i++) {
            address[] memory accounts = sequence(i % 2, 5);
            accounts[i] = accounts[i - 1];
            no(same(pack(accounts, 1, rows), 1, accounts), "duplicate");
            accounts = sequence(i % 2, 5);
            (accounts[i], accounts[i - 1]) = (accounts[i - 1], accounts[i]);
            no(same(pack(accounts, 1, rows), 1, accounts), "unsorted");
        }
    }

    function testHeaderOfRows() public {
        bytes memory good = mintRows(1);
        for (uint256 i = 0; i < 256; i++) {
            bytes memory bad = bytes.concat(good);
            bad[0] = bytes1(uint8(i));
            if (i != 1) no(same(bad, 1, three()), "version");
            bad = bytes.concat(good);
            bad[1] = bytes1(uint8(i));
            if (i != 32) no(same(bad, 1, three()), "value size");
            bad = bytes.concat(good);
            bad[3] = bytes1(uint8(i));
            if (i != 3) no(same(bad, 1, three()), "accounts");
        }
        yes(same(good, 1, three()), "good");
    }

    function testTruncatedAndOverlongRows() public {
        bytes memory good = mintRows(1);
        for (uint256 length = 0; length < good.length + 40; length++) {
            bytes memory bad = new bytes(length);
            for (uint256 i = 0; i < length && i < good.length; i++) {
                bad[i] = good[i];
            }
            if (length != good.length) no(same(bad, 1, three()), "length");
        }
    }

    /// @dev Batches of anything: mostly valid, some with one thing wrong.
    function testFuzzAgainstNaive(uint256 seed) public {
        address[] memory pool = sequence(0, 10);
        for (uint256 i = 0; i < 3; i++) {
            (bytes memory rows, uint256 count) = randomBatch(seed, pool);
            same(rows, count, pool);
            seed = uint256(keccak256(abi.encode(seed)));
        }
    }

    /// @dev Bytes of anything behind a good header: only the checks stand between them and memory.
    function testFuzzBytes(bytes memory rows, uint8 accounts, uint8 size, uint16 count) public {
        if (rows.length > 3) {
            (rows[0], rows[1]) = (0x01, bytes1(1 + size % 32));
            (rows[2], rows[3]) = (0, bytes1(2 + accounts % 3));
        }
        same(rows, 1 + count % 64, sequence(0, 3));
    }
}

/// @dev Plays batch after batch into both tokens, for the invariants.
contract Player is NettingBase {
    uint256 public accepted;

    constructor() {
        setUp();
    }

    function play(uint256 seed) external {
        address[] memory pool = sequence(0, 10);
        (bytes memory rows, uint256 count) = randomBatch(seed, pool);
        if (same(rows, count, pool)) accepted++;
    }

    function mint(uint256 seed) external {
        Row[] memory rows = new Row[](1 + seed % 9);
        for (uint256 i = 0; i < rows.length; i++) {
            rows[i] = Row(0, 1 + i, (seed >> 16) >> (i + 5));
        }
        if (same(pack(sequence(0, 10), 32, rows), rows.length, sequence(0, 10))) accepted++;
    }

    function sumAndSupply() external view returns (uint256 sum, uint256 supply, uint64 number) {
        for (uint256 i = 0; i < 10; i++) {
            sum += token.balanceOf(address(uint160(i)));
        }
        (number,,) = token.head();
        supply = token.totalSupply();
    }
}

contract NettingInvariants is Batches {
    Player internal player;

    function setUp() public {
        player = new Player();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(player);
    }

    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    function targetSelectors() external view returns (FuzzSelector[] memory targets) {
        targets = new FuzzSelector[](1);
        targets[0].addr = address(player);
        targets[0].selectors = new bytes4[](2);
        targets[0].selectors[0] = Player.play.selector;
        targets[0].selectors[1] = Player.mint.selector;
    }

    /// @dev Balances equal the naive model's after every call: `same` reverts otherwise.
    function invariantSumIsSupplyAndHeadCounts() public view {
        (uint256 sum, uint256 supply, uint64 number) = player.sumAndSupply();
        eq(sum, supply, "sum of balances");
        eq(player.accepted(), number, "head");
    }
}
