"""How nodes and providers word a refusal: each text as it was answered, with its code.

Gathered from public issue threads, clients' sources and indexers' tests (ponder, HyperIndex,
graph-node, rindexer, foundry). `core.limits` must understand every one; the fault-injecting proxy
answers with them. A new wording seen in the field is one more line here.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Wording:
    """`blocks` is what the text suggests, `lasting` that it is the node's rule."""

    who: str
    kind: str
    code: int
    text: str
    blocks: int | None = None
    lasting: bool = False
    status: int = 200


def _range(who: str, code: int, text: str, blocks: int | None = None, status: int = 200) -> Wording:
    return Wording(who, "range", code, text, blocks, blocks is not None, status)


ALCHEMY_SIZE = (
    "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range and "
    "no limit on the response size, or you can request any block range with a cap of 10K logs in "
    "the response."
)

RANGE = [
    _range(
        "Alchemy",
        -32600,
        "You can make eth_getLogs requests with up to a 500 block range. Based on your parameters, "
        "this block range should work: [0x123c9b2, 0x123cba5]",
        500,
    ),
    _range(
        "Alchemy free",
        -32600,
        "Under the Free tier plan, you can make eth_getLogs requests with up to a 10 block range. "
        "Based on your parameters, this block range should work: [0x123c9b2, 0x123c9bb]. Upgrade "
        "to PAYG for expanded block range.",
        10,
    ),
    _range("Infura", -32602, "range 1000000 exceeds limit of 10000", 10_000),
    _range("QuickNode", -32614, "eth_getLogs is limited to a 10,000 range", 10_000),
    _range(
        "QuickNode 413",
        -32602,
        "eth_getLogs and eth_newFilter are limited to a 10,000 blocks range",
        10_000,
        413,
    ),
    _range("QuickNode discover", -32615, "eth_getLogs is limited to a 5 range", 5),
    _range("Ankr", -32600, "block range is too wide"),
    _range("Ankr TAC", -32000, "maximum [from, to] blocks distance: 10000", 10_000),
    _range(
        "Chainstack",
        -32005,
        "Block range limit exceeded. See more details at "
        "https://docs.chainstack.com/docs/limits#evm-range-limits",
    ),
    _range(
        "Cloudflare",
        -32047,
        "Invalid eth_getLogs request. 'fromBlock'-'toBlock' range too large. Max range: 800",
        800,
    ),
    _range("thirdweb", -32005, "Maximum allowed number of requested blocks is 1000", 1_000),
    _range(
        "BlockPI",
        -32602,
        "eth_getLogs is limited to 1024 block range. Please check the parameter requirements at "
        "https://docs.blockpi.io/documentations/api-reference",
        1_024,
    ),
    _range("1RPC", -32000, "eth_getLogs is limited to 0 - 10000 blocks range", 10_000),
    _range("dRPC", 35, "ranges over 10000 blocks are not supported on freetier", 10_000),
    _range("PublicNode", -32701, "exceed maximum block range: 50000", 50_000),
    _range("BNB Chain", -32000, "exceed maximum block range: 5000", 5_000),
    _range("Merkle", -32603, "eth_getLogs range is too large, max is 1k blocks", 1_000),
    _range("Coinbase", -32602, "please limit the query to at most 1,000 blocks", 1_000),
    _range("Base", -32614, "block range too large"),
    _range("Optimism", -32000, "Block range is too large"),
    _range("Blast", -32600, "exceeds the range allowed for your plan (5000 > 3000)", 3_000),
    _range(
        "Avalanche",
        -32000,
        "requested too many blocks from 100 to 10000, maximum is set to 2048",
        2_048,
    ),
    _range("Reth", -32602, "query exceeds max block range 100000", 100_000),
    _range("Besu", -32005, "Requested range exceeds maximum RPC range limit"),
    _range(
        "Erigon",
        -32000,
        "query block range exceeds server limit, narrow your filter: 1000",
        1_000,
    ),
    _range("op-geth", -32000, "block range greater than 10000 max", 10_000),
    _range("Scroll", -32000, "block range is bigger than maxBlockRange"),
    _range("Moonbeam", -32603, "block range is too wide (maximum 1024)", 1_024),
    _range("Harmony", -32000, "query must be smaller than size 1024", 1_024),
    _range("Somnia", -32000, "block range exceeds 1000", 1_000),
    _range("Sei", -32000, "block range too large (2000), maximum allowed is 1000 blocks", 1_000),
    _range("Candle", -32600, "block range too high"),
    _range("Arc", -32012, "requested range too large"),
    _range("Filecoin", -32000, "block range 4000 is greater than the limit of 2880", 2_880),
]

RESULTS = [
    Wording(
        "Infura",
        "results",
        -32005,
        "query returned more than 10000 results. Try with this block range [0xBDE5F8, 0xBDE6FF].",
        264,
    ),
    Wording("zkEVM", "results", -32005, "query returned more than 10000 results"),
    Wording(
        "Reth",
        "results",
        -32602,
        "query exceeds max results 20000, retry with the range 6000000-6000509",
        510,
    ),
    Wording(
        "Arc",
        "results",
        -32602,
        "request exceeded max allowed range: query exceeds max results 2000, retry with the range "
        "64862334-64862849",
        516,
    ),
    Wording("LlamaRPC", "results", -32602, "query exceeds max results 20000"),
    Wording("Arbitrum", "results", -32000, "logs matched by query exceeds limit of 10000"),
    Wording("Erigon", "results", -32000, "query returns too many logs, narrow your filter: 20000"),
    Wording("HyperRPC", "results", -32000, "More than 50000 logs returned"),
    Wording(
        "Nethermind",
        "results",
        -32005,
        "Too many logs requested. Max logs per response is 20000.",
    ),
    Wording("EIP-1474", "results", -32005, "Limit exceeded"),
]

