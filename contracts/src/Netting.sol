// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Rows} from "./Rows.sol";

/// @title Netting: executes the rows of a batch
/// @dev Each account is read from storage once, moved in memory row by row, and written once. What
/// rows do is what transfers one after the other would do; only storage is spared the steps between.
///
/// The zero address is an account like any other: it holds what is not issued, 2^256 - 1 - supply. The
/// sum over all accounts is hence always 2^256 - 1: a credit cannot overflow, and underflow is the one
/// thing to watch for.
library Netting {
    /// @dev Where OpenZeppelin's ERC20 keeps its private `_balances` and `_totalSupply`, given that it
    /// is the first base contract. A test pins both.
    uint256 internal constant BALANCES_SLOT = 0;
    uint256 internal constant SUPPLY_SLOT = 2;

    /// @dev Assembly takes numbers only; a test compares them with what they are selectors of.
    uint256 internal constant TRANSFER =
        0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef;
    uint256 internal constant NOT_ASCENDING = 0x6c254821;
    uint256 internal constant OVERDRAWN = 0x912a1d89;

    /// @dev Execute `count` rows, one `Transfer` each, in their order.
    /// @return supply the total supply after the last row
    function execute(bytes calldata rows, uint256 count) internal returns (uint256 supply) {
        (uint256 accounts, uint256 referenceSize, uint256 valueSize) = Rows.sizes(rows, count);
        uint256 start = Rows.HEADER_SIZE + Rows.ACCOUNT_SIZE * accounts;
        uint256 end = start + 2 * referenceSize * count;
        Rows.checkReferences(rows[start:end], accounts, referenceSize);

        // The table of accounts lies at memory 0: account i has its balance at 64 i and its address
        // at 64 i + 32, so that a reference becomes a pointer by a shift and a mask alone. This covers
        // the free-memory pointer and the zero word, which are put back at the end; nothing that
        // Solidity has in memory is used in between or afterwards. The block is therefore not, and
        // must not be called, "memory-safe". References were checked: no pointer leaves the table.
        assembly {
            // Functions share these words: `ref` and `at` point at a row's references and value in the
            // calldata, `last` at the end of all references, where the values begin; `size` is bytes per
            // value, `step` bits per row of references; `table` is the end of the table, where two words
            // serve as scratch. A row's references lie at the top of a word, hence the shifts.

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
            // Write every balance; to write an unchanged one costs what it would to look for changes.
            function store(table) -> total {
                mstore(add(table, 0x20), BALANCES_SLOT)
                total := sload(SUPPLY_SLOT)
                let p := 0
                if iszero(mload(0x20)) {
                    total := not(mload(0x00))
                    sstore(SUPPLY_SLOT, total)
                    p := 0x40
                }
                for {} lt(p, table) { p := add(p, 0x40) } {
                    mstore(table, mload(add(p, 0x20)))
                    sstore(keccak256(table, 0x40), mload(p))
                }
            }
            // The first n rows one by one, each checked before it moves anything.
            function walk(ref, at, size, n, table, fromShift, toShift, mask, step) {
                for { let row := 0 } lt(row, n) { row := add(row, 1) } {
                    let word := calldataload(ref)
                    let value := shr(sub(256, shl(3, size)), calldataload(at))
                    let from := and(shr(fromShift, word), mask)
                    let to := and(shr(toShift, word), mask)
                    if lt(mload(from), value) {
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
                    mstore(table, value)
                    log3(table, 0x20, TRANSFER, mload(add(from, 0x20)), mload(add(to, 0x20)))
                    ref := add(ref, shr(3, step))
                    at := add(at, size)
                }
            }
            // Four rows at a time, until none is left or one took what was not there. The subtraction
            // of such a row wraps, which is looked at every second row; the caller then reverts.
            function run(ref, last, at, size, table, fromShift, toShift, mask, step) -> overdrawn {
                let valueShift := sub(256, shl(3, size))
                for {} lt(ref, last) { ref := add(ref, shr(1, step)) } {
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
                        overdrawn := 1
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
                        overdrawn := 1
                        break
                    }
                }
            }
            // All rows: up to three alone, the others by fours. If one of these was overdrawn, all is
            // done again row by row, from the balances in storage, to revert at the right one.
            function all(ref, last, size, n, table, fromShift, toShift, mask, step) {
                let rest := and(n, 3)
                walk(ref, last, size, rest, table, fromShift, toShift, mask, step)
                let refs := add(ref, mul(rest, shr(3, step)))
                let at := add(last, mul(rest, size))
                if run(refs, last, at, size, table, fromShift, toShift, mask, step) {
                    load(sub(ref, mul(20, shr(6, table))), table)
                    walk(ref, last, size, n, table, fromShift, toShift, mask, step)
                    invalid() // not reached: the walk meets the row that the run met
                }
            }

            let free := mload(0x40)
            let table := shl(6, accounts)
            let refs := add(rows.offset, start)
            let values := add(rows.offset, end)
            load(add(rows.offset, 4), table)
            switch referenceSize
            case 1 { all(refs, values, valueSize, count, table, 242, 234, 0x3fc0, 16) }
            default { all(refs, values, valueSize, count, table, 234, 218, 0x3fffc0, 32) }
            supply := store(table)
            mstore(0x40, free)
            mstore(0x60, 0)
        }
    }
}
