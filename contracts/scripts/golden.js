// Writes test/golden.json: ids, digests and proofs as ethers and OpenZeppelin's library compute them.
import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { StandardMerkleTree } from "@openzeppelin/merkle-tree";
import { AbiCoder, getCreateAddress, id, keccak256, TypedDataEncoder, ZeroAddress } from "ethers";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..");
const fields = (text) => text.split(",").map((field) => {
  const [type, name] = field.split(" ");
  return { type, name };
});
const ENTRY = { Entry: fields("address from,address to,uint256 value,bytes32 nonce,bytes32 ref") };
const BATCH = {
  Batch: fields(
    "uint64 number,bytes32 parent,uint64 firstSeq,uint32 count,bytes32 entriesRoot,bytes32 rowsHash,uint256 totalSupply,uint64 sealedAt",
  ),
};
const LEAF = ["bytes32", "uint64", "uint64", "address", "address", "uint256"];
const COUNTS = [1, 2, 3, 4, 5, 7, 8, 9, 13];

const ledgerUid = id("a ledger");
const [symbol, name, decimals] = ["VEC", "Vector Token", 6];
const tokenUid = keccak256(AbiCoder.defaultAbiCoder().encode(
  ["bytes32", "string", "string", "uint8"], [ledgerUid, symbol, name, decimals]));
const domain = { name: "token_ledger", version: "1", salt: tokenUid };

const account = (i) => (i === 0 ? ZeroAddress : "0x" + keccak256("0x0" + i).slice(2, 42));

function entry(seq) {
  const value = seq === 0 ? 2n ** 256n - 1n : BigInt(seq);
  const hashed = { from: account(seq % 4), to: account(1 + (seq % 4)), value, nonce: id(`n${seq}`), ref: id(`r${seq}`) };
  return { seq, timestamp: 1700000000000000 + seq, ...hashed, id: TypedDataEncoder.hash(domain, ENTRY, hashed) };
}

let firstSeq = 0;
let parent = id("before");
const batches = COUNTS.map((count, i) => {
  const entries = Array.from({ length: count }, (_, j) => entry(firstSeq + j));
  const tree = StandardMerkleTree.of(
    entries.map((e) => [e.id, e.seq, e.timestamp, e.from, e.to, e.value]), LEAF);
  const header = {
    number: i + 1, parent, firstSeq, count, entriesRoot: tree.root, rowsHash: id(`rows ${i}`),
    totalSupply: 2n ** 256n - 1n - BigInt(i), sealedAt: 1700000000000000 + i,
  };
  const digest = TypedDataEncoder.hash(domain, BATCH, header);
  firstSeq += count;
  parent = digest;
  return { header, digest, entries: entries.map((e, j) => ({ ...e, proof: tree.getProof(j) })) };
});

// Balances after the last batch, for SnapshotToken.
const SNAPSHOT = {
  Snapshot: fields("bytes32 batchDigest,bytes32 balancesRoot,uint256 totalSupply,uint64 deadline,uint256 chainId,address token"),
};
const totalSupply = batches.at(-1).header.totalSupply;
const balances = Array.from({ length: 6 }, (_, i) => [account(i + 1), BigInt(i + 1) ** 9n]);
balances.push([account(7), totalSupply - balances.reduce((sum, [, amount]) => sum + amount, 0n)]);
const balancesTree = StandardMerkleTree.of(balances, ["address", "uint256"]);
// The signature is for one contract on one chain: the first that a test of Foundry's creates.
const token = getCreateAddress({ from: "0x7FA9385bE102ac3EAc297483Dd6233D62b3e1496", nonce: 1 });
const signed = {
  batchDigest: parent, balancesRoot: balancesTree.root, totalSupply, deadline: 1900000000, chainId: 5001, token,
};
const snapshot = {
  ...signed,
  digest: TypedDataEncoder.hash(domain, SNAPSHOT, signed),
  claims: balances.map(([account, amount], i) => ({ account, amount, proof: balancesTree.getProof(i) })),
};

const text = JSON.stringify(
  { ledgerUid, symbol, name, decimals, tokenUid, batches, snapshot },
  (_, value) => (typeof value === "bigint" ? value.toString() : value), 1);
writeFileSync(join(ROOT, "test/golden.json"), text + "\n");
