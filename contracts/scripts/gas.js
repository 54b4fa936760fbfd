// Measures replay on Anvil in whole-transaction gas. Usage: node scripts/gas.js (after `npm run build`)
// Prints one line per case: its gas, that gas over the floor, and the planner's model over that gas.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { AbiCoder, concat, Interface, keccak256, TypedDataEncoder, toBeHex, Wallet, ZeroHash } from "ethers";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..");
const PORT = 18545;
const KEY = "0x" + "11".repeat(32);
const DOMAIN_TYPES = {
  Batch: [
    ["uint64", "number"], ["bytes32", "parent"], ["uint64", "firstSeq"], ["uint32", "count"],
    ["bytes32", "entriesRoot"], ["bytes32", "rowsHash"], ["uint256", "totalSupply"], ["uint64", "sealedAt"],
  ].map(([type, name]) => ({ type, name })),
};
const PROXY = "0x4e59b44847b379578588920cA78FbF26c0B4956C";
const token = JSON.parse(readFileSync(join(ROOT, process.argv[2] ?? "out", "LedgerToken.sol/LedgerToken.json"), "utf8"));
const abi = new Interface(token.abi);
const signer = new Wallet(KEY);

async function rpc(method, ...params) {
  const response = await fetch(`http://127.0.0.1:${PORT}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
  });
  const { result, error } = await response.json();
  if (error) throw new Error(`${method}: ${JSON.stringify(error).slice(0, 400)}`);
  return result;
}

async function send(to, data) {
  const [from] = await rpc("eth_accounts");
  const hash = await rpc("eth_sendTransaction", { from, to, data, gas: "0x1000000" });
  let receipt = null;
  while (receipt === null) receipt = await rpc("eth_getTransactionReceipt", hash);
  if (receipt.status !== "0x1") throw new Error("reverted");
  return Number(receipt.gasUsed);
}

const bytes = (value, size) => toBeHex(value, size);

function pack(accounts, size, rows) {
  const width = accounts.length <= 256 ? 1 : 2;
  return concat([
    "0x01", bytes(size, 1), bytes(accounts.length, 2), ...accounts,
    ...rows.flatMap(([from, to]) => [bytes(from, width), bytes(to, width)]),
    ...rows.map(([, , value]) => bytes(value, size)),
  ]);
}

class Token {
  static count = 0;
  number = 0; seq = 0; parent = ZeroHash; supply = 0n;

  async deploy() {
    const uid = bytes(++Token.count, 32);
    const args = ["T", "T", 18, uid, signer.address];
    const salt = keccak256(AbiCoder.defaultAbiCoder().encode(
      ["bytes32", "string", "string", "uint8"], [uid, "T", "T", 18]));
    const code = concat([token.bytecode.object, abi.encodeDeploy(args)]);
    const from = (await rpc("eth_accounts"))[0];
    this.address = await rpc("eth_call", { from, to: PROXY, data: concat([salt, code]) }, "latest");
    this.deployGas = await send(PROXY, concat([salt, code]));
    this.domain = { name: "token_ledger", version: "1", salt };
    return this;
  }

  async replay(accounts, size, rows) {
    const packed = pack(accounts, size, rows);
    for (const [from, to, value] of rows) {
      if (BigInt(accounts[from]) === 0n) this.supply += value;
      if (BigInt(accounts[to]) === 0n) this.supply -= value;
    }
    const header = {
      number: ++this.number, parent: this.parent, firstSeq: this.seq, count: rows.length,
      entriesRoot: keccak256("0x01"), rowsHash: keccak256(packed),
      totalSupply: this.supply, sealedAt: 1700000000000000,
    };
    this.seq += rows.length;
    this.parent = TypedDataEncoder.hash(this.domain, DOMAIN_TYPES, header);
    const data = abi.encodeFunctionData("replay", [
      header, packed, await signer.signTypedData(this.domain, DOMAIN_TYPES, header)]);
    return { gas: await send(this.address, data), data };
  }
}

let seed = 1n;
function random(limit) {
  seed = BigInt(keccak256(bytes(seed, 32)));
  return seed % limit;
}

/** A value without a zero byte: the dearest calldata there is. */
const fill = (size) =>
  Array.from({ length: size === 32 ? 30 : size }, () => 1n + random(255n)).reduce((v, b) => 256n * v + b, 0n);

const address = (i) => "0x" + keccak256(bytes(i, 32)).slice(2, 42);
const holders = (first, n) =>
  Array.from({ length: n }, (_, i) => address(first + i)).sort((a, b) => (BigInt(a) < BigInt(b) ? -1 : 1));
const SYSTEM = "0x" + "00".repeat(20);

/** A token whose `n` holders each have 2^(8·size-8) to spend, given in a batch of their own. */
async function funded(n, size) {
  const t = await new Token().deploy();
  const all = holders(1, n);
  const wide = Math.min(32, size + 1);
  const funds = 1n << BigInt(size < 32 ? 8 * size + 5 : 250);
  for (let i = 0; i < n; i += 300) {
    const part = all.slice(i, i + 300);
    await t.replay([SYSTEM, ...part], wide, part.map((_, j) => [0, j + 1, funds]));
  }
  return [t, all];
}

/** Rows among `n` existing accounts, every account used. */
function shuffle(n, count, size) {
  return Array.from({ length: count }, (_, i) => {
    const from = i < n ? i : Number(random(BigInt(n)));
    const to = (from + 1 + Number(random(BigInt(n - 1)))) % n;
    return [from, to, fill(size)];
  });
}

async function existing(n, count, size) {
  const [t, all] = await funded(n, size);
  const rows = shuffle(n, count, size);
  return { n: count, v: size, old: n, idle: 0, fresh: 0, system: 0, ...(await t.replay(all, size, rows)) };
}

/** The first batch of a token: nothing is issued yet. */
async function first(n, size) {
  const t = await new Token().deploy();
  const rows = Array.from({ length: n }, (_, i) => [0, 1 + i, fill(size)]);
  const sent = await t.replay([SYSTEM, ...holders(1, n)], size, rows);
  return { n, v: size, old: 0, idle: 0, fresh: n, system: 1, first: true, unissued: true, ...sent };
}

async function fresh(n, count, size) {
  const t = await new Token().deploy();
  await t.replay([SYSTEM, address(0)], size, [[0, 1, 1n]]);
  const all = [SYSTEM, ...holders(1, n)];
  const rows = Array.from({ length: count }, (_, i) => [0, 1 + (i % n), fill(size)]);
  return { n: count, v: size, old: 0, idle: 0, fresh: n, system: 1, ...(await t.replay(all, size, rows)) };
}

/** Anything: `old` and `fresh` holders, of whom `idle` old ones end as they began. */
async function mixed(old, fresh, idle, system, count, size) {
  const [t, all] = await funded(Math.max(old, 1), size);
  const olds = all.slice(0, old);
  const news = holders(5000, fresh);
  const accounts = [...(system ? [SYSTEM] : []), ...olds, ...news].sort((a, b) => (BigInt(a) < BigInt(b) ? -1 : 1));
  const place = Object.fromEntries(accounts.map((a, i) => [a, i]));
  const givers = olds.slice(idle);
  const rows = [];
  for (const a of olds.slice(0, idle)) rows.push([place[a], place[a], 1n]);
  for (const a of news) rows.push([place[givers[rows.length % givers.length]], place[a], fill(size)]);
  if (system) rows.push([0, place[givers[0]], fill(size)]);
  for (let i = 0; rows.length < count || i < givers.length; i++) {
    rows.push([place[givers[i % givers.length]], place[givers[(i + 1) % givers.length]], 1n + BigInt(i % 200)]);
  }
  return { n: rows.length, v: size, old: givers.length, idle, fresh, system: Number(system), ...(await t.replay(accounts, size, rows)) };
}

const CASES = [
  () => existing(100, 4000, 1), () => existing(100, 4000, 9), () => fresh(600, 600, 9),
  () => existing(2, 1, 1), () => existing(2, 2, 32), () => existing(2, 3, 9), () => existing(2, 4, 9), () => existing(2, 1000, 32),
  () => existing(256, 3000, 9), () => existing(257, 3000, 9), () => existing(257, 3001, 9), () => existing(900, 2000, 12),
  () => existing(1500, 1500, 5), () => existing(1000, 1003, 3), () => existing(20, 2803, 32),
  () => fresh(1, 1, 1), () => fresh(100, 100, 9), () => fresh(300, 1001, 16), () => existing(50, 500, 5),
  () => existing(3, 3, 32), () => existing(10, 50, 8), () => existing(10, 4999, 1), () => existing(256, 4503, 2), () => existing(300, 4200, 1),
  () => first(1, 9), () => first(400, 9),
  () => mixed(10, 5, 3, true, 30, 9), () => mixed(100, 100, 50, true, 1000, 9), () => mixed(200, 100, 100, false, 2000, 4),
  () => mixed(400, 100, 30, true, 1500, 20), () => mixed(30, 3, 0, false, 250, 1), () => mixed(600, 20, 500, true, 700, 14),
];

function calldata(c) {
  const raw = Buffer.from(c.data.slice(2), "hex");
  return raw.reduce((sum, byte) => sum + (byte === 0 ? 4 : 16), 0);
}

/** What logs, storage and calldata cost whatever the code does. */
function floor(c) {
  return 21000 + 1756 * c.n + 5000 * (c.old + c.system) + 22100 * c.fresh + calldata(c);
}

/** The planner's model, fitted to these cases: refunds are left out, as a gas limit must. */
function model(c) {
  const accounts = c.old + c.idle + c.fresh + c.system;
  const wide = accounts > 256;
  const rowsBytes = 4 + 20 * accounts + (2 * (wide ? 2 : 1) + c.v) * c.n;
  const words = Math.ceil(rowsBytes / 32);
  const memory = Math.max(words + 24, 2 * accounts + 16);
  return (
    21000 + calldata(c) +
    47_600 + (c.first ? 17_100 : 0) + // the batch; the first of a token fills the head's slot
    (c.system ? (c.unissued ? 20_000 : 2_900) : 0) + // the supply's slot
    (1756 + (wide ? 177 : 170)) * c.n + 81 * (c.n % 4) +
    294 * accounts + 5000 * c.old + 2200 * c.idle + 22100 * c.fresh +
    9 * words + 3 * memory + Math.floor((memory * memory) / 512)
  );
}

const anvil = spawn(join(ROOT, "node_modules/.bin/anvil"), ["--port", PORT, "--silent", "--gas-limit", "100000000"]);
try {
  for (;;) {
    try { await rpc("eth_chainId"); break; } catch { await new Promise((r) => setTimeout(r, 50)); }
  }
  console.log("deploy", (await new Token().deploy()).deployGas);
  for (const run of CASES.slice(0, Number(process.argv[3] ?? CASES.length))) {
    const c = await run();
    const estimate = model(c);
    console.log(
      `rows ${c.n}, value bytes ${c.v}, accounts ${c.old} changed + ${c.idle} same + ${c.fresh} new:`,
      `gas ${c.gas}, ${(c.gas / floor(c)).toFixed(4)} of the floor, model ${(estimate / c.gas).toFixed(5)}`,
    );
  }
} finally {
  anvil.kill();
}
