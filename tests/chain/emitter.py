"""A contract that says whatever it is told to: Transfer logs without any balances behind them.

For tests that need many logs quickly, in blocks of their choosing, and no token.
"""

from __future__ import annotations

from collections.abc import Sequence

from token_ledger.chain.contracts import TRANSFER_TOPIC
from token_ledger.chain.rpc import Rpc

# For every 64 bytes of calldata, `to` and `value`: LOG3(value; Transfer, caller, to).
_LOOP = "5f5b3681106015603e57806020013581565f52"  # placeholder, assembled below
_RUNTIME = (
    "5f"  # i = 0
    "5b"  # loop:
    "368110" "15" "603e" "57"  # unless i < calldatasize: end
    "80602001" "35" "5f52"  # memory[0] = calldata[i + 32], the value
    "8035" "33" f"7f{TRANSFER_TOPIC.hex()}"  # calldata[i], caller, topic
    "6020" "5f" "a3"  # LOG3
    "604001" "600156"  # i += 64; loop
    "5b00"  # end: stop
)
_INIT = "604080600" "95f395ff3"
