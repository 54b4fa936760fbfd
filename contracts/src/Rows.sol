// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ILedgerToken} from "./interfaces/ILedgerToken.sol";

/// @title Rows: the layout of a batch's rows, and every check that needs no balance
/// @dev The format is described at ILedgerToken.
library Rows {
    uint256 internal constant HEADER_SIZE = 4;
    uint256 internal constant ACCOUNT_SIZE = 20;

    /// @dev Read the header and compare the length with it.
    /// @return accounts entries of the account table
    /// @return referenceSize bytes of one reference
    /// @return valueSize bytes of one value
    function sizes(bytes calldata rows, uint256 count)
        internal
        pure
        returns (uint256 accounts, uint256 referenceSize, uint256 valueSize)
    {
        if (rows.length < HEADER_SIZE) {
            revert ILedgerToken.UnexpectedRowsLength(HEADER_SIZE, rows.length);
        }
        if (rows[0] != 0x01) revert ILedgerToken.UnknownRowsVersion(uint8(rows[0]));
        valueSize = uint8(rows[1]);
        if (valueSize == 0 || valueSize > 32) revert ILedgerToken.InvalidValueSize(valueSize);
        accounts = uint16(bytes2(rows[2:HEADER_SIZE]));
        if (accounts < 2) revert ILedgerToken.TooFewAccounts(accounts);
        referenceSize = accounts > 256 ? 2 : 1;

        uint256 length =
            HEADER_SIZE + ACCOUNT_SIZE * accounts + (2 * referenceSize + valueSize) * count;
        if (rows.length != length) {
            revert ILedgerToken.UnexpectedRowsLength(length, rows.length);
        }
    }

    /// @dev Refuse a reference that is not below `accounts`. A word of references is judged at
    /// once: they are spread over lanes of double width, and adding 2^bits - accounts to a lane
    /// carries out of its lower half exactly if the reference is too high. Carries are gathered
    /// over the column.
    function checkReferences(bytes calldata column, uint256 accounts, uint256 referenceSize)
        internal
        pure
    {
        uint256 bits = 8 * referenceSize;
        uint256 ones = type(uint256).max / (referenceSize == 1 ? 0xffff : 0xffffffff);
        uint256 lower = type(uint256).max / (referenceSize == 1 ? 0x101 : 0x10001);
        uint256 gap = ones * ((1 << bits) - accounts);
        uint256 carries;
        // Reads calldata only. The last word may hold bytes of the next column: they are cleared.
        assembly ("memory-safe") {
            let at := column.offset
            let end := add(at, column.length)
            for {} iszero(gt(add(at, 32), end)) { at := add(at, 32) } {
                let word := calldataload(at)
                carries := or(carries, add(and(word, lower), gap))
                carries := or(carries, add(and(shr(bits, word), lower), gap))
            }
            let excess := sub(256, shl(3, sub(end, at)))
            let word := shl(excess, shr(excess, calldataload(at)))
            carries := or(carries, add(and(word, lower), gap))
            carries := or(carries, add(and(shr(bits, word), lower), gap))
        }
        if (carries & (ones << bits) != 0) _revertReference(column, accounts, referenceSize);
    }

    /// @dev Name the first reference that is out of the table; there is one.
    function _revertReference(bytes calldata column, uint256 accounts, uint256 size) private pure {
        for (uint256 i = 0; i < column.length; i += size) {
            uint256 place = size == 1 ? uint8(column[i]) : uint16(bytes2(column[i:i + 2]));
            if (place >= accounts) {
                revert ILedgerToken.ReferenceOutOfTable(i / (2 * size), place);
            }
        }
    }
}
