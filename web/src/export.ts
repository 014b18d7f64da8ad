// Surfaces as one HTML file that reaches nothing: it can be opened anywhere and sent to anyone.

import { sheet } from "./csv";
import { BOX_HEIGHT, laidOut, parsed } from "./diagram";
import { formOf } from "./form";
import { rendered } from "./markdown";
import type { Surface } from "./protocol";
import { clean, cleanLine } from "./visible";

const ESCAPES: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

function escaped(text: string): string {
  return clean(text).replace(/[&<>"']/g, (char) => ESCAPES[char]!);
}

const STYLE = `
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; font: 16px/1.6 system-ui, sans-serif; color: #22211e; }
table { border-collapse: collapse; } th, td { padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #ddd; text-align: left; }
pre { padding: .8rem 1rem; overflow-x: auto; background: #f4f2ee; } img, svg { max-width: 100%; } section + section { margin-top: 3rem; }
iframe { width: 100%; height: 40rem; border: 1px solid #ddd; } text { font: 13px system-ui, sans-serif; text-anchor: middle; }
rect { fill: #fff; stroke: #8d877b; } .edge { fill: none; stroke: #8d877b; }`;

/** The file. Pages and SVGs stand in frames in it, as they do here. */
export function exported(surfaces: readonly Surface[]): string {
  const title = surfaces.length === 1 ? titleOf(surfaces[0]!) : "Canvas";
  const policy = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; font-src data:; form-action 'none'";
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width">
<title>${title}</title>
<style>${STYLE}</style>
${surfaces.map((surface) => `<section>\n<h1>${titleOf(surface)}</h1>\n${bodyOf(surface)}\n</section>`).join("\n")}
</html>
`;
}

/** A name that no file system minds. */
export function fileName(name: string): string {
  return `${name.replace(/[^a-z0-9-]/g, "") || "canvas"}.html`;
}

function titleOf({ title, name }: Surface): string {
  return escaped(cleanLine(title) || name);
}

function bodyOf({ kind, content, title, name }: Surface): string {
  switch (kind) {
    case "markdown":
      return rendered(content).map((block) => (block.kind === "code" ? code(block.text) : block.html)).join("\n");
    case "code":
      return code(content);
    case "table":
    case "chart":
      return table(content);
    case "form":
      return form(content);
    case "diagram":
      return diagram(content);
    case "image":
      return `<img src="${escaped(content)}" alt="${escaped(title || name)}">`;
    case "svg":
    case "html":
      return `<iframe sandbox="allow-scripts" srcdoc="${raw(content)}"></iframe>`;
  }
}

/** An attribute that holds exactly this. */
function raw(text: string): string {
  return text.replace(/[&<>"']/g, (char) => ESCAPES[char]!);
}

function code(text: string): string {
  return `<pre>${escaped(text)}</pre>`;
}

function table(content: string): string {
  const { head, rows } = sheet(content);
  const row = (cells: readonly string[], tag: string) => `<tr>${cells.map((cell) => `<${tag}>${escaped(cell)}</${tag}>`).join("")}</tr>`;
  return `<table>\n${row(head, "th")}\n${rows.map((cells) => row(cells, "td")).join("\n")}\n</table>`;
}

function form(content: string): string {
  const fields = formOf(content)?.fields ?? [];
  const lines = fields.map(({ label, value }) => `<tr><th>${escaped(label)}</th><td>${escaped(value === null ? "" : typeof value === "string" ? value : JSON.stringify(value))}</td></tr>`);
  return `<table>\n${lines.join("\n")}\n</table>`;
}

function diagram(content: string): string {
  const { width, height, boxes, lines } = laidOut(parsed(content));
  const edges = lines.map(({ points }) => `<polyline class="edge" marker-end="url(#tip)" points="${points.map(({ x, y }) => `${x},${y}`).join(" ")}"/>`);
  const labels = lines.map(({ edge, label }) => `<text x="${label.x}" y="${label.y + 4}">${escaped(edge.label)}</text>`);
  const nodes = boxes.map(
    ({ text, x, y, width }) =>
      `<rect x="${x}" y="${y}" width="${width}" height="${BOX_HEIGHT}" rx="7"/><text x="${x + width / 2}" y="${y + BOX_HEIGHT / 2 + 4.5}">${escaped(text)}</text>`,
  );
  const tip = `<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8Z"/></marker></defs>`;
  return `<svg width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">${tip}${[...edges, ...nodes, ...labels].join("\n")}</svg>`;
}
