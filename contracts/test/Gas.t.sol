// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IHeaderChain} from "../src/interfaces/IHeaderChain.sol";
import {Batches} from "./Batches.sol";

/// @dev Goal: replay stays near what logs and storage cost anyway. Method: transactions of their own
/// (`isolate`), so that gas is the whole transaction's: 21,000, calldata and cold storage included.
/// Values have nine bytes and no zero byte among them. `scripts/gas.js` measures more, on Anvil.
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
            "4,000 rows among 100 accounts", pack(existing, 9, rows), 4000, 100 << 80, 9_100_000
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
        uint256 gas = vm.lastCallGas().gasTotalUsed;
        log(string.concat(what, ": ", vm.toString(gas), " gas"));
        yes(gas <= limit, "gas");
        yes(gas > 21_000 + 1_756 * count + 5_000, "a whole transaction was measured");
    }

    /// @dev The zero address and then scattered ones, ascending.
    function holders(uint256 n) internal pure returns (address[] memory accounts) {
        accounts = new address[](n);
        for (uint256 i = 1; i < n; i++) {
            uint256 tail = uint256(keccak256(abi.encode("holder", i))) >> 112 | 0x010101010101010101;
            accounts[i] = address(uint160((0x0101 + i) << 144 | tail));
        }
    }

    function nineBytes(uint256 r) internal pure returns (uint256) {
        return r >> 184 | 0x010101010101010101;
    }
}
