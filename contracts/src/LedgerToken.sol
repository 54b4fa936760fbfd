// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

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
    function replay(Batch calldata header, bytes calldata rows, bytes calldata signature) external {
        _replay(header, rows, signature, header.count);
    }

    /// @inheritdoc ILedgerToken
    function replayPart(
        Batch calldata header,
        bytes calldata rows,
        bytes calldata signature,
        uint32 rowsMax
    ) external {
        if (rowsMax == 0) revert EmptyPart();
        _replay(header, rows, signature, rowsMax);
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

    function _replay(
        Batch calldata header,
        bytes calldata rows,
        bytes calldata signature,
        uint32 rowsMax
    ) private {
        if (finalized) revert AlreadyFinalized();
        _checkNext(header);
        bytes32 rowsHash = keccak256(rows);
        if (header.rowsHash != rowsHash) revert UnexpectedRowsHash(header.rowsHash, rowsHash);
        bytes32 digest = batchDigest(header);
        _checkSealer(digest, signature);

        uint32 done = _rowsDone;
        if (done != 0 && digest != _openDigest) revert UnexpectedDigest(_openDigest, digest);
        uint32 left = header.count - done;
        if (rowsMax < left) {
            if (done == 0) {
                _openDigest = digest;
                _checkSupply(header, Netting.rehearse(rows, header.count, 0, header.count));
            }
            _rowsDone = done + rowsMax;
            Netting.execute(rows, header.count, done, rowsMax);
            emit BatchPartReplayed(header.number, digest, header.firstSeq + done, rowsMax);
        } else {
            _rowsDone = 0;
            _store(header, digest);
            _checkSupply(header, Netting.execute(rows, header.count, done, left));
            if (done != 0) {
                emit BatchPartReplayed(header.number, digest, header.firstSeq + done, left);
            }
            emit BatchReplayed(
                header.number, digest, header.entriesRoot, header.firstSeq, header.count
            );
        }
    }

    function _checkSupply(Batch calldata header, uint256 supply) private pure {
        if (header.totalSupply != supply) revert UnexpectedTotalSupply(header.totalSupply, supply);
    }
}
