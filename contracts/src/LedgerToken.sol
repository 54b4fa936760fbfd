// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {Netting} from "./Netting.sol";
import {Signatures} from "./Signatures.sol";
import {ILedgerToken} from "./interfaces/ILedgerToken.sol";

/// @title LedgerToken
/// @dev ERC20 stays the first base: Netting writes its storage. The ledger's EIP-712 domain names the
/// token and no chain; the one of permits (ERC20Permit) names the chain and this contract.
contract LedgerToken is ILedgerToken, ERC20, ERC20Permit, AccessControl {
    bytes32 private constant BATCH_TYPEHASH = keccak256(
        "Batch(uint64 number,bytes32 parent,uint64 firstSeq,uint32 count,bytes32 entriesRoot,bytes32 rowsHash,uint256 totalSupply,uint64 sealedAt)"
    );
    bytes32 private constant ENTRY_TYPEHASH =
        keccak256("Entry(address from,address to,uint256 value,bytes32 nonce,bytes32 ref)");

    /// @inheritdoc ILedgerToken
    bytes32 public immutable tokenUid;

    bytes32 private immutable _ledgerDomain;
    uint8 private immutable _decimals;

    uint64 private _number;
    uint64 private _nextSeq;

    /// @inheritdoc ILedgerToken
    bool public finalized;

    /// @inheritdoc ILedgerToken
    address public sealer;

    /// @inheritdoc ILedgerToken
    mapping(uint64 number => bytes32) public digestOf;

    /// @param name_ at most 31 bytes, which is what permits allow
    /// @param operator becomes the admin and the first sealer
    /// @dev Independent of the deployer: the deterministic deployment proxy deploys this, with the
    /// token uid as salt.
    constructor(
        string memory name_,
        string memory symbol_,
        uint8 decimals_,
        bytes32 ledgerUid,
        address operator
    ) ERC20(name_, symbol_) ERC20Permit(name_) {
        if (operator == address(0)) revert OperatorZero();
        _decimals = decimals_;
        tokenUid = keccak256(abi.encode(ledgerUid, symbol_, name_, decimals_));
        _ledgerDomain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,bytes32 salt)"),
                keccak256("token_ledger"),
                keccak256("1"),
                tokenUid
            )
        );
        _grantRole(DEFAULT_ADMIN_ROLE, operator);
        _setSealer(operator);
    }

    /// @inheritdoc ILedgerToken
    function replay(Batch calldata header, bytes calldata rows, bytes calldata signature) external {
        if (finalized) revert AlreadyFinalized();
        uint64 number = _number;
        uint64 nextSeq = _nextSeq;
        bytes32 parent = digestOf[number];
        if (header.number != number + 1) revert UnexpectedNumber(number + 1, header.number);
        if (header.parent != parent) revert UnexpectedParent(parent, header.parent);
        if (header.firstSeq != nextSeq) revert UnexpectedFirstSeq(nextSeq, header.firstSeq);
        if (header.count == 0) revert EmptyBatch();
        bytes32 rowsHash = keccak256(rows);
        if (header.rowsHash != rowsHash) revert UnexpectedRowsHash(header.rowsHash, rowsHash);
        bytes32 digest = batchDigest(header);
        if (!Signatures.isValid(sealer, digest, signature)) {
            revert InvalidSignature(sealer, digest);
        }

        _number = number + 1;
        _nextSeq = nextSeq + header.count;
        digestOf[number + 1] = digest;
        uint256 supply = Netting.execute(rows, header.count);
        if (header.totalSupply != supply) revert UnexpectedTotalSupply(header.totalSupply, supply);
        emit BatchReplayed(number + 1, digest, header.entriesRoot, nextSeq, header.count);
    }

    /// @inheritdoc ILedgerToken
    function setSealer(address newSealer) external onlyRole(DEFAULT_ADMIN_ROLE) {
        _setSealer(newSealer);
    }

    /// @inheritdoc ILedgerToken
    function finalize() external onlyRole(DEFAULT_ADMIN_ROLE) {
        if (finalized) revert AlreadyFinalized();
        finalized = true;
        emit Finalized(_number, digestOf[_number]);
    }

    /// @inheritdoc ILedgerToken
    function head() external view returns (uint64 number, bytes32 digest, uint64 nextSeq) {
        return (_number, digestOf[_number], _nextSeq);
    }

    /// @inheritdoc ILedgerToken
    function verifyEntry(Batch calldata header, Entry calldata entry, bytes32[] calldata proof)
        external
        view
        returns (bool)
    {
        if (entry.seq < header.firstSeq || entry.seq - header.firstSeq >= header.count) {
            return false;
        }
        if (
            proof.length < Math.log2(header.count)
                || proof.length > Math.log2(header.count, Math.Rounding.Ceil)
        ) return false;
        bytes32 digest = digestOf[header.number];
        if (digest == 0 || digest != batchDigest(header)) return false;
        return MerkleProof.verifyCalldata(proof, header.entriesRoot, _leaf(entry));
    }

    /// @inheritdoc ILedgerToken
    function batchDigest(Batch calldata header) public view returns (bytes32) {
        return MessageHashUtils.toTypedDataHash(
            _ledgerDomain, keccak256(abi.encode(BATCH_TYPEHASH, header))
        );
    }

    /// @inheritdoc ILedgerToken
    function entryId(Entry calldata entry) public view returns (bytes32) {
        bytes32 structHash = keccak256(
            abi.encode(ENTRY_TYPEHASH, entry.from, entry.to, entry.value, entry.nonce, entry.ref)
        );
        return MessageHashUtils.toTypedDataHash(_ledgerDomain, structHash);
    }

    function decimals() public view override returns (uint8) {
        return _decimals;
    }

    function _leaf(Entry calldata entry) private view returns (bytes32) {
        bytes memory leaf = abi.encode(
            entryId(entry), entry.seq, entry.timestamp, entry.from, entry.to, entry.value
        );
        return keccak256(bytes.concat(keccak256(leaf)));
    }

    function _setSealer(address newSealer) private {
        emit SealerChanged(sealer, newSealer);
        sealer = newSealer;
    }

    /// @dev Every move of balances but `replay`: transfers, and whatever may come to mint or burn.
    function _update(address from, address to, uint256 value) internal override {
        if (!finalized) revert NotFinalized();
        super._update(from, to, value);
    }

    /// @dev Approvals and permits: none may be lying in wait when transfers open.
    function _approve(address owner, address spender, uint256 value, bool emitEvent)
        internal
        override
    {
        if (!finalized) revert NotFinalized();
        super._approve(owner, spender, value, emitEvent);
    }
}
