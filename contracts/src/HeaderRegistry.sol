// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {HeaderChain} from "./HeaderChain.sol";
import {IHeaderRegistry} from "./interfaces/IHeaderRegistry.sol";

/// @title HeaderRegistry
/// @dev One per token uid and operator, which its address depends on: nobody else's headers can get
/// in the way, and it answers what a LedgerToken answers about headers and entries.
contract HeaderRegistry is HeaderChain, IHeaderRegistry {
    /// @param operator becomes the admin and the first sealer
    constructor(bytes32 tokenUid_, address operator) HeaderChain(tokenUid_, operator) {
        if (tokenUid_ == 0) revert TokenUidZero();
    }

    /// @inheritdoc IHeaderRegistry
    function anchor(Batch[] calldata headers, bytes calldata signature) external {
        if (headers.length == 0) revert EmptyBatch();
        for (uint256 i = 0; i < headers.length; i++) {
            Batch calldata header = headers[i];
            (uint64 number, uint64 firstSeq) = _checkNext(header);
            bytes32 digest = batchDigest(header);
            _store(number, digest, firstSeq + header.count);
            emit HeaderAnchored(number, digest, header.entriesRoot, firstSeq, header.count);
        }
        (, bytes32 last,) = head();
        _checkSealer(last, signature);
    }
}
