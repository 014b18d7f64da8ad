import { afterEach, beforeEach, expect, it } from "vitest";
import { WebSocket } from "ws";
import { Connection, type Link, type Socket } from "../src/connection";
import { applyAll, NOTHING, type Transcript } from "../src/state";
import { SESSION, wholeStory } from "./journal";
import { MockGateway } from "./mock";

let gateway: MockGateway;
let connection: Connection;
let state: Transcript;
let seqs: number[];
let links: Link[];
let mayRetry: boolean;

beforeEach(async () => {
  gateway = await MockGateway.start();
  [state, seqs, links, mayRetry] = [NOTHING, [], [], true];
  connection = new Connection({
    open: () => opened(gateway.url),
    seqOf: () => state.seq,
    onRecords: (_, records) => {
      seqs.push(...records.map(({ seq }) => seq));
      state = applyAll(state, records);
    },
    onLink: (link) => links.push(link),
    mayRetry: async () => mayRetry,
    soon: (flush) => void setImmediate(flush),
  });
});

afterEach(async () => {
  connection.close();
  await gateway.stop();
});

/** A socket as a browser's: one that is closed before it opened says so by its closing alone. */
function opened(url: string): Socket {
  const socket = new WebSocket(`${url.replace("http", "ws")}/api/ws`);
  socket.on("error", () => {});
  return socket as unknown as Socket;
}

const story = wholeStory();
const whole = applyAll(NOTHING, story);

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((done) => setTimeout(done, 5));
}

it("replays what was and follows what comes", async () => {
  gateway.put(story.slice(0, 20));
  connection.follow(SESSION);
  await until(() => state.seq === 20);
  gateway.put(story.slice(20));
  await until(() => state.seq === story.length);
  expect(state).toEqual(whole);
});

it("comes back by itself and misses and repeats nothing", async () => {
  connection.follow(SESSION);
  for (let at = 0; at < story.length; at += 10) {
    gateway.put(story.slice(at, at + 5));
    if (at % 20 === 0) gateway.drop();
    gateway.put(story.slice(at + 5, at + 10));
    await until(() => state.seq === Math.min(at + 10, story.length));
  }
  expect(state).toEqual(whole);
  expect(seqs).toEqual(story.map((_, idx) => idx + 1));
  expect(links).toContain("lost");
  expect(gateway.follows.at(-1)?.after).toBeGreaterThan(0);
}, 20_000);

it("asks anew for what it was too slow for", async () => {
  gateway.put(story.slice(0, 10));
  connection.follow(SESSION);
  await until(() => state.seq === 10);
  gateway.lag();
  gateway.put(story.slice(10));
  await until(() => state.seq === story.length);
  expect(state).toEqual(whole);
});

it("stops trying when nobody is let in", async () => {
  connection.follow(SESSION);
  await until(() => links.at(-1) === "open");
  mayRetry = false;
  gateway.isClosed = true;
  gateway.drop();
  await until(() => links.at(-1) === "lost");
  const before = gateway.follows.length;
  await new Promise((done) => setTimeout(done, 700));
  expect(gateway.follows.length).toBe(before);
});

it("leaves what one session was still sending when another is followed", async () => {
  gateway.put(story);
  connection.follow(SESSION);
  connection.follow("01930000-0000-7000-8000-0000000000ff");
  await until(() => links.at(-1) === "open" && gateway.follows.length > 0);
  await new Promise((done) => setTimeout(done, 50));
  expect(seqs).toEqual([]);
});
