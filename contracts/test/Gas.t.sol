// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {HeaderRegistry} from "../src/HeaderRegistry.sol";
import {IBridges} from "../src/interfaces/IBridges.sol";
import {IHeaderChain} from "../src/interfaces/IHeaderChain.sol";
import {Batches} from "./Batches.sol";
import {Snapshots} from "./Snapshots.sol";

/// @dev Goal: replay stays near what logs and storage cost anyway. Method: transactions of their
/// own (`isolate`), so that gas is the whole transaction's: 21,000, calldata and cold storage
/// included. Values have nine bytes and no zero byte among them. `scripts/gas.js` measures more, on
/// Anvil.
contract GasTest is Batches {
    function setUp() public {
        deploy();
    }

    /// forge-config: default.isolate = true
    function testGasOf4000RowsAmong100Accounts() public {
        address[] memory accounts = holders(101);
        Row[] memory rows = new Row[](100);
        for (uint256 i = 0; i < 100; i++) {
            rows[i] = Row(0, i + 1, 1 << 80);
        }
        replay(pack(accounts, 32, rows), 100, 100 << 80);

        address[] memory existing = new address[](100);
        for (uint256 i = 0; i < 100; i++) {
            existing[i] = accounts[i + 1];
        }
        rows = new Row[](4000);
        for (uint256 i = 0; i < 4000; i++) {
            uint256 r = uint256(keccak256(abi.encode(i)));
            rows[i] = Row(i % 100, (i + 1 + r % 99) % 100, nineBytes(r));
        }
        measured(
            "4,000 rows among 100 holders", pack(existing, 9, rows), 4000, 100 << 80, 9_100_000
        );
    }

    /// forge-config: default.isolate = true
    function testGasOf600NewHolders() public {
        address[] memory accounts = holders(601);
        Row[] memory rows = new Row[](1);
        rows[0] = Row(0, 1, 1);
        address[] memory two = new address[](2);
        two[1] = address(1);
        replay(pack(two, 1, rows), 1, 1);

        uint256 supply = 1;
        rows = new Row[](600);
        for (uint256 i = 0; i < 600; i++) {
            uint256 value = nineBytes(uint256(keccak256(abi.encode(i))));
            supply += value;
            rows[i] = Row(0, i + 1, value);
        }
        measured("600 new holders", pack(accounts, 9, rows), 600, supply, 15_100_000);
    }

    /// @dev A part costs the calldata and the accounts of the whole batch; the first one rehearses
    /// it. forge-config: default.isolate = true
    function testGasOfParts() public {
        address[] memory accounts = holders(101);
        Row[] memory rows = new Row[](1000);
        for (uint256 i = 0; i < 1000; i++) {
            rows[i] = Row(0, i % 100 + 1, nineBytes(uint256(keccak256(abi.encode(i)))) >> 8);
        }
        bytes memory packed = pack(accounts, 9, rows);
        uint256 supply = 0;
        for (uint256 i = 0; i < 1000; i++) {
            supply += rows[i].value;
        }
        IHeaderChain.Batch memory header = next(packed, 1000, supply);
        bytes memory proof = sealedBy(KEY, header);
        token.replayPart(header, packed, proof, 500);
        vm.snapshotGasLastCall(
            "LedgerToken", "replayPart: first 500 of 1,000 rows, 100 new holders"
        );
        token.replayPart(header, packed, proof, 500);
        vm.snapshotGasLastCall("LedgerToken", "replayPart: last 500 of 1,000 rows, 100 holders");
    }

    /// forge-config: default.isolate = true
    function testGasOfOneRow() public {
        replay(mintRows(1), 1, 1);
        vm.snapshotGasLastCall("LedgerToken", "replay: first batch, 1 row, 1 new holder");
        replay(mintRows(1), 1, 2);
        vm.snapshotGasLastCall("LedgerToken", "replay: 1 row, 1 holder");
    }

    /// forge-config: default.isolate = true
    function testGasAfterFinalize() public {
        replay(mintRows(100), 1, 100);
        vm.prank(vm.addr(KEY));
        token.finalize();
        vm.snapshotGasLastCall("LedgerToken", "finalize");
        vm.prank(address(0xA));
        token.transfer(address(0xC), 1);
        vm.snapshotGasLastCall("LedgerToken", "transfer: to a new holder");

        bytes32 role = token.BRIDGE_ADMIN_ROLE();
        vm.prank(vm.addr(KEY));
        token.grantRole(role, address(this));
        token.setBridgeLimits(address(this), IBridges.Limit(99, 1), IBridges.Limit(99, 1));
        vm.snapshotGasLastCall("LedgerToken", "setBridgeLimits: a new bridge");
        token.crosschainMint(address(0xA), 1);
        vm.snapshotGasLastCall("LedgerToken", "crosschainMint");
        token.crosschainBurn(address(0xA), 1);
        vm.snapshotGasLastCall("LedgerToken", "crosschainBurn");
    }

    /// forge-config: default.isolate = true
    function testGasOfAnchoring() public {
        HeaderRegistry registry = new HeaderRegistry(token.tokenUid(), vm.addr(KEY));
        for (uint64 n = 1; n <= 21; n += 10) {
            IHeaderChain.Batch[] memory headers = new IHeaderChain.Batch[](n == 1 ? 1 : 10);
            (uint64 number, bytes32 parent, uint64 firstSeq) = registry.head();
            for (uint64 i = 0; i < headers.length; i++) {
                number++;
                headers[i] = IHeaderChain.Batch(
                    number, parent, firstSeq, 1, keccak256("root"), keccak256("rows"), 1, number
                );
                parent = registry.batchDigest(headers[i]);
                firstSeq++;
            }
            registry.anchor(headers, signature(KEY, parent));
            if (n == 1) vm.snapshotGasLastCall("HeaderRegistry", "anchor: the first header");
            if (n == 21) vm.snapshotGasLastCall("HeaderRegistry", "anchor: ten headers");
        }
    }

    function measured(
        string memory what,
        bytes memory rows,
        uint256 count,
        uint256 supply,
        uint256 limit
    ) internal {
        IHeaderChain.Batch memory header = next(rows, count, supply);
        bytes memory proof = sealedBy(KEY, header);
        token.replay(header, rows, proof);
        uint256 gas = vm.snapshotGasLastCall("LedgerToken", string.concat("replay: ", what));
        yes(gas <= limit, "gas");
        yes(gas > 21_000 + 1_756 * count + 5_000, "a whole transaction was measured");
    }

    /// @dev The zero address and then scattered ones, ascending.
    function holders(uint256 n) internal pure returns (address[] memory accounts) {
        accounts = new address[](n);
        for (uint256 i = 1; i < n; i++) {
            uint256 tail =
                uint256(keccak256(abi.encode("holder", i))) >> 112 | 0x010101010101010101;
            accounts[i] = address(uint160((0x0101 + i) << 144 | tail));
        }
    }

    function nineBytes(uint256 r) internal pure returns (uint256) {
        return r >> 184 | 0x010101010101010101;
    }
}

contract SnapshotGasTest is Snapshots {
    /// forge-config: default.isolate = true
    function testGasOfClaims() public {
        deploy(1024);
        open();
        vm.snapshotGasLastCall("SnapshotToken", "open");
        claim(3);
        claim(4);
        vm.snapshotGasLastCall("SnapshotToken", "claim: one of 1,024");
    }
}
