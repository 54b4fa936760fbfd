"""A node that has everything ready: a process of its own that serves prepared logs and headers.

`python -m benchmarks.log_server BLOCKS LOGS_PER_BLOCK` prints its port and answers until its
standard input ends. Answers are joined from bytes made beforehand, so that it is never the slow
side. All requests are kept; `GET /` returns the bodies asked since the last GET, to ask them again.
"""

from __future__ import annotations

import random
import socketserver
import sys
import threading
from typing import Any

import orjson

ADDRESS = bytes.fromhex("c0" * 20)
_TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
HOLDERS = 5_000


def block_hash(number: int) -> str:
    """Return the hash that a block is said to have."""
    return f"0x{number + 1:064x}"


class Chain:
    """The prepared answers, per block."""

    def __init__(self, blocks: int, logs_per_block: int) -> None:
        dice = random.Random(7)
        holders = [f"0x{dice.getrandbits(160):064x}" for _ in range(HOLDERS)]
        address = "0x" + ADDRESS.hex()
        self.head = blocks - 1
        self.logs: list[bytes] = []
        for number in range(blocks):
            block = []
            for index in range(logs_per_block):
                log = {
                    "address": address,
                    "topics": [_TRANSFER, dice.choice(holders), dice.choice(holders)],
                    "data": f"0x{dice.getrandbits(80):064x}",
                    "blockHash": block_hash(number),
                    "blockNumber": hex(number),
                    "blockTimestamp": hex(1_600_000_000 + 12 * number),
                    "transactionHash": f"0x{dice.getrandbits(256):064x}",
                    "transactionIndex": hex(index),
                    "logIndex": hex(index),
                    "removed": False,
                }
                block.append(orjson.dumps(log))
            self.logs.append(b",".join(block))

    def result(self, method: str, params: list[Any]) -> bytes:
        """Return the JSON of a result."""
        if method == "eth_getLogs":
            query = params[0]
            if "blockHash" in query:
                low = high = int(query["blockHash"], 16) - 1
            else:
                low, high = int(query["fromBlock"], 16), int(query["toBlock"], 16)
            return b"[" + b",".join(self.logs[low : high + 1]) + b"]"
        if method == "eth_getBlockByNumber":
            number = int(params[0], 16)
            return orjson.dumps(
                {
                    "number": hex(number),
                    "hash": block_hash(number),
                    "parentHash": block_hash(number - 1),
                    "timestamp": hex(1_600_000_000 + 12 * number),
                    "logsBloom": "0x" + "00" * 256,
                    "transactions": [],
                }
            )
        return {"eth_chainId": b'"0x1"', "eth_blockNumber": orjson.dumps(hex(self.head))}.get(
            method, b'"0x6001"'
        )


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        server: _Server = self.server  # type: ignore[assignment]
        while line := self.rfile.readline():
            length = 0
            while (header := self.rfile.readline()) not in (b"\r\n", b""):
                if header.lower().startswith(b"content-length:"):
                    length = int(header.split(b":")[1])
            body = self.rfile.read(length)
            if line.startswith(b"GET"):
                asked, server.asked = server.asked, []
                answer = orjson.dumps([part.decode() for part in asked])
            else:
                server.asked.append(body)
                answer = self._answer(server.chain, orjson.loads(body))
            head = (
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            )
            self.wfile.write(head % len(answer) + answer)

    def _answer(self, chain: Chain, request: Any) -> bytes:
        if isinstance(request, list):
            return b"[" + b",".join(self._one(chain, call) for call in request) + b"]"
        return self._one(chain, request)

    def _one(self, chain: Chain, call: dict[str, Any]) -> bytes:
        result = chain.result(call["method"], call["params"])
        return b'{"jsonrpc":"2.0","id":%d,"result":%s}' % (call["id"], result)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.asked: list[bytes] = []
        super().__init__(("127.0.0.1", 0), _Handler)


def main() -> None:
    """Serve until standard input ends."""
    server = _Server(Chain(int(sys.argv[1]), int(sys.argv[2])))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
