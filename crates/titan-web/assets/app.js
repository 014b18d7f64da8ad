// The page: lists sessions, shows what happens in one, says things and answers questions. All text is put in as text,
// never as markup. It speaks to the gateway that served it and to nobody else.
"use strict";

const element = (id) => document.getElementById(id);
const log = element("log");
let session = null;
let isNew = false;
let workspace = "";
let stream = null;
let answer = null;
let output = null;

function uuid7() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  let now = Date.now();
  for (let idx = 5; idx >= 0; idx--) {
    bytes[idx] = now % 256;
    now = Math.floor(now / 256);
  }
  bytes[6] = (bytes[6] & 0x0f) | 0x70;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

async function ask(path) {
  const response = await fetch(path);
  const body = await response.json();
  if (!response.ok) throw new Error(body.error.message);
  return body;
}

async function submit(op) {
  const response = await fetch("/api/ops", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(op),
  });
  const body = await response.json();
  if (!response.ok) throw new Error(body.error.message);
}

function put(kind, text) {
  const isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  const made = document.createElement("div");
  made.className = kind;
  made.textContent = text;
  log.append(made);
  if (isAtEnd) log.scrollTop = log.scrollHeight;
  return made;
}

function grow(where, text) {
  const isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  where.textContent += text;
  if (isAtEnd) log.scrollTop = log.scrollHeight;
}

function choice(box, text, op) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = text;
  button.addEventListener("click", () => {
    submit(op).catch((error) => put("error", error.message));
  });
  box.append(button);
}

function question(event) {
  const call = `${event.call.name} ${JSON.stringify(event.call.arguments, null, 1)}`;
  const box = put("ask", `${event.reason}\n\n${call}\n\n`);
  box.id = `approval-${event.approval}`;
  for (const [text, decision] of [["Once", "once"], ["For this session", "session"], ["Exactly this, always", "exact"], ["No", "deny"]]) {
    choice(box, text, { op: "decide", approval: event.approval, decision });
  }
}

function asked(event) {
  const box = put("ask", `${event.text}\n`);
  box.id = `question-${event.question}`;
  for (const text of event.choices) choice(box, text, { op: "answer", question: event.question, text });
  if (event.choices.length > 0) return;
  const field = document.createElement("input");
  field.setAttribute("aria-label", "Your answer");
  field.addEventListener("change", () => {
    submit({ op: "answer", question: event.question, text: field.value }).catch((error) => put("error", error.message));
  });
  box.append(field);
}

function settled(id, text) {
  const box = element(id);
  if (!box) return;
  for (const button of box.querySelectorAll("button, input")) button.remove();
  grow(box, text);
}

const shown = {
  turn_started: (event) => { put("person", event.text); element("stop").disabled = false; },
  steered: (event) => put("person", event.text),
  model_call_started: () => { answer = null; },
  text_delta: (event) => { answer = answer || put("answer", ""); grow(answer, event.text); },
  tool_call_ready: (event) => { answer = null; output = null; put("tool", `${event.call.name} ${JSON.stringify(event.call.arguments)}`); },
  tool_output_delta: (event) => { output = output || put("tool", ""); grow(output, event.text); },
  tool_call_ended: (event) => { if (event.is_error) put("error", event.text); output = null; },
  approval_requested: question,
  approval_decided: (event) => settled(`approval-${event.approval}`, `${event.decision} (${event.by})`),
  question_asked: asked,
  question_answered: (event) => settled(`question-${event.question}`, event.text || "nobody answered"),
  notice: (event) => put("note", event.text),
  model_call_failed: (event) => put("error", event.error.detail || event.error.type),
  turn_ended: (event) => {
    answer = null;
    element("stop").disabled = true;
    if (event.outcome.type === "failed") put("error", event.outcome.error);
    if (event.outcome.type === "limited") put("note", event.outcome.limit);
    if (event.outcome.type === "interrupted") put("note", "stopped");
    list().catch(failed);
  },
};

function follow(id) {
  if (stream) stream.close();
  session = id;
  isNew = false;
  answer = null;
  output = null;
  log.textContent = "";
  element("stop").disabled = true;
  stream = new EventSource(`/api/events?session=${id}`);
  stream.addEventListener("message", (message) => {
    const event = JSON.parse(message.data).event;
    if (shown[event.event]) shown[event.event](event);
  });
  stream.addEventListener("error", () => {
    if (stream.readyState === EventSource.CLOSED) element("engine").textContent = "The connection is lost. Run titanclaw web and open its link.";
  });
  mark();
}

function mark() {
  for (const button of element("sessions").querySelectorAll("button")) {
    if (button.dataset.session === session) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  }
}

async function list() {
  const sessions = await ask("/api/sessions");
  element("sessions").replaceChildren(...sessions.map((it) => {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.session = it.session;
    button.textContent = (it.is_running ? "● " : "") + (it.title || "untitled");
    button.addEventListener("click", () => follow(it.session));
    item.append(button);
    return item;
  }));
  mark();
}

async function say(text) {
  const options = { is_attended: true };
  if (isNew || !session) {
    follow(uuid7());
    options.workspace = workspace;
  }
  await submit({ op: "user_turn", session, turn: uuid7(), text, options });
}

function failed(error) {
  element("engine").textContent = error.message;
}

element("say").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = element("text").value;
  element("text").value = "";
  say(text).catch((error) => { element("text").value = text; put("error", error.message); });
});

element("text").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  element("say").requestSubmit();
});

element("stop").addEventListener("click", () => {
  submit({ op: "interrupt", session }).catch((error) => put("error", error.message));
});

element("new").addEventListener("click", () => {
  if (stream) stream.close();
  session = null;
  isNew = true;
  log.textContent = "";
  mark();
  element("text").focus();
});

async function start() {
  const status = await ask("/api/status");
  workspace = status.workspace;
  element("engine").textContent = `${status.model} · ${workspace}`;
  await list();
}

start().catch(failed);
