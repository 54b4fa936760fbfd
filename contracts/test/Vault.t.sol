// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC1155Receiver} from "@openzeppelin/contracts/token/ERC1155/IERC1155Receiver.sol";
import {Errors} from "@openzeppelin/contracts/utils/Errors.sol";
import {IERC165} from "@openzeppelin/contracts/utils/introspection/IERC165.sol";
import {Vault} from "../src/Vault.sol";
import {VaultFactory} from "../src/VaultFactory.sol";
import {IVault} from "../src/interfaces/IVault.sol";
import {IVaultFactory} from "../src/interfaces/IVaultFactory.sol";
import {Badge, Coin, Picture, Target, Wallet} from "./Mocks.sol";
import {Test} from "./Test.sol";

/// @dev Goal: a vault has the address that was foretold, obeys its owner and nobody else.
/// Method: the factory is deployed by the real deployment proxy's code at its real address.
contract VaultTest is Test {
    address internal constant PROXY = 0x4e59b44847b379578588920cA78FbF26c0B4956C;
    bytes internal constant PROXY_CODE = hex"7fffffffffffffffffffffffffffffffffffffffff"
        hex"ffffffffffffffffffffff"
        hex"e03601600081602082378035828234f58015156039578182fd5b8082525050506014600cf3";
    uint256 internal constant OPERATOR_KEY = 0xA11CE;
    uint256 internal constant EXPIRY = 1_000_000;
    bytes32 internal constant SALT = keccak256("account");

    VaultFactory internal factory;
    address internal operator;
    address internal owner = address(0xB0B);
    string internal frozen;

    function setUp() public {
        vm.etch(PROXY, PROXY_CODE);
        frozen = vm.readFile("FROZEN.json");
        (bool ok, bytes memory result) =
            PROXY.call(bytes.concat(bytes32(0), type(VaultFactory).creationCode));
        yes(ok, "proxy");
        factory = VaultFactory(address(bytes20(result)));
        operator = vm.addr(OPERATOR_KEY);
        vm.warp(EXPIRY);
    }

    function testFrozenAddresses() public view {
        eq(
            vm.parseJsonBytes32(frozen, ".factoryInitCodeHash"),
            keccak256(type(VaultFactory).creationCode),
            "factory init code"
        );
        eq(
            vm.parseJsonBytes32(frozen, ".vaultInitCodeHash"),
            keccak256(type(Vault).creationCode),
            "vault init code"
        );
        eq(vm.parseJsonAddress(frozen, ".factory"), address(factory), "factory");
        eq(vm.parseJsonAddress(frozen, ".implementation"), factory.implementation(), "vault");
    }

    function testFrozenExamples() public view {
        for (uint256 i = 0; i < 5; i++) {
            string memory path = string.concat(".examples[", vm.toString(i), "].");
            bytes32 salt = keccak256(
                abi.encode(
                    vm.parseJsonBytes32(frozen, string.concat(path, "ledgerSecret")),
                    "account",
                    vm.parseJsonString(frozen, string.concat(path, "accountId"))
                )
            );
            eq(vm.parseJsonBytes32(frozen, string.concat(path, "salt")), salt, "salt");
            address by = vm.parseJsonAddress(frozen, string.concat(path, "operator"));
            eq(
                vm.parseJsonAddress(frozen, string.concat(path, "address")),
                factory.predict(by, salt),
                "address"
            );
        }
    }

    function testClaimDigestIsTypedData() public view {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256(
                    "EIP712Domain(string name,string version,uint256 chainId,"
                    "address verifyingContract)"
                ),
                keccak256("token_ledger vault"),
                keccak256("1"),
                block.chainid,
                address(factory)
            )
        );
        bytes32 claim = keccak256(
            abi.encode(
                keccak256("Claim(address vault,address owner,uint256 expiry)"),
                address(1),
                owner,
                EXPIRY
            )
        );
        eq(
            keccak256(abi.encodePacked(hex"1901", domain, claim)),
            factory.claimDigest(address(1), owner, EXPIRY),
            "digest"
        );
    }

    function testClaimHandsWhatWasSentBeforeToTheOwner() public {
        Coin coin = new Coin();
        address vault = factory.predict(operator, SALT);
        coin.mint(vault, 7);
        vm.deal(vault, 3 ether);

        bytes memory permission = sign(vault);
        vm.expectEmit();
        emit IVault.OwnershipTransferred(address(0), owner);
        vm.expectEmit();
        emit IVaultFactory.VaultClaimed(vault, operator, owner, SALT);
        eq(vault, factory.claim(operator, SALT, owner, EXPIRY, permission), "vault");

        vm.prank(owner);
        IVault(vault).execute(address(coin), 0, abi.encodeCall(coin.transfer, (address(5), 7)));
        vm.prank(owner);
        IVault(vault).execute(address(6), 3 ether, "");
        eq(7, coin.balanceOf(address(5)), "coins");
        eq(3 ether, address(6).balance, "wei");
    }

    function testClaimByContractOperator() public {
        address wallet = address(new Wallet(operator));
        address vault = factory.predict(wallet, SALT);
        factory.claim(wallet, SALT, owner, EXPIRY, sign(vault));
        eq(owner, IVault(vault).owner(), "owner");
    }

    function testClaimByDelegatedOperatorKey() public {
        vm.etch(operator, abi.encodePacked(hex"ef0100", address(new Target())));
        factory.claim(operator, SALT, owner, EXPIRY, sign(factory.predict(operator, SALT)));
    }

    function testClaimRefusesZeroOwner() public {
        vm.expectRevert(IVaultFactory.OwnerZero.selector);
        factory.claim(operator, SALT, address(0), EXPIRY, "");
    }

    function testClaimRefusesExpired() public {
        bytes memory permission = sign(factory.predict(operator, SALT));
        vm.warp(EXPIRY + 1);
        vm.expectRevert(abi.encodeWithSelector(IVaultFactory.ClaimExpired.selector, EXPIRY));
        factory.claim(operator, SALT, owner, EXPIRY, permission);
    }

    function testClaimRefusesASecondTime() public {
        address vault = claimed();
        bytes memory permission = sign(vault);
        vm.expectRevert(abi.encodeWithSelector(IVaultFactory.AlreadyClaimed.selector, vault));
        factory.claim(operator, SALT, owner, EXPIRY, permission);
    }

    function testClaimRefusesEveryOtherClaim() public {
        bytes memory permission = sign(factory.predict(operator, SALT));
        refuses(vm.addr(2), SALT, owner, EXPIRY, permission);
        refuses(operator, bytes32(0), owner, EXPIRY, permission);
        refuses(operator, SALT, address(0xBAD), EXPIRY, permission);
        refuses(operator, SALT, owner, EXPIRY + 1, permission);
        refuses(operator, SALT, owner, EXPIRY, "");
        refuses(address(0), SALT, owner, EXPIRY, permission);
        refuses(address(0), SALT, owner, EXPIRY, new bytes(65));
        refuses(address(new Wallet(vm.addr(2))), SALT, owner, EXPIRY, permission);
        vm.chainId(block.chainid + 1);
        refuses(operator, SALT, owner, EXPIRY, permission);
    }

    function testClaimRefusesAnotherKey() public {
        bytes32 digest = factory.claimDigest(factory.predict(operator, SALT), owner, EXPIRY);
        refuses(operator, SALT, owner, EXPIRY, signature(2, digest));
    }

    function testInitializeIsTheFactorysAlone() public {
        IVault vault = IVault(claimed());
        vm.expectRevert(abi.encodeWithSelector(IVault.NotFactory.selector, address(this)));
        vault.initialize(address(this));
        vm.prank(address(factory));
        vm.expectRevert(abi.encodeWithSelector(IVault.AlreadyInitialized.selector, owner));
        vault.initialize(address(this));
    }

    function testImplementationIsUnusable() public {
        IVault vault = IVault(factory.implementation());
        eq(address(0), vault.owner(), "owner");
        eq(address(factory), vault.factory(), "factory");
        vm.expectRevert(abi.encodeWithSelector(IVault.NotFactory.selector, address(this)));
        vault.initialize(address(this));
        vm.expectRevert(abi.encodeWithSelector(IVault.NotOwner.selector, address(this)));
        vault.execute(address(5), 0, "");
    }

    function testExecuteReturnsAndBubbles() public {
        Target target = new Target();
        IVault vault = IVault(claimed());
        vm.deal(owner, 2);
        vm.prank(owner);
        bytes memory result =
            vault.execute{value: 2}(address(target), 2, abi.encodeCall(target.echo, 9));
        eq(abi.encode(9, 2), result, "result");

        vm.prank(owner);
        vm.expectRevert(abi.encodeWithSelector(Target.Refused.selector, 4));
        vault.execute(address(target), 0, abi.encodeCall(target.refuse, 4));
        vm.prank(owner);
        vm.expectRevert(Errors.FailedCall.selector);
        vault.execute(address(target), 0, abi.encodeCall(target.refuseSilently, ()));
    }

    function testOnlyTheOwnerCommands(address stranger) public {
        vm.assume(stranger != owner);
        IVault vault = IVault(claimed());
        bytes memory refusal = abi.encodeWithSelector(IVault.NotOwner.selector, stranger);
        vm.prank(stranger);
        vm.expectRevert(refusal);
        vault.execute(address(5), 0, "");
        vm.prank(stranger);
        vm.expectRevert(refusal);
        vault.transferOwnership(stranger);
    }

    function testOwnershipPassesInTwoSteps() public {
        IVault vault = IVault(claimed());
        vm.prank(owner);
        vault.transferOwnership(address(7));
        eq(owner, vault.owner(), "still the owner");

        vm.prank(address(8));
        vm.expectRevert(abi.encodeWithSelector(IVault.NotPendingOwner.selector, address(8)));
        vault.acceptOwnership();

        vm.prank(address(7));
        vm.expectEmit();
        emit IVault.OwnershipTransferred(owner, address(7));
        vault.acceptOwnership();
        eq(address(7), vault.owner(), "owner");
        eq(address(0), vault.pendingOwner(), "pending");

        vm.prank(address(7));
        vm.expectRevert(abi.encodeWithSelector(IVault.NotPendingOwner.selector, address(7)));
        vault.acceptOwnership();
    }

    function testOfferIsWithdrawn() public {
        IVault vault = IVault(claimed());
        vm.prank(owner);
        vault.transferOwnership(address(7));
        vm.prank(owner);
        vault.transferOwnership(address(0));
        vm.prank(address(7));
        vm.expectRevert(abi.encodeWithSelector(IVault.NotPendingOwner.selector, address(7)));
        vault.acceptOwnership();
    }

    function testReceivesEverything() public {
        address vault = claimed();
        new Picture().mint(vault, 1);
        uint256[] memory ones = new uint256[](1);
        ones[0] = 1;
        new Badge().mint(vault, ones, ones);
        (bool ok,) = vault.call{value: 1}("");
        yes(ok, "wei");
        yes(IERC165(vault).supportsInterface(type(IERC165).interfaceId), "ERC-165");
        yes(IERC165(vault).supportsInterface(type(IERC1155Receiver).interfaceId), "ERC-1155");
    }

    function testEveryOperatorAndSaltHasItsOwnVault(address by, bytes32 salt) public view {
        vm.assume(by != operator && salt != SALT);
        address vault = factory.predict(operator, SALT);
        yes(vault != factory.predict(by, SALT), "operator");
        yes(vault != factory.predict(operator, salt), "salt");
    }

    function claimed() internal returns (address vault) {
        vault = factory.predict(operator, SALT);
        factory.claim(operator, SALT, owner, EXPIRY, sign(vault));
    }

    function sign(address vault) internal view returns (bytes memory) {
        return signature(OPERATOR_KEY, factory.claimDigest(vault, owner, EXPIRY));
    }

    function refuses(address by, bytes32 salt, address to, uint256 expiry, bytes memory permission)
        internal
    {
        bytes32 digest = factory.claimDigest(factory.predict(by, salt), to, expiry);
        vm.expectRevert(
            abi.encodeWithSelector(IVaultFactory.InvalidSignature.selector, by, digest)
        );
        factory.claim(by, salt, to, expiry, permission);
    }
}
