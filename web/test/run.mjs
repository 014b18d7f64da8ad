// Runs a TypeScript file as a program.

import { runnerImport } from "vite";

const [path] = process.argv.slice(2);
await runnerImport(new URL(path, `file://${process.cwd()}/`).pathname, { configFile: false, logLevel: "error" });
