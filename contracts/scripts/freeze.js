// Wrote FROZEN.json, once. Run again it proves, with ethers alone, that the file still says the same
// as the sources; it never overwrites. Needs `npm run build` first.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { AbiCoder, concat, getCreate2Address, getCreateAddress, keccak256, ZeroHash } from "ethers";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..");
const PROXY = "0x4e59b44847b379578588920cA78FbF26c0B4956C";
const CLONE_PREFIX = "0x6100413d81600a3d39f3363d3d373d3d3d363d73";
const CLONE_INFIX = "0x5af43d82803e903d91602b57fd5bf3";

const SECRET_A = "0xcf25487804922fa4a67308f817610307cafbd897bafd5fe8f0d60599516ebd47";
const SECRET_B = "0x" + "00".repeat(31) + "01";
const OPERATOR_A = "0x2ed47BD8f636cBD0244FeE8660f1d7AFEc5BBc7B";
const OPERATOR_B = "0xFFcf8FDEE72ac11b5c542428B35EEF5769C409f0";
const EXAMPLES = [
  [SECRET_A, "alice", OPERATOR_A],
  [SECRET_A, "alice", OPERATOR_B],
  [SECRET_B, "alice", OPERATOR_A],
  [SECRET_A, "Schlüssel ✓ 鍵 🚀", OPERATOR_A],
  [SECRET_B, "user:an-identifier-that-is-longer-than-thirty-two-bytes", OPERATOR_B],
];

function initCode(name) {
  return JSON.parse(readFileSync(join(ROOT, `out/${name}.sol/${name}.json`), "utf8")).bytecode.object;
}

const factoryInitCodeHash = keccak256(initCode("VaultFactory"));
const factory = getCreate2Address(PROXY, ZeroHash, factoryInitCodeHash);
const implementation = getCreateAddress({ from: factory, nonce: 1 });

function example([ledgerSecret, accountId, operator]) {
  const salt = keccak256(
    AbiCoder.defaultAbiCoder().encode(
      ["bytes32", "string", "string"],
      [ledgerSecret, "account", accountId],
    ),
  );
  const code = concat([CLONE_PREFIX, implementation, CLONE_INFIX, operator]);
  return {
    ledgerSecret,
    accountId,
    operator,
    salt,
    address: getCreate2Address(factory, salt, keccak256(code)),
  };
}

const frozen = {
  about:
    "address = CREATE2(factory, salt, keccak256(cloneInitCode)), the init code being the four parts below joined; " +
    "salt = keccak256(abi.encode(bytes32 ledgerSecret, string \"account\", string accountId))",
  deploymentProxy: PROXY,
  factorySalt: ZeroHash,
  factoryInitCodeHash,
  factory,
  implementation,
  vaultInitCodeHash: keccak256(initCode("Vault")),
  cloneInitCode: {
    prefix: CLONE_PREFIX,
    implementation: "20 bytes",
    infix: CLONE_INFIX,
    operator: "20 bytes",
  },
  examples: EXAMPLES.map(example),
};

const path = join(ROOT, "FROZEN.json");
const text = JSON.stringify(frozen, null, 2) + "\n";
if (!existsSync(path)) writeFileSync(path, text);
else if (readFileSync(path, "utf8") !== text) throw new Error("FROZEN.json differs from the sources");
