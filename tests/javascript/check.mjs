// An independent check with ethers and @openzeppelin/merkle-tree: no code of the project is used.
//
//   node check.mjs vectors DIR   checks every vector file, the forged ones included
//   node check.mjs export DIR    checks an export as `token-ledger export` writes it
//
// Prints one JSON document: how much was checked of what. Any difference is an exception.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(new URL("../../contracts/package.json", import.meta.url));
const { AbiCoder, Signature, TypedDataEncoder, concat, getAddress, getCreate2Address, id, keccak256 } =
  require("ethers");
const { recoverAddress, toUtf8Bytes, ZeroAddress, ZeroHash } = require("ethers");
const { StandardMerkleTree, SimpleMerkleTree } = require("@openzeppelin/merkle-tree");

const UINT256_MAX = 2n ** 256n - 1n;
const LEAF = ["bytes32", "uint64", "uint64", "address", "address", "uint256"];
const ENTRY = [
  { name: "from", type: "address" },
  { name: "to", type: "address" },
  { name: "value", type: "uint256" },
  { name: "nonce", type: "bytes32" },
  { name: "ref", type: "bytes32" },
];
const BATCH = [
  { name: "number", type: "uint64" },
  { name: "parent", type: "bytes32" },
  { name: "firstSeq", type: "uint64" },
  { name: "count", type: "uint32" },
  { name: "entriesRoot", type: "bytes32" },
  { name: "rowsHash", type: "bytes32" },
  { name: "totalSupply", type: "uint256" },
  { name: "sealedAt", type: "uint64" },
];

const encode = (types, values) => AbiCoder.defaultAbiCoder().encode(types, values);
const domainOf = (uid) => ({ name: "token_ledger", version: "1", salt: uid });
const digestOf = (uid, header) => TypedDataEncoder.hash(domainOf(uid), { Batch: BATCH }, header);
const tokenUidOf = (ledgerUid, { symbol, name, decimals }) =>
  keccak256(encode(["bytes32", "string", "string", "uint8"], [ledgerUid, symbol, name, decimals]));
const idOf = (uid, { from, to, value, nonce, ref }) =>
  TypedDataEncoder.hash(domainOf(uid), { Entry: ENTRY }, { from, to, value, nonce, ref });
const leafValues = (entry) => [
  entry.id,
  entry.seq,
  entry.timestamp,
  entry.from,
  entry.to,
  entry.value,
];
const sorted = (set) => [...set].sort();

