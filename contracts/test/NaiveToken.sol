// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ILedgerToken} from "../src/interfaces/ILedgerToken.sol";

/// @title What rows mean, written down as plainly as Solidity allows: one transfer after the other
contract NaiveToken {
    mapping(address account => uint256) public balanceOf;
    uint256 public totalSupply;

    function execute(bytes calldata rows, uint256 count) external {
        if (rows.length < 4) revert ILedgerToken.UnexpectedRowsLength(4, rows.length);
        if (number(rows, 0, 1) != 1) revert ILedgerToken.UnknownRowsVersion(number(rows, 0, 1));
        uint256 valueSize = number(rows, 1, 1);
        if (valueSize < 1 || valueSize > 32) revert ILedgerToken.InvalidValueSize(valueSize);
        uint256 accounts = number(rows, 2, 2);
        if (accounts < 2) revert ILedgerToken.TooFewAccounts(accounts);
        uint256 size = accounts <= 256 ? 1 : 2;
        uint256 references = 4 + 20 * accounts;
        uint256 values = references + 2 * size * count;
        if (rows.length != values + valueSize * count) {
            revert ILedgerToken.UnexpectedRowsLength(values + valueSize * count, rows.length);
        }
        for (uint256 i = 0; i < 2 * count; i++) {
            uint256 place = number(rows, references + i * size, size);
            if (place >= accounts) revert ILedgerToken.ReferenceOutOfTable(i / 2, place);
        }
        for (uint256 i = 1; i < accounts; i++) {
            if (account(rows, i) <= account(rows, i - 1)) {
                revert ILedgerToken.AccountsNotAscending(i, account(rows, i));
            }
        }
        for (uint256 i = 0; i < count; i++) {
            address from = account(rows, number(rows, references + 2 * i * size, size));
            address to = account(rows, number(rows, references + (2 * i + 1) * size, size));
            transfer(i, from, to, number(rows, values + i * valueSize, valueSize));
        }
    }

    function transfer(uint256 row, address from, address to, uint256 value) internal {
        uint256 funds = from == address(0) ? type(uint256).max - totalSupply : balanceOf[from];
        if (value > funds) revert ILedgerToken.Overdrawn(row, from, funds, value);
        if (from == address(0)) totalSupply += value;
        else balanceOf[from] -= value;
        if (to == address(0)) totalSupply -= value;
        else balanceOf[to] += value;
        emit IERC20.Transfer(from, to, value);
    }

    function account(bytes calldata rows, uint256 i) internal pure returns (address) {
        return address(uint160(number(rows, 4 + 20 * i, 20)));
    }

    function number(bytes calldata data, uint256 first, uint256 size)
        internal
        pure
        returns (uint256 n)
    {
        for (uint256 i = first; i < first + size; i++) {
            n = n << 8 | uint8(data[i]);
        }
    }
}
