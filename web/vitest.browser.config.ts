import { defineConfig } from "vitest/config";

// In a real browser, over the built files: `npm run browser`, after `npm run build`.
export default defineConfig({
  root: import.meta.dirname,
  test: { include: ["test/browser.ts"], testTimeout: 60_000, hookTimeout: 60_000 },
});
