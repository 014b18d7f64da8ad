import { readFileSync } from "node:fs";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

/** The libraries whose licences ask to be where their code is. */
const NOTICED = ["preact", "marked", "uplot"];

/** Puts the libraries' licences before the code, where minifying leaves none. */
function notices(): Plugin {
  const texts = NOTICED.map((name) => {
    const text = readFileSync(`${import.meta.dirname}/node_modules/${name}/LICENSE`, "utf8");
    return `${name}\n\n${text.replaceAll("\r", "").replaceAll("*/", "* /").trim()}`;
  });
  const dompurify = "dompurify\n\nCopyright Cure53 and other contributors; Apache License 2.0 or MPL 2.0, used under the former.";
  const banner = `/*! This file holds these libraries:\n\n${[...texts, dompurify].join("\n\n---\n\n")}\n*/\n`;
  return {
    name: "notices",
    generateBundle(_options, bundle) {
      for (const part of Object.values(bundle)) {
        if (part.type === "chunk") part.code = banner + part.code;
      }
    },
  };
}

// Fixed names and one file of each kind: the gateway embeds them, and two builds give the same bytes.
export default defineConfig({
  root: import.meta.dirname,
  base: "./",
  plugins: [notices()],
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    outDir: "../crates/titan-web/assets",
    emptyOutDir: true,
    target: "es2022",
    cssCodeSplit: false,
    modulePreload: false,
    assetsInlineLimit: 0,
    rolldownOptions: {
      output: {
        codeSplitting: false,
        entryFileNames: "app.js",
        assetFileNames: "app[extname]",
      },
    },
  },
  test: { include: ["test/**/*.test.ts"], environment: "node" },
});