RESPONSE = [
    Wording(
        "Alchemy",
        "response",
        -32602,
        f"{ALCHEMY_SIZE} Based on your parameters and the response size limit, this block range "
        "should work: [0x0, 0xd043b8]",
        0xD043B9,
    ),
    Wording("Alchemy without a range", "response", -32602, ALCHEMY_SIZE, 2_000),
    Wording(
        "Alchemy of old",
        "response",
        -32602,
        "Log response size exceeded. Please reduce query block range.",
    ),
    Wording("Optimism", "response", -32020, "backend response too large"),
    Wording("1RPC", "response", -32000, "response size should not greater than 10000000 bytes"),
    Wording("geth", "response", -32003, "response too large"),
    Wording("jsonrpsee", "response", -32008, "Response is too big"),
    Wording("a proxy", "response", 0, "<html>413 Request Entity Too Large</html>", status=413),
]

TIMEOUT = [
    Wording(
        "Alchemy",
        "timeout",
        -32000,
        "Query timeout exceeded. Consider reducing your block range.",
    ),
    Wording("Infura", "timeout", -32005, "query timeout of 10 seconds exceeded"),
    Wording("geth", "timeout", -32002, "request timed out"),
    Wording("Erigon", "timeout", -32000, "context deadline exceeded"),
    Wording(
        "dRPC",
        "timeout",
        30,
        "Request timeout on the free tier, please upgrade your tier to the paid one",
    ),
    Wording("Nethermind", "timeout", -32000, "Request was canceled due to enabled timeout."),
    Wording("a gateway", "timeout", 0, "upstream request failed", status=504),
]

RATE = [
    Wording(
        "Infura", "rate", -32005, "daily request count exceeded, request rate limited", status=429
    ),
    Wording("Infura of old", "rate", -32005, "project ID request rate exceeded", status=429),
    Wording(
        "Alchemy",
        "rate",
        429,
        "Your app has exceeded its compute units per second capacity. If you have retries enabled, "
        "you can safely ignore this message.",
        status=429,
    ),
    Wording(
        "QuickNode",
        "rate",
        -32007,
        "50/second request limit reached - reduce calls per second or upgrade your account",
        status=429,
    ),
    Wording("QuickNode credits", "rate", -32012, "credits limited to 6000/sec"),
    Wording("Base", "rate", -32016, "over rate limit", status=429),
    Wording(
        "Ankr", "rate", -32029, "Too many requests, reason: call rate limit exhausted, retry in 10s"
    ),
    Wording("Tenderly", "rate", -32005, "rate limit exceeded"),
    Wording(
        "Chainstack", "rate", -32005, "You've exceeded the RPS limit available on the current plan."
    ),
    Wording(
        "Nethermind",
        "rate",
        -32000,
        "Unable to rent an instance of IEthRpcModule. Too many concurrent requests.",
    ),
    Wording("a gateway", "rate", 0, "slow down", status=429),
]

UNKNOWN_BLOCK = [
    Wording("geth", "unknown_block", -32602, "block range extends beyond current head block"),
    Wording(
        "Reth",
        "unknown_block",
        -32000,
        "block range extends beyond current head block: requested 0x2000, head 0x1000",
    ),
    Wording("geth by hash", "unknown_block", -32000, "unknown block"),
    Wording("geth state", "unknown_block", -32000, "header not found"),
    Wording("Nethermind", "unknown_block", -32001, "8633830 could not be found"),
    Wording(
        "Erigon",
        "unknown_block",
        -32000,
        "requested block range [4096, 8192] is beyond latest executed block 4000 (node is still "
        "syncing)",
    ),
    Wording(
        "Anvil",
        "unknown_block",
        -32602,
        "BlockOutOfRangeError: block height is 5 but requested was 9",
    ),
]

OTHER = [
    Wording("a contract", "other", 3, "execution reverted: range too large"),
    Wording(
        "geth", "other", -32601, "the method eth_getBlockReceipts does not exist/is not available"
    ),
    Wording("geth, turned about", "other", -32602, "invalid block range params"),
    Wording(
        "geth, both",
        "other",
        -32602,
        "invalid argument 0: cannot specify both BlockHash and FromBlock/ToBlock, choose one or "
        "the other",
    ),
    Wording("anybody", "other", -32603, "Internal error"),
    Wording("anybody, with a key", "other", -32000, "Unauthorized", status=401),
    Wording("anybody, silent", "other", 0, ""),
]

ALL = [*RANGE, *RESULTS, *RESPONSE, *TIMEOUT, *RATE, *UNKNOWN_BLOCK, *OTHER]


def by(who: str, kind: str) -> Wording:
    """Return somebody's wording of a kind of refusal."""
    return next(wording for wording in ALL if (wording.who, wording.kind) == (who, kind))
