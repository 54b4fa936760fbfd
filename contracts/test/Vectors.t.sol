// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {LedgerToken} from "../src/LedgerToken.sol";
import {IHeaderChain} from "../src/interfaces/IHeaderChain.sol";
import {Test} from "./Test.sol";

/// @dev Cheatcodes that only this test needs.
interface VmJson {
    function keyExistsJson(string calldata json, string calldata key) external view returns (bool);
    function parseJsonAddressArray(string calldata json, string calldata key)
        external
        pure
        returns (address[] memory);
    function parseJsonBytes(string calldata json, string calldata key)
        external
        pure
        returns (bytes memory);
    function parseJsonUintArray(string calldata json, string calldata key)
        external
        pure
        returns (uint256[] memory);
}

/// @dev Goal: the contract says of the project's own vectors (../tests/vectors, which Python and
/// JavaScript read too) what they say of themselves. Method: replay each history, then ask.
contract VectorsTest is Test {
    VmJson internal constant json = VmJson(address(vm));

    string internal batches = vm.readFile("../tests/vectors/batches.json");
    string internal proofs = vm.readFile("../tests/vectors/proofs.json");

    function testSmallHistory() public {
        checkHistory("small", 9);
    }

    function testHistoryAtTheBounds() public {
        checkHistory("extremes", 4);
    }

    function testHistoryOfManyHolders() public {
        checkHistory("many", 1);
    }

    function testEveryGoodProofHolds() public {
        yes(checkProofs(".valid", true) > 20, "number of proofs");
    }

    function testNoForgedProofHolds() public {
        yes(checkProofs(".invalid", false) > 20, "number of forgeries");
    }

    function checkHistory(string memory name, uint256 count) internal {
        string memory chain = string.concat(".chains.", name);
        LedgerToken token = replayed(name);
        (uint64 number, bytes32 digest,) = token.head();
        eq(count, number, "number of batches");
        string memory last = item(string.concat(chain, ".batches"), count - 1);
        eq(vm.parseJsonBytes32(batches, string.concat(last, ".digest")), digest, "head");
        eq(
            vm.parseJsonUint(batches, string.concat(chain, ".totalSupply")),
            token.totalSupply(),
            "supply"
        );
        address[] memory holders =
            json.parseJsonAddressArray(batches, string.concat(chain, ".holders"));
        uint256[] memory balances =
            json.parseJsonUintArray(batches, string.concat(chain, ".balances"));
        for (uint256 i = 0; i < holders.length; i++) {
            eq(balances[i], token.balanceOf(holders[i]), "balance");
        }
        for (uint256 i = 0; i < count; i++) {
            checkEntries(token, item(string.concat(chain, ".batches"), i));
        }
    }

    function checkEntries(LedgerToken token, string memory batch) internal view {
        IHeaderChain.Batch memory header = headerAt(batches, batch);
        string memory list = string.concat(batch, ".proofs");
        for (uint256 i = 0; json.keyExistsJson(batches, item(list, i)); i++) {
            string memory proof = item(list, i);
            IHeaderChain.Entry memory entry = entryAt(batches, proof);
            uint256 place = vm.parseJsonUint(batches, string.concat(proof, ".place"));
            string memory id = string.concat(item(string.concat(batch, ".entries"), place), ".id");
            eq(vm.parseJsonBytes32(batches, id), token.entryId(entry), "id");
            yes(token.verifyEntry(header, entry, pathAt(batches, proof)), "proof");
        }
    }

    function checkProofs(string memory list, bool expected) internal returns (uint256 checked) {
        LedgerToken small = replayed("small");
        LedgerToken many = replayed("many");
        for (uint256 i = 0; json.keyExistsJson(proofs, item(list, i)); i++) {
            string memory call = string.concat(item(list, i), ".verifyEntry");
            if (!json.keyExistsJson(proofs, string.concat(call, ".chain"))) continue;
            string memory chain = vm.parseJsonString(proofs, string.concat(call, ".chain"));
            LedgerToken token = keccak256(bytes(chain)) == keccak256("small") ? small : many;
            bool held = token.verifyEntry(
                headerAt(proofs, call), entryAt(proofs, call), pathAt(proofs, call)
            );
            string memory name = vm.parseJsonString(proofs, string.concat(item(list, i), ".name"));
            if (expected) yes(held, name);
            else no(held, name);
            checked++;
        }
    }

    function replayed(string memory name) internal returns (LedgerToken token) {
        string memory chain = string.concat(".chains.", name);
        token = new LedgerToken(
            vm.parseJsonString(batches, string.concat(chain, ".name")),
            vm.parseJsonString(batches, string.concat(chain, ".symbol")),
            uint8(vm.parseJsonUint(batches, string.concat(chain, ".decimals"))),
            vm.parseJsonBytes32(batches, string.concat(chain, ".ledgerUid")),
            vm.parseJsonAddress(batches, string.concat(chain, ".sealer"))
        );
        bytes32 uid = vm.parseJsonBytes32(batches, string.concat(chain, ".tokenUid"));
        eq(uid, token.tokenUid(), "uid");
        string memory list = string.concat(chain, ".batches");
        for (uint256 i = 0; json.keyExistsJson(batches, item(list, i)); i++) {
            string memory batch = item(list, i);
            IHeaderChain.Batch memory header = headerAt(batches, batch);
            eq(
                vm.parseJsonBytes32(batches, string.concat(batch, ".digest")),
                token.batchDigest(header),
                "digest"
            );
            token.replay(
                header,
                json.parseJsonBytes(batches, string.concat(batch, ".rows")),
                json.parseJsonBytes(batches, string.concat(batch, ".signature"))
            );
        }
    }

    function headerAt(string memory file, string memory path)
        internal
        pure
        returns (IHeaderChain.Batch memory)
    {
        bytes memory encoded = json.parseJsonBytes(file, string.concat(path, ".headerEncoded"));
        return abi.decode(encoded, (IHeaderChain.Batch));
    }

    function entryAt(string memory file, string memory path)
        internal
        pure
        returns (IHeaderChain.Entry memory)
    {
        bytes memory encoded = json.parseJsonBytes(file, string.concat(path, ".entryEncoded"));
        return abi.decode(encoded, (IHeaderChain.Entry));
    }

    function pathAt(string memory file, string memory path)
        internal
        pure
        returns (bytes32[] memory)
    {
        return vm.parseJsonBytes32Array(file, string.concat(path, ".path"));
    }

    function item(string memory list, uint256 i) internal pure returns (string memory) {
        return string.concat(list, "[", vm.toString(i), "]");
    }
}
