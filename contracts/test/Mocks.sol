// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {ERC1155} from "@openzeppelin/contracts/token/ERC1155/ERC1155.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

/// @dev A contract wallet as small as it gets: its signatures are those of one key.
contract Wallet is IERC1271 {
    address internal immutable KEY_HOLDER;

    constructor(address keyHolder) {
        KEY_HOLDER = keyHolder;
    }

    function isValidSignature(bytes32 hash, bytes calldata signature)
        external
        view
        returns (bytes4)
    {
        return ECDSA.recover(hash, signature) == KEY_HOLDER
            ? IERC1271.isValidSignature.selector
            : bytes4(0);
    }
}

contract Coin is ERC20("Coin", "COIN") {
    function mint(address to, uint256 value) external {
        _mint(to, value);
    }
}

contract Picture is ERC721("Picture", "PIC") {
    function mint(address to, uint256 id) external {
        _safeMint(to, id);
    }
}

contract Badge is ERC1155("") {
    function mint(address to, uint256[] calldata ids, uint256[] calldata values) external {
        _mint(to, ids[0], values[0], "");
        _mintBatch(to, ids, values, "");
    }
}

/// @dev Answers, takes wei, reverts with data and reverts without.
contract Target {
    error Refused(uint256 number);

    function echo(uint256 number) external payable returns (uint256, uint256) {
        return (number, msg.value);
    }

    function refuse(uint256 number) external pure {
        revert Refused(number);
    }

    function refuseSilently() external pure {
        // solhint-disable-next-line reason-string,gas-custom-errors
        revert();
    }
}