// RFC 8785: JavaScript's own number and string forms, keys sorted by UTF-16 units.
function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const items = Object.keys(value).sort();
  return `{${items.map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`).join(",")}}`;
}

function refOf(salt, texts) {
  const metadata = texts.metadata === null ? ZeroHash : keccak256(toUtf8Bytes(texts.metadata));
  return keccak256(
    encode(
      ["bytes32", "string", "string", "string", "string", "bytes32"],
      [salt, texts.reason, texts.referenceType, texts.referenceId, texts.memo, metadata],
    ),
  );
}

function packRows(entries) {
  const table = sorted(new Set(entries.flatMap((e) => [e.from, e.to]).map((a) => a.toLowerCase())));
  const hex = (number, bytes) => BigInt(number).toString(16).padStart(2 * bytes, "0");
  const largest = entries.reduce((max, e) => (BigInt(e.value) > max ? BigInt(e.value) : max), 0n);
  const width = Math.max(1, Math.ceil(largest.toString(16).length / 2));
  const size = table.length <= 256 ? 1 : 2;
  const place = new Map(table.map((address, i) => [address, hex(i, size)]));
  return [
    `0x01${hex(width, 1)}${hex(table.length, 2)}`,
    ...table.map((address) => address.slice(2)),
    ...entries.map((e) => place.get(e.from.toLowerCase()) + place.get(e.to.toLowerCase())),
    ...entries.map((e) => hex(e.value, width)),
  ].join("");
}

// The signer of a digest, or null: 65 bytes, v 27 or 28, low s.
function signerOf(digest, signature) {
  if (signature.length !== 132 || !["1b", "1c"].includes(signature.slice(130))) return null;
  try {
    return recoverAddress(digest, Signature.from(signature));
  } catch {
    return null;
  }
}

function pathLengths(count) {
  const log = Math.floor(Math.log2(count));
  return [log, 2 ** log === count ? log : log + 1];
}

// The kinds of findings of one proof file.
function checkProof({ domain, header, digest, entry, proof, opening }) {
  const found = new Set();
  const expect = (kind, holds) => holds || found.add(kind);
  if (opening) expect("ref_differs", refOf(opening.salt, opening) === entry.ref);
  expect("id_differs", idOf(domain.salt, entry) === entry.id);
  const { firstSeq, count } = header;
  expect("position_differs", firstSeq <= entry.seq && entry.seq < firstSeq + count);
  const [shortest, longest] = pathLengths(count);
  expect("path_length", shortest <= proof.length && proof.length <= longest);
  const leaf = leafValues(entry);
  expect("root_differs", StandardMerkleTree.verify(header.entriesRoot, LEAF, leaf, proof));
  expect("digest_differs", digestOf(domain.salt, header) === digest);
  return sorted(found);
}

// The kinds of findings of one batch file by itself.
function checkBatch({ domain, header, digest, entries, rows }, uid) {
  const found = new Set();
  const expect = (kind, holds) => holds || found.add(kind);
  expect("foreign_batch", domain.salt === uid);
  const inOrder = entries.every((entry, i) => entry.seq === header.firstSeq + i);
  expect("position_differs", entries.length === header.count && inOrder);
  for (const entry of entries) {
    expect("id_differs", idOf(uid, entry) === entry.id);
    expect("movement_invalid", BigInt(entry.value) > 0n && entry.from !== entry.to);
  }
  const leaves = entries.map(leafValues);
  const root = entries.length ? StandardMerkleTree.of(leaves, LEAF).root : null;
  expect("root_differs", root === header.entriesRoot);
  expect("rows_hash_differs", keccak256(rows) === header.rowsHash);
  const movesAll = entries.length === header.count && entries.every((e) => BigInt(e.value) > 0n);
  expect("rows_differ", movesAll && packRows(entries) === rows);
  expect("digest_differs", digestOf(domain.salt, header) === digest);
  return found;
}

// The kinds of findings of an export: every batch, and what only the whole can show.
function checkExport({ manifest, batches }) {
  const { ledgerUid, token, head } = manifest;
  const found = new Set();
  const expect = (kind, holds) => holds || found.add(kind);
  expect("token_uid_differs", tokenUidOf(ledgerUid, token) === token.uid);
  const balances = new Map();
  const nonces = new Set();
  let [parent, nextSeq, supply] = [ZeroHash, 0, 0n];
  const move = (address, change) => {
    const after = (balances.get(address) ?? 0n) + change;
    balances.set(address, after);
    return after;
  };
  batches.forEach((batch, i) => {
    for (const kind of checkBatch(batch, token.uid)) found.add(kind);
    const { number, firstSeq, count, totalSupply } = batch.header;
    const follows = number === i + 1 && batch.header.parent === parent && firstSeq === nextSeq;
    expect("header_chain_broken", follows);
    for (const { from, to, value, nonce } of batch.entries) {
      expect("nonce_repeated", !nonces.has(nonce));
      nonces.add(nonce);
      const amount = BigInt(value);
      if (from === ZeroAddress) expect("supply_overflow", (supply += amount) <= UINT256_MAX);
      else expect("balance_negative", move(from, -amount) >= 0n);
      if (to === ZeroAddress) supply -= amount;
      else move(to, amount);
    }
    expect("supply_differs", supply === BigInt(totalSupply));
    [parent, nextSeq] = [batch.digest, firstSeq + count];
  });
  expect("head_differs", head.number === batches.length && head.digest === parent);
  return sorted(found);
}

const checks = {
  entries({ ledgerUid, ledgerSecret, tokenUid, entries, ...token }) {
    assert.equal(tokenUidOf(ledgerUid, token), tokenUid);
    for (const vector of entries) {
      const { idempotencyKey, metadata, metadataText } = vector;
      const nonce = keccak256(encode(["bytes32", "string"], [ledgerSecret, idempotencyKey]));
      const salt = keccak256(encode(["bytes32", "bytes32"], [ledgerSecret, nonce]));
      if (metadata !== null) assert.equal(canonical(JSON.parse(metadata)), metadataText);
      const ref = refOf(salt, { ...vector, metadata: metadataText });
      const made = { nonce, salt, ref, id: idOf(tokenUid, { ...vector, nonce, ref }) };
      const { nonce: n, salt: s, ref: r, id: i } = vector;
      assert.deepEqual(made, { nonce: n, salt: s, ref: r, id: i }, vector.name);
    }
    return entries.length;
  },

  batches({ chains }) {
    let count = 0;
    for (const chain of Object.values(chains)) {
      const { tokenUid, sealer } = chain;
      assert.equal(tokenUidOf(chain.ledgerUid, chain), tokenUid);
      assert.equal(TypedDataEncoder.hashDomain(domainOf(tokenUid)), chain.domainSeparator);
      for (const batch of chain.batches) {
        const { header, digest, entries, leaves, rows, proofs, signature } = batch;
        const document = { domain: domainOf(tokenUid), header, digest, entries, rows };
        assert.deepEqual([...checkBatch(document, tokenUid)], []);
        assert.equal(signerOf(digest, signature), sealer);
        const tree = StandardMerkleTree.of(entries.map(leafValues), LEAF);
        assert.deepEqual(entries.map((entry) => tree.leafHash(leafValues(entry))), leaves);
        assert.equal(SimpleMerkleTree.of(leaves).root, header.entriesRoot);
        for (const { place, path, entryEncoded } of proofs) {
          assert.deepEqual(tree.getProof(leafValues(entries[place])), path);
          const { seq, timestamp, from, to, value, nonce, ref } = entries[place];
          const types = ["uint64", "uint64", "address", "address", "uint256", "bytes32", "bytes32"];
          assert.equal(encode(types, [seq, timestamp, from, to, value, nonce, ref]), entryEncoded);
        }
        const words = encode(BATCH.map(({ type }) => type), BATCH.map(({ name }) => header[name]));
        assert.equal(words, batch.headerEncoded);
        count += 1;
      }
    }
    return count;
  },

  exports({ valid, invalid }) {
    for (const vector of valid) assert.deepEqual(checkExport(vector), [], vector.name);
    for (const vector of invalid) {
      assert.deepEqual(checkExport(vector), vector.findings, vector.name);
    }
    return valid.length + invalid.length;
  },

  proofs({ valid, invalid }) {
    for (const { name, document } of valid) assert.deepEqual(checkProof(document), [], name);
    for (const { name, document, findings } of invalid) {
      assert.deepEqual(checkProof(document), findings, name);
    }
    return valid.length + invalid.length;
  },

  rows({ valid }) {
    for (const { name, movements, rows } of valid) {
      assert.equal(packRows(movements.map(([from, to, value]) => ({ from, to, value }))), rows, name);
    }
    return valid.length;
  },

  signatures({ signatures }) {
    for (const { name, digest, signature, signer } of signatures) {
      assert.equal(signerOf(digest, signature), signer, name);
    }
    return signatures.length;
  },

  vaults({ vaults }) {
    const frozen = read(new URL("../../contracts/FROZEN.json", import.meta.url));
    const { factory, implementation, cloneInitCode } = frozen;
    for (const { accountId, ledgerSecret, operator, address } of [...vaults, ...frozen.examples]) {
      const types = ["bytes32", "string", "string"];
      const salt = keccak256(encode(types, [ledgerSecret, "account", accountId]));
      const parts = [cloneInitCode.prefix, implementation, cloneInitCode.infix, operator];
      assert.equal(getCreate2Address(factory, salt, keccak256(concat(parts))), address, accountId);
    }
    return vaults.length + frozen.examples.length;
  },
};

function read(path) {
  return JSON.parse(readFileSync(path, "utf8"));
}

function checkVectors(folder) {
  const counts = {};
  for (const [name, check] of Object.entries(checks)) {
    counts[name] = check(read(join(folder, `${name}.json`)));
    assert.ok(counts[name] > 0, name);
  }
  return counts;
}

// Files as they lie on disk: their bytes must be the canonical ones too.
function readCanonical(path) {
  const text = readFileSync(path, "utf8");
  const document = JSON.parse(text);
  assert.equal(`${canonical(document)}\n`, text, path);
  return document;
}

function checkDirectory(folder) {
  const manifest = readCanonical(join(folder, "manifest.json"));
  const batches = manifest.batches.map((name) => readCanonical(join(folder, "batches", name)));
  const findings = checkExport({ manifest, batches });
  const proofs = join(folder, "proofs.json");
  const documents = existsSync(proofs) ? read(proofs) : [];
  for (const document of documents) assert.deepEqual(checkProof(document), []);
  for (const { entries } of batches) {
    for (const { from, to } of entries) assert.deepEqual([from, to], [getAddress(from), getAddress(to)]);
  }
  const signers = batches.map(({ digest, signature }) => signature && signerOf(digest, signature));
  const entries = batches.reduce((sum, batch) => sum + batch.entries.length, 0);
  return { findings, entries, signers: sorted(new Set(signers)), proofs: documents.length };
}

assert.equal(id(""), "0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470");
const [mode, folder] = process.argv.slice(2);
const run = { vectors: checkVectors, export: checkDirectory }[mode];
assert.ok(run && folder, "usage: node check.mjs vectors|export DIR");
console.log(JSON.stringify(run(folder)));
