// Reads a file for Safe's Transaction Builder and prints the checksum that the builder computes.
// Usage: node safe_checksum.mjs FILE
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const { keccak256, toUtf8Bytes } = createRequire(`${process.cwd()}/`)("ethers");

/** As the Transaction Builder's own `checksum.ts` describes the text that is hashed. */
function serialize(value) {
  if (Array.isArray(value)) return "[" + value.map(serialize).join(",") + "]";
  if (value === null || typeof value !== "object") return JSON.stringify(value ?? null);
  const names = Object.keys(value).sort();
  let text = "{" + JSON.stringify(names);
  for (const name of names) text += serialize(value[name]) + ",";
  return text + "}";
}

const file = JSON.parse(readFileSync(process.argv[2], "utf8"));
const { checksum, ...meta } = file.meta;
const computed = keccak256(toUtf8Bytes(serialize({ ...file, meta: { ...meta, name: null } })));
console.log(JSON.stringify({ checksum, computed }));
