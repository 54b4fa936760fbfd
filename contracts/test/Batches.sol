// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {LedgerToken} from "../src/LedgerToken.sol";
import {IHeaderChain} from "../src/interfaces/IHeaderChain.sol";
import {Test} from "./Test.sol";

/// @title A token, its sealer's key, and batches made by hand
abstract contract Batches is Test {
    struct Row {
        uint256 from;
        uint256 to;
        uint256 value;
    }

    uint256 internal constant KEY = 0x5EA1;
    bytes32 internal constant LEDGER = keccak256("ledger");
    uint256 internal constant MAX = type(uint256).max;

    LedgerToken internal token;

    function deploy() internal {
        token = new LedgerToken("Token", "TOK", 6, LEDGER, vm.addr(KEY));
    }

    function pack(address[] memory accounts, uint256 valueSize, Row[] memory rows)
        internal
        pure
        returns (bytes memory packed)
    {
        uint256 n = accounts.length;
        uint256 size = n > 256 ? 2 : 1;
        uint256 values = 4 + 20 * n + 2 * size * rows.length;
        packed = new bytes(values + valueSize * rows.length);
        put(packed, 0, 4, 1 << 24 | valueSize << 16 | n);
        for (uint256 i = 0; i < n; i++) {
            put(packed, 4 + 20 * i, 20, uint160(accounts[i]));
        }
        for (uint256 i = 0; i < rows.length; i++) {
            put(packed, 4 + 20 * n + 2 * i * size, size, rows[i].from);
            put(packed, 4 + 20 * n + (2 * i + 1) * size, size, rows[i].to);
            put(packed, values + i * valueSize, valueSize, rows[i].value);
        }
    }

    function put(bytes memory data, uint256 place, uint256 size, uint256 value) internal pure {
        for (uint256 i = size; i > 0; i--) {
            data[place + i - 1] = bytes1(uint8(value));
            value >>= 8;
        }
    }

    /// @dev The next batch after the token's head.
    function next(bytes memory rows, uint256 count, uint256 supply)
        internal
        view
        returns (IHeaderChain.Batch memory)
    {
        (uint64 number, bytes32 parent, uint64 firstSeq) = token.head();
        return IHeaderChain.Batch({
            number: number + 1,
            parent: parent,
            firstSeq: firstSeq,
            count: uint32(count),
            entriesRoot: keccak256("root"),
            rowsHash: keccak256(rows),
            totalSupply: supply,
            sealedAt: 1_700_000_000_000_000
        });
    }

    function sealedBy(uint256 key, IHeaderChain.Batch memory header)
        internal
        view
        returns (bytes memory)
    {
        return signature(key, token.batchDigest(header));
    }

    function replay(bytes memory rows, uint256 count, uint256 supply) internal {
        IHeaderChain.Batch memory header = next(rows, count, supply);
        token.replay(header, rows, sealedBy(KEY, header));
    }

    /// @dev `system` and two holders, of whom the first is given `value`.
    function mintRows(uint256 value) internal pure returns (bytes memory) {
        bytes memory accounts = abi.encodePacked(address(0), address(0xA), address(0xB));
        return abi.encodePacked(hex"01200003", accounts, hex"0001", value);
    }

    function three() internal pure returns (address[] memory accounts) {
        accounts = new address[](3);
        accounts[1] = address(0xA);
        accounts[2] = address(0xB);
    }

    function sequence(uint256 first, uint256 n) internal pure returns (address[] memory accounts) {
        accounts = new address[](n);
        for (uint256 i = 0; i < n; i++) {
            accounts[i] = address(uint160(first + i));
        }
    }
}
