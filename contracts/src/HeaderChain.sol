// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {Signatures} from "./Signatures.sol";
import {IHeaderChain} from "./interfaces/IHeaderChain.sol";

/// @title HeaderChain
/// @dev The ledger's EIP-712 domain names the token and no chain: a header is signed once, wherever
/// it is stored. The head comes last in storage, so that what derives can share its slot.
abstract contract HeaderChain is AccessControl, IHeaderChain {
    bytes32 private constant BATCH_TYPEHASH = keccak256(
        "Batch(uint64 number,bytes32 parent,uint64 firstSeq,uint32 count,bytes32 entriesRoot,"
        "bytes32 rowsHash,uint256 totalSupply,uint64 sealedAt)"
    );
    bytes32 private constant ENTRY_TYPEHASH =
        keccak256("Entry(address from,address to,uint256 value,bytes32 nonce,bytes32 ref)");

    /// @dev Precompiles and system contracts of the chains that we know of lie below.
    uint160 private constant FIRST_ORDINARY_ADDRESS = 1 << 16;

    /// @inheritdoc IHeaderChain
    bytes32 public immutable tokenUid;

    bytes32 private immutable _ledgerDomain;

    /// @inheritdoc IHeaderChain
    address public sealer;

    /// @inheritdoc IHeaderChain
    mapping(uint64 number => bytes32) public digestOf;

    uint64 private _number;
    uint64 private _nextSeq;

    /// @param operator becomes the admin and the first sealer
    constructor(bytes32 tokenUid_, address operator) {
        if (operator == address(0)) revert OperatorZero();
        tokenUid = tokenUid_;
        _ledgerDomain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,bytes32 salt)"),
                keccak256("token_ledger"),
                keccak256("1"),
                tokenUid_
            )
        );
        _grantRole(DEFAULT_ADMIN_ROLE, operator);
        _setSealer(operator);
    }

    /// @inheritdoc IHeaderChain
    function setSealer(address newSealer) external onlyRole(DEFAULT_ADMIN_ROLE) {
        _setSealer(newSealer);
    }

    /// @inheritdoc IHeaderChain
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

    /// @inheritdoc IHeaderChain
    function head() public view returns (uint64 number, bytes32 digest, uint64 nextSeq) {
        return (_number, digestOf[_number], _nextSeq);
    }

    /// @inheritdoc IHeaderChain
    function batchDigest(Batch calldata header) public view returns (bytes32) {
        return _typedDigest(keccak256(abi.encode(BATCH_TYPEHASH, header)));
    }

    /// @inheritdoc IHeaderChain
    function entryId(Entry calldata entry) public view returns (bytes32) {
        return _typedDigest(
            keccak256(
                abi.encode(
                    ENTRY_TYPEHASH, entry.from, entry.to, entry.value, entry.nonce, entry.ref
                )
            )
        );
    }

    /// @dev Refuse a header that is not the one behind the head. Returns its number and first
    /// `seq`.
    function _checkNext(Batch calldata header)
        internal
        view
        returns (uint64 number, uint64 firstSeq)
    {
        bytes32 parent;
        (number, parent, firstSeq) = head();
        number++;
        if (header.number != number) revert UnexpectedNumber(number, header.number);
        if (header.parent != parent) revert UnexpectedParent(parent, header.parent);
        if (header.firstSeq != firstSeq) revert UnexpectedFirstSeq(firstSeq, header.firstSeq);
        if (header.count == 0) revert EmptyBatch();
    }

    /// @dev Refuse a signature that is not the sealer's.
    function _checkSealer(bytes32 digest, bytes calldata signature) internal view {
        if (!Signatures.isValid(sealer, digest, signature)) {
            revert InvalidSignature(sealer, digest);
        }
    }

    /// @dev Make a header the head; the caller has checked it.
    function _store(uint64 number, bytes32 digest, uint64 nextSeq) internal {
        _number = number;
        _nextSeq = nextSeq;
        digestOf[number] = digest;
    }

    function _typedDigest(bytes32 structHash) internal view returns (bytes32) {
        return MessageHashUtils.toTypedDataHash(_ledgerDomain, structHash);
    }

    function _leaf(Entry calldata entry) private view returns (bytes32) {
        bytes memory leaf = abi.encode(
            entryId(entry), entry.seq, entry.timestamp, entry.from, entry.to, entry.value
        );
        return keccak256(bytes.concat(keccak256(leaf)));
    }

    function _setSealer(address newSealer) private {
        bool ordinary = uint160(newSealer) >= FIRST_ORDINARY_ADDRESS && newSealer != address(this);
        if (!ordinary && newSealer != address(0)) revert InvalidSealer(newSealer);
        emit SealerChanged(sealer, newSealer);
        sealer = newSealer;
    }
}
