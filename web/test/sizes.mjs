// Prints what the page weighs compressed, and fails when it is too much.

import { readdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const COMPRESSED_BYTES_MAX = 250 * 1024;
const folder = new URL("../../crates/titan-web/assets/", import.meta.url);

let total = 0;
for (const name of readdirSync(folder).sort()) {
  const bytes = readFileSync(new URL(name, folder));
  const compressed = gzipSync(bytes, { level: 9 }).length;
  total += compressed;
  console.log(`${name}: ${bytes.length} bytes, ${compressed} compressed`);
}
console.log(`all: ${total} compressed, of ${COMPRESSED_BYTES_MAX}`);
if (total > COMPRESSED_BYTES_MAX) process.exit(1);
