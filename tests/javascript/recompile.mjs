// Compiles a standard-JSON input from standard input, and nothing else, as an explorer does; prints
// the creation and runtime code of the contract that the first argument names.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const solc = createRequire(new URL("../../contracts/package.json", import.meta.url))("solc");
const answer = JSON.parse(solc.compile(readFileSync(0, "utf8")));
const failed = (answer.errors ?? []).filter((error) => error.severity === "error");
if (failed.length) throw new Error(failed[0].formattedMessage);
const [, name] = process.argv.slice(1);
const { evm } = answer.contracts[`src/${name}.sol`][name];
process.stdout.write(JSON.stringify({
  version: solc.version(),
  bytecode: evm.bytecode.object,
  runtime: evm.deployedBytecode.object,
}));
