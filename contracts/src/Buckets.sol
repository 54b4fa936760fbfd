// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @title Buckets: limits to an amount at once and to a rate, in one
/// @dev A bucket holds `capacity` at most and regains `refill` every second; two words of storage.
library Buckets {
    struct Bucket {
        uint128 capacity;
        uint128 refill;
        uint128 level;
        uint64 updatedAt;
    }

    /// @dev What the bucket holds at this moment. Cannot overflow: 2^128 + 2^128 × 2^64 < 2^256.
    function available(Bucket storage bucket) internal view returns (uint256) {
        uint256 elapsed = block.timestamp - bucket.updatedAt;
        return Math.min(bucket.capacity, bucket.level + uint256(bucket.refill) * elapsed);
    }

    /// @dev Another size and rate: a closed bucket begins full, an open one keeps what it holds.
    function set(Bucket storage bucket, uint128 capacity, uint128 refill) internal {
        uint256 held = bucket.capacity == 0 ? capacity : available(bucket);
        bucket.capacity = capacity;
        bucket.refill = refill;
        _fill(bucket, Math.min(capacity, held));
    }

    /// @dev Take `value`, of which there is enough: the caller has looked.
    function take(Bucket storage bucket, uint256 value) internal {
        _fill(bucket, available(bucket) - value);
    }

    /// @dev No level exceeds the capacity, which has 128 bits; the time has 64 for ever.
    function _fill(Bucket storage bucket, uint256 level) private {
        bucket.level = uint128(level);
        bucket.updatedAt = uint64(block.timestamp);
    }
}
