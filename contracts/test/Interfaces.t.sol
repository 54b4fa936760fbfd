// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {IERC7802} from "@openzeppelin/contracts/interfaces/draft-IERC7802.sol";
import {LedgerToken} from "../src/LedgerToken.sol";
import {OnchainToken} from "../src/OnchainToken.sol";
import {SnapshotToken} from "../src/SnapshotToken.sol";
import {Batches} from "./Batches.sol";

/// @dev Goal: both tokens are what wallets, bridges and explorers take them for. Method: ids,
/// selectors and hashes as the standards publish them, written out.
contract InterfacesTest is Batches {
    OnchainToken[2] internal tokens;

    function setUp() public {
        deploy();
        address operator = vm.addr(KEY);
        tokens[0] = token;
        tokens[1] = new SnapshotToken("Token", "TOK", 6, LEDGER, operator);
    }

    function testErc165() public view {
        bytes4[8] memory ids = [
            bytes4(0x01ffc9a7), // ERC-165
            0x36372b07, // ERC-20
            0xa219a025, // ERC-20 metadata
            0x9d8ff7da, // ERC-2612
            0x84b0196e, // ERC-5267
            0x33331994, // ERC-7802
            0x7965db0b, // AccessControl
            0xffffffff
        ];
        for (uint256 t = 0; t < 2; t++) {
            for (uint256 i = 0; i < 8; i++) {
                eq(i < 7 ? 1 : 0, tokens[t].supportsInterface(ids[i]) ? 1 : 0, "interface");
            }
        }
        eq(bytes32(ids[6]), bytes32(type(IAccessControl).interfaceId), "AccessControl");
    }

    function testErc2612Domain() public view {
        for (uint256 t = 0; t < 2; t++) {
            bytes32 domain = keccak256(
                abi.encode(
                    keccak256(
                        "EIP712Domain(string name,string version,uint256 chainId,"
                        "address verifyingContract)"
                    ),
                    keccak256("Token"),
                    keccak256("1"),
                    block.chainid,
                    address(tokens[t])
                )
            );
            eq(domain, tokens[t].DOMAIN_SEPARATOR(), "domain");
        }
    }

    /// @dev Of permits: name, version, chain and contract, no salt. The ledger's domain is another.
    function testErc5267() public view {
        for (uint256 t = 0; t < 2; t++) {
            (
                bytes1 fields,
                string memory name,
                string memory version,
                uint256 chainId,
                address verifyingContract,
                bytes32 salt,
                uint256[] memory extensions
            ) = tokens[t].eip712Domain();
            eq(bytes32(bytes1(0x0f)), bytes32(fields), "fields");
            eq(bytes("Token"), bytes(name), "name");
            eq(bytes("1"), bytes(version), "version");
            eq(block.chainid, chainId, "chain");
            eq(address(tokens[t]), verifyingContract, "contract");
            eq(bytes32(0), salt, "salt");
            eq(0, extensions.length, "extensions");
        }
    }

    function testErc6093() public {
        replay(mintRows(5), 1, 5);
        vm.prank(vm.addr(KEY));
        token.finalize();
        eq(bytes32(bytes4(0xe450d38c)), IERC20Errors.ERC20InsufficientBalance.selector, "selector");
        vm.prank(address(0xA));
        vm.expectRevert(abi.encodeWithSelector(bytes4(0xe450d38c), address(0xA), 5, 6));
        token.transfer(address(0xB), 6);
        vm.expectRevert(abi.encodeWithSelector(bytes4(0xfb8f41b2), address(this), 0, 1));
        token.transferFrom(address(0xA), address(0xB), 1);
        vm.expectRevert(abi.encodeWithSelector(bytes4(0xec442f05), address(0)));
        token.transfer(address(0), 0);
    }

    function testErc7802() public pure {
        eq(bytes32(bytes4(0x33331994)), bytes32(type(IERC7802).interfaceId), "id");
        eq(bytes32(bytes4(0x18bf5077)), bytes32(IERC7802.crosschainMint.selector), "mint");
        eq(bytes32(bytes4(0x2b8c49e3)), bytes32(IERC7802.crosschainBurn.selector), "burn");
        eq(
            keccak256("CrosschainMint(address,uint256,address)"),
            IERC7802.CrosschainMint.selector,
            "minted"
        );
        eq(
            keccak256("CrosschainBurn(address,uint256,address)"),
            IERC7802.CrosschainBurn.selector,
            "burned"
        );
    }
}
