// Writes the artifacts that the Python package ships; with --check, only compares them. sources.json
// is what explorers need to verify a contract: its standard-JSON input is
// {language, settings, sources: of sources.json those that the artifact names}. releases.json holds
// what each release deploys, as hashes: this release's entries are written anew, those of earlier
// ones stay for ever, so that their contracts are known by later releases.
// Usage: node scripts/artifacts.js [--check]
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { keccak256 } from "ethers";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..");
const TARGET = join(ROOT, "../src/token_ledger/chain/artifacts");
const solc = createRequire(import.meta.url)("solc");
const CONTRACTS = ["HeaderRegistry", "LedgerToken", "SnapshotToken", "Vault", "VaultFactory"];

/** Only `src`, in a folder of its own: bytecode must not depend on which tests exist. */
function build() {
  execFileSync(join(ROOT, "node_modules/.bin/forge"), ["build", "--force"], {
    cwd: ROOT,
    env: { ...process.env, FOUNDRY_PROFILE: "artifacts" },
    stdio: ["ignore", "ignore", "inherit"],
  });
}

/** What the compiler is told, whatever it compiles; names of files stay as the sources have them. */
const SETTINGS = {
  remappings: ["@openzeppelin/contracts/=node_modules/@openzeppelin/contracts/"],
  optimizer: { enabled: true, runs: 1_000_000 },
  evmVersion: "cancun",
  viaIR: true,
  metadata: { appendCBOR: false, bytecodeHash: "none" },
  outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"] } },
};

/** Settings as the compiler saw them, without what names files. */
function compiler(contract) {
  const { settings } = JSON.parse(contract.rawMetadata);
  return {
    version: solc.version(),
    evmVersion: settings.evmVersion,
    viaIR: settings.viaIR,
    optimizer: settings.optimizer,
    metadata: settings.metadata,
  };
}

/** Compile a contract from its own sources alone, as an explorer would, and compare the bytecode. */
function checkInput({ contractName, bytecode, deployedBytecode, sources: names }) {
  const sources = Object.fromEntries(names.map((name) => [name, source(name)]));
  const input = { language: "Solidity", settings: SETTINGS, sources };
  const { contracts } = JSON.parse(solc.compile(JSON.stringify(input)));
  const { evm } = contracts[`src/${contractName}.sol`][contractName];
  if ("0x" + evm.bytecode.object !== bytecode || "0x" + evm.deployedBytecode.object !== deployedBytecode) {
    throw new Error(`${contractName}: its standard-JSON input gives other bytecode`);
  }
}

const source = (name) => ({ content: readFileSync(join(ROOT, name), "utf8") });

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
    sources: Object.keys(JSON.parse(contract.rawMetadata).sources).toSorted(),
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

function write(name, content) {
  const text = JSON.stringify(content, null, 2) + "\n";
  const path = join(TARGET, `${name}.json`);
  if (!process.argv.includes("--check")) {
    mkdirSync(TARGET, { recursive: true });
    writeFileSync(path, text);
  } else if (!existsSync(path) || readFileSync(path, "utf8") !== text) {
    throw new Error(`${name}.json is stale: run npm run artifacts`);
  }
}

const RELEASE = /^version = "(.+)"$/m.exec(readFileSync(join(ROOT, "../pyproject.toml"), "utf8"))[1];

/** What tells a contract's runtime code, whatever its constructor filled in: those bytes are zero. */
function released({ contractName, deployedBytecode, immutableReferences, bytecode }) {
  const masked = Buffer.from(deployedBytecode.slice(2), "hex");
  const places = immutableReferences.flat().map(({ start, length }) => [start, length]);
  places.forEach(([start, length]) => masked.fill(0, start, start + length));
  return {
    release: RELEASE,
    contract: contractName,
    bytes: masked.length,
    immutables: places.toSorted(([a], [b]) => a - b),
    maskedCodeHash: keccak256(masked),
    creationCodeHash: keccak256(bytecode),
  };
}

/** The entries of all releases, this one's last. */
function releases(contents) {
  const path = join(TARGET, "releases.json");
  const known = existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : [];
  return [...known.filter(({ release }) => release !== RELEASE), ...contents.map(released)];
}

build();
const names = new Set();
const contents = [];
for (const name of CONTRACTS) {
  const content = artifact(name);
  checkFrozen(content);
  checkInput(content);
  content.sources.forEach((file) => names.add(file));
  contents.push(content);
  write(name, content);
}
write("releases", releases(contents));
write("sources", {
  language: "Solidity",
  settings: SETTINGS,
  sources: Object.fromEntries([...names].toSorted().map((name) => [name, source(name)])),
});
