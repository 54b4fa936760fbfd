// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {Netting} from "./Netting.sol";
import {OnchainToken} from "./OnchainToken.sol";
import {ILedgerToken} from "./interfaces/ILedgerToken.sol";

/// @title LedgerToken
/// @dev One ERC-20 per token: replays sealed batches, then an ordinary token.
contract LedgerToken is OnchainToken, ILedgerToken {
    /// @dev Rows of the open batch that were executed; zero while none is open. In the head's slot.
    uint32 private _rowsDone;

    /// @dev The open batch, while there is one; any value otherwise.
    bytes32 private _openDigest;

    constructor(
        string memory name_,
        string memory symbol_,
        uint8 decimals_,
        bytes32 ledgerUid,
        address operator
    ) OnchainToken(name_, symbol_, decimals_, ledgerUid, operator) {}

    /// @inheritdoc ILedgerToken
    function replay(Batch calldata header, bytes calldata rows, bytes calldata signature)
        external
    {
        bytes32 digest = _check(header, rows, signature);
        _replay(header, digest, rows, header.count);
    }

    /// @inheritdoc ILedgerToken
    function replayPart(
        Batch calldata header,
        bytes calldata rows,
        bytes calldata signature,
        uint32 rowsMax
    ) external {
        bytes32 digest = _check(header, rows, signature);
        if (rowsMax == 0) revert EmptyPart();
        if (_rowsDone == 0 && rowsMax < header.count) {
            _openDigest = digest;
            _checkSupply(header, Netting.rehearse(rows, header.count, 0, header.count));
        }
        _replay(header, digest, rows, rowsMax);
    }

    /// @inheritdoc ILedgerToken
    function finalize() external onlyRole(DEFAULT_ADMIN_ROLE) {
        if (_rowsDone != 0) revert BatchIsOpen(_openDigest);
        _finalize();
    }

    /// @inheritdoc ILedgerToken
    function openBatch() external view returns (bytes32 digest, uint32 rowsDone) {
        if (_rowsDone != 0) return (_openDigest, _rowsDone);
    }

    /// @dev Refuse everything but the next batch, of which only balances are not looked at.
    function _check(Batch calldata header, bytes calldata rows, bytes calldata signature)
        private
        view
        returns (bytes32 digest)
    {
        if (finalized) revert AlreadyFinalized();
        _checkNext(header);
        bytes32 rowsHash = keccak256(rows);
        if (header.rowsHash != rowsHash) revert UnexpectedRowsHash(header.rowsHash, rowsHash);
        digest = batchDigest(header);
        _checkSealer(digest, signature);
    }

    /// @dev Execute the next rows of a batch that was checked, `rowsMax` or what is left.
    function _replay(Batch calldata header, bytes32 digest, bytes calldata rows, uint256 rowsMax)
        private
    {
        uint32 count = header.count;
        uint256 done = _rowsDone;
        if (done != 0 && digest != _openDigest) revert UnexpectedDigest(_openDigest, digest);
        uint256 n = Math.min(rowsMax, count - done);
        uint256 supply = Netting.execute(rows, count, done, n);

        (uint64 number, uint64 firstSeq) = (header.number, header.firstSeq);
        if (n < count) {
            bool more = done + n < count;
            _rowsDone = more ? uint32(done + n) : 0;
            emit BatchPartReplayed(number, digest, firstSeq + uint64(done), uint32(n));
            if (more) return;
        }
        _checkSupply(header, supply);
        _store(number, digest, firstSeq + count);
        emit BatchReplayed(number, digest, header.entriesRoot, firstSeq, count);
    }

    function _checkSupply(Batch calldata header, uint256 supply) private pure {
        if (header.totalSupply != supply) {
            revert UnexpectedTotalSupply(header.totalSupply, supply);
        }
    }
}
