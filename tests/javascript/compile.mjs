// Compiles one Solidity source from standard input; prints its first contract's runtime code.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const solc = createRequire(new URL("../../contracts/package.json", import.meta.url))("solc");
const answer = JSON.parse(solc.compile(JSON.stringify({
  language: "Solidity",
  sources: { "a.sol": { content: readFileSync(0, "utf8") } },
  settings: {
    optimizer: { enabled: true },
    outputSelection: { "*": { "*": ["evm.deployedBytecode.object"] } },
  },
})));
const failed = (answer.errors ?? []).filter((error) => error.severity === "error");
if (failed.length) throw new Error(failed[0].formattedMessage);
const [contract] = Object.values(answer.contracts["a.sol"]);
process.stdout.write(contract.evm.deployedBytecode.object);
