// Writes the artifacts that the Python package ships; with --check, only compares them.
// Usage: node scripts/artifacts.js [--check]
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { keccak256 } from "ethers";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..");
const TARGET = join(ROOT, "../src/token_ledger/chain/artifacts");
const CONTRACTS = ["HeaderRegistry", "LedgerToken", "SnapshotToken", "Vault", "VaultFactory"];

/** Only `src`, in a folder of its own: bytecode must not depend on which tests exist. */
function build() {
  execFileSync(join(ROOT, "node_modules/.bin/forge"), ["build", "--force"], {
    cwd: ROOT,
    env: { ...process.env, FOUNDRY_PROFILE: "artifacts" },
    stdio: ["ignore", "ignore", "inherit"],
  });
}

/** Settings as the compiler saw them, without what names files. */
function compiler(contract) {
  const { settings } = JSON.parse(contract.rawMetadata);
  return {
    version: createRequire(import.meta.url)("solc").version(),
    evmVersion: settings.evmVersion,
    viaIR: settings.viaIR,
    optimizer: settings.optimizer,
    metadata: settings.metadata,
  };
}

/** Byte ranges of each immutable in the deployed code; the compiler's own keys are not stable. */
function immutableReferences(contract) {
  return Object.values(contract.deployedBytecode.immutableReferences ?? {})
    .map((ranges) => ranges.toSorted((a, b) => a.start - b.start))
    .toSorted(([a], [b]) => a.start - b.start);
}

function artifact(contractName) {
  const file = join(ROOT, `out/artifacts/${contractName}.sol/${contractName}.json`);
  const contract = JSON.parse(readFileSync(file, "utf8"));
  return {
    contractName,
    abi: contract.abi,
    bytecode: contract.bytecode.object,
    deployedBytecode: contract.deployedBytecode.object,
    immutableReferences: immutableReferences(contract),
    compiler: compiler(contract),
  };
}

/** The frozen init code may never change, whatever becomes of the sources. */
function checkFrozen({ contractName, bytecode }) {
  const frozen = JSON.parse(readFileSync(join(ROOT, "FROZEN.json"), "utf8"));
  const expected = { VaultFactory: frozen.factoryInitCodeHash, Vault: frozen.vaultInitCodeHash };
  if (contractName in expected && expected[contractName] !== keccak256(bytecode)) {
    throw new Error(`${contractName}: init code differs from the one frozen in FROZEN.json`);
  }
}

const check = process.argv.includes("--check");
build();
for (const name of CONTRACTS) {
  const content = artifact(name);
  checkFrozen(content);
  const text = JSON.stringify(content, null, 2) + "\n";
  const path = join(TARGET, `${name}.json`);
  if (check) {
    if (!existsSync(path) || readFileSync(path, "utf8") !== text) {
      throw new Error(`${name}.json is stale: run npm run artifacts`);
    }
  } else {
    mkdirSync(TARGET, { recursive: true });
    writeFileSync(path, text);
  }
}
