// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Rows} from "./Rows.sol";

/// @title Netting: executes the rows of a batch
/// @dev Each account is read from storage once, moved in memory row by row, and written once. What
/// rows do is what transfers one after the other would do; only storage is spared the steps
/// between.
///
/// The zero address is an account like any other: it holds what is not issued, 2^256 - 1 - supply.
/// The sum over all accounts is hence always 2^256 - 1: a credit cannot overflow, and underflow is
/// the one thing to watch for.
library Netting {
    /// @dev Where OpenZeppelin's ERC20 keeps its private `_balances` and `_totalSupply`, given that
    /// it is the first base contract. A test pins both.
    uint256 internal constant BALANCES_SLOT = 0;
    uint256 internal constant SUPPLY_SLOT = 2;

    /// @dev Assembly takes numbers only; a test compares them with what they are selectors of.
    uint256 internal constant TRANSFER =
        0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef;
    uint256 internal constant NOT_ASCENDING = 0x6c254821;
    uint256 internal constant OVERDRAWN = 0x912a1d89;

    /// @dev Execute `n` of the batch's `count` rows from row `firstRow` on, one `Transfer` each, in
    /// their order.
    /// @return supply the total supply after the last of them
    function execute(bytes calldata rows, uint256 count, uint256 firstRow, uint256 n)
        internal
        returns (uint256 supply)
    {
        bool overdrawn;
        (supply, overdrawn) = _run(rows, count, firstRow, n, false);
        if (overdrawn) {
            rehearse(rows, count, firstRow, n);
            assert(false); // not reached: the rehearsal meets the row that was met
        }
    }

    /// @dev Try the same rows in memory: reverts at the row at which `execute` would, and names it.
    /// @return supply the total supply after the last of them
    function rehearse(bytes calldata rows, uint256 count, uint256 firstRow, uint256 n)
        internal
        returns (uint256 supply)
    {
        (supply,) = _run(rows, count, firstRow, n, true);
    }

    function _run(bytes calldata rows, uint256 count, uint256 firstRow, uint256 n, bool rehearsal)
        private
        returns (uint256 supply, bool overdrawn)
    {
        (uint256 accounts, uint256 referenceSize, uint256 valueSize) = Rows.sizes(rows, count);
        uint256 start = Rows.HEADER_SIZE + Rows.ACCOUNT_SIZE * accounts;
        uint256 valuesAt = start + 2 * referenceSize * count;
        Rows.checkReferences(rows[start:valuesAt], accounts, referenceSize);

        // The table of accounts lies at memory 0: account i has its balance at 64 i and its address
        // at 64 i + 32, so that a reference becomes a pointer by a shift and a mask alone. This
        // covers the free-memory pointer and the zero word, which are put back at the end; nothing
        // that Solidity has in memory is used in between or afterwards. The block is therefore not,
        // and must not be called, "memory-safe". References were checked: no pointer leaves the
        // table.
        assembly {
            // Functions share these words: `ref` and `at` point at a row's references and value in
            // the calldata, `end` behind the last row's value; `size` is bytes per value, `step`
            // bits per row of references; `table` is the end of the table, where two words serve as
            // scratch. A row's references lie at the top of a word, hence the shifts.

            // Read every account's balance; the zero address, if there, comes first.
            function load(at, table) {
                mstore(add(table, 0x20), BALANCES_SLOT)
                let p := 0
                let previous := 0
                if iszero(shr(96, calldataload(at))) {
                    mstore(0x00, not(sload(SUPPLY_SLOT)))
                    mstore(0x20, 0)
                    at := add(at, 20)
                    p := 0x40
                }
                for {} lt(p, table) { p := add(p, 0x40) } {
                    let account := shr(96, calldataload(at))
                    if iszero(gt(account, previous)) {
                        mstore(0x00, shl(224, NOT_ASCENDING))
                        mstore(0x04, shr(6, p))
                        mstore(0x24, account)
                        revert(0x00, 0x44)
                    }
                    mstore(table, account)
                    mstore(p, sload(keccak256(table, 0x40)))
                    mstore(add(p, 0x20), account)
                    previous := account
                    at := add(at, 20)
                }
            }
            // The supply that the balances make: what the zero address, if there, does not hold.
            function issued() -> total {
                total := sload(SUPPLY_SLOT)
                if iszero(mload(0x20)) { total := not(mload(0x00)) }
            }
            // Write every balance; to write an unchanged one costs what it would to look for
            // changes.
            function store(table) {
                mstore(add(table, 0x20), BALANCES_SLOT)
                let p := 0
                if iszero(mload(0x20)) {
                    sstore(SUPPLY_SLOT, not(mload(0x00)))
                    p := 0x40
                }
                for {} lt(p, table) { p := add(p, 0x40) } {
                    mstore(table, mload(add(p, 0x20)))
                    sstore(keccak256(table, 0x40), mload(p))
                }
            }
            // Rows one by one, each checked before it moves anything. A rehearsal writes no logs,
            // and reverts at the row that takes what is not there, `row` being the number of the
            // first.
            function walk(
                ref,
                at,
                size,
                row,
                rowCount,
                table,
                fromShift,
                toShift,
                mask,
                step,
                quiet
            ) -> short {
                for { let end := add(row, rowCount) } lt(row, end) { row := add(row, 1) } {
                    let word := calldataload(ref)
                    let value := shr(sub(256, shl(3, size)), calldataload(at))
                    let from := and(shr(fromShift, word), mask)
                    let to := and(shr(toShift, word), mask)
                    if lt(mload(from), value) {
                        if iszero(quiet) {
                            short := 1
                            break
                        }
                        let funds := mload(from)
                        let account := mload(add(from, 0x20))
                        mstore(0x00, shl(224, OVERDRAWN))
                        mstore(0x04, row)
                        mstore(0x24, account)
                        mstore(0x44, funds)
                        mstore(0x64, value)
                        revert(0x00, 0x84)
                    }
                    mstore(from, sub(mload(from), value))
                    mstore(to, add(mload(to), value))
                    if iszero(quiet) {
                        mstore(table, value)
                        log3(table, 0x20, TRANSFER, mload(add(from, 0x20)), mload(add(to, 0x20)))
                    }
                    ref := add(ref, shr(3, step))
                    at := add(at, size)
                }
            }
            // Four rows at a time, until none is left or one took what was not there. The
            // subtraction of such a row wraps, which is looked at every second row; all is then
            // reverted.
            function run(ref, at, end, size, table, fromShift, toShift, mask, step) -> short {
                let valueShift := sub(256, shl(3, size))
                for {} lt(at, end) { ref := add(ref, shr(1, step)) } {
                    let word := calldataload(ref)

                    let value := shr(valueShift, calldataload(at))
                    let from := and(shr(fromShift, word), mask)
                    let funds := mload(from)
                    let under := lt(funds, value)
                    mstore(from, sub(funds, value))
                    let to := and(shr(toShift, word), mask)
                    mstore(to, add(mload(to), value))
                    mstore(table, value)
                    log3(table, 0x20, TRANSFER, mload(add(from, 0x20)), mload(add(to, 0x20)))
                    at := add(at, size)

                    value := shr(valueShift, calldataload(at))
                    from := and(shr(sub(fromShift, step), word), mask)
                    funds := mload(from)
                    under := or(under, lt(funds, value))
                    mstore(from, sub(funds, value))
                    to := and(shr(sub(toShift, step), word), mask)
                    mstore(to, add(mload(to), value))
                    mstore(table, value)
                    log3(table, 0x20, TRANSFER, mload(add(from, 0x20)), mload(add(to, 0x20)))
                    at := add(at, size)
                    if under {
                        short := 1
                        break
                    }

                    value := shr(valueShift, calldataload(at))
                    from := and(shr(sub(fromShift, mul(2, step)), word), mask)
                    funds := mload(from)
                    under := lt(funds, value)
                    mstore(from, sub(funds, value))
                    to := and(shr(sub(toShift, mul(2, step)), word), mask)
                    mstore(to, add(mload(to), value))
                    mstore(table, value)
                    log3(table, 0x20, TRANSFER, mload(add(from, 0x20)), mload(add(to, 0x20)))
                    at := add(at, size)

                    value := shr(valueShift, calldataload(at))
                    from := and(shr(sub(fromShift, mul(3, step)), word), mask)
                    funds := mload(from)
                    under := or(under, lt(funds, value))
                    mstore(from, sub(funds, value))
                    to := and(shr(sub(toShift, mul(3, step)), word), mask)
                    mstore(to, add(mload(to), value))
                    mstore(table, value)
                    log3(table, 0x20, TRANSFER, mload(add(from, 0x20)), mload(add(to, 0x20)))
                    at := add(at, size)

                    if under {
                        short := 1
                        break
                    }
                }
            }
            // All rows: up to three alone, the others by fours.
            function all(ref, at, size, rowCount, table, fromShift, toShift, mask, step) -> short {
                let rest := and(rowCount, 3)
                short := walk(ref, at, size, 0, rest, table, fromShift, toShift, mask, step, 0)
                if iszero(short) {
                    let end := add(at, mul(rowCount, size))
                    ref := add(ref, mul(rest, shr(3, step)))
                    at := add(at, mul(rest, size))
                    short := run(ref, at, end, size, table, fromShift, toShift, mask, step)
                }
            }

            let free := mload(0x40)
            let table := shl(6, accounts)
            let ref := add(add(rows.offset, start), mul(firstRow, shl(1, referenceSize)))
            let at := add(add(rows.offset, valuesAt), mul(firstRow, valueSize))
            load(add(rows.offset, 4), table)
            switch rehearsal
            case 0 {
                switch referenceSize
                case 1 { overdrawn := all(ref, at, valueSize, n, table, 242, 234, 0x3fc0, 16) }
                default {
                    overdrawn := all(ref, at, valueSize, n, table, 234, 218, 0x3fffc0, 32)
                }
                supply := issued()
                if iszero(overdrawn) { store(table) }
            }
            default {
                switch referenceSize
                case 1 {
                    pop(walk(ref, at, valueSize, firstRow, n, table, 242, 234, 0x3fc0, 16, 1))
                }
                default {
                    pop(walk(ref, at, valueSize, firstRow, n, table, 234, 218, 0x3fffc0, 32, 1))
                }
                supply := issued()
            }
            mstore(0x40, free)
            mstore(0x60, 0)
        }
    }
}
