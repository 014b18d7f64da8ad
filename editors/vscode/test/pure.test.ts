import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { ask, base, pack, packAddress, token } from "../src/gateway.js";
import { OPEN_FILES_MAX, Open } from "../src/open.js";
import { shown } from "../src/shown.js";

test("the token goes to this machine alone", () => {
  assert.equal(base("http://127.0.0.1:7717/x?y"), "http://127.0.0.1:7717");
  assert.equal(base("http://[::1]:1"), "http://[::1]:1");
  for (const address of [
    "https://127.0.0.1",
    "http://example.org",
    "http://127.0.0.1.example.org",
    "http://127.0.0.1@example.org",
    "http://me:pw@127.0.0.1",
    "file:///etc/passwd",
    "here",
  ]) {
    assert.throws(() => base(address), /titanclaw.address/, address);
  }
  assert.equal(token(`${"a".repeat(32)}\n`), "a".repeat(32));
  assert.equal(token("a b".repeat(16)), undefined);
  assert.equal(token(""), undefined);
});

test("what has changed is told, what is closed first and the file in front last", () => {
  const open = new Open("vscode");
  const tell = (paths: string[], front?: string): string[] =>
    open.next(paths, front).map((report) => {
      open.heard(report);
      return `${report.is_open ? "+" : "-"}${report.path}`;
    });
  assert.deepEqual(tell(["/a", "/b", "/a"], "/a"), ["+/b", "+/a"]);
  assert.deepEqual(tell(["/a", "/b"], "/b"), ["+/b"]);
  assert.deepEqual(tell(["/b"], undefined), ["-/a"]);
  assert.deepEqual(tell(["/b"], undefined), []);
  open.forget();
  assert.deepEqual(tell(["/b"], undefined), ["+/b"]);
  const many = Array.from({ length: 2 * OPEN_FILES_MAX }, (_, at) => `/${at}`);
  const told = tell(many, "/0").filter((line) => line.startsWith("+"));
  assert.deepEqual([told.length, told.at(-1)], [OPEN_FILES_MAX, "+/0"]);
});

test("a report that was not heard is told again", () => {
  const open = new Open("vscode");
  assert.equal(open.next(["/a"], undefined).length, 1);
  assert.equal(open.next(["/a"], undefined).length, 1);
});

test("a pack is shown as plain text, each line with its source", () => {
  const line = { text: "Fix\u001b[31m [a](x)\n# b\u202e", source: "commit 1" };
  const parts = [{ kind: "bugs", lines: [line], gap: "older ones are missing" }];
  assert.equal(
    shown(pack({ path: "/w/f", parts })),
    "/w/f\n\nWhat was wrong in it\n  Fix[31m [a](x) # b  (commit 1)\n  [older ones are missing]\n",
  );
  assert.match(shown({ path: "/w/f", parts: [] }), /Nothing is known/);
  for (const odd of [null, [], {}, { path: "/f", parts: [{}] }, { path: "/f", parts: [{ kind: "x", lines: [1], gap: null }] }]) {
    assert.throws(() => pack(odd), /not understood/);
  }
});

test("a request carries the token, and no redirect takes it along", async () => {
  const seen: string[] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (piece) => (body += piece));
    request.on("end", () => {
      seen.push(`${request.method} ${request.url} ${request.headers.authorization} ${body}`);
      const status = request.url === "/away" ? 302 : body === "" ? 200 : 204;
      response.writeHead(status, { location: "/elsewhere" });
      response.end(status === 200 ? "{}" : undefined);
    });
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  try {
    assert.deepEqual(await ask(packAddress(origin, "/w/a b&c"), "secret"), {});
    await ask(`${origin}/api/presence`, "secret", { path: "/w/f", by: "vscode", is_open: true });
    await assert.rejects(ask(`${origin}/away`, "secret"));
  } finally {
    server.close();
  }
  assert.deepEqual(seen, [
    "GET /api/presence/pack?path=%2Fw%2Fa+b%26c Bearer secret ",
    'POST /api/presence Bearer secret {"path":"/w/f","by":"vscode","is_open":true}',
    "GET /away Bearer secret ",
  ]);
});
