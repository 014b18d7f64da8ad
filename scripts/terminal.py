#!/usr/bin/env python3
"""Uses the live terminal in tmux as a person does, and draws what is on it into docs/terminal.

    python3 scripts/terminal.py target/debug/titanclaw docs/terminal

The program is the real one, in a home of its own; its model is a script that this serves. What is looked for on the screen and
is not there in time ends it with a failure, so it is a test of the terminal too, for which tmux is needed.
"""

import html
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

WAIT_MAX_S = 40
# Pixels of a cell, and what is around them all.
CELL_WIDTH, CELL_HEIGHT, MARGIN = 8.4, 18, 12
GROUND, INK = "#16181d", "#d7dae0"
INKS = {1: "#e06c75", 2: "#98c379", 3: "#e5c07b", 4: "#61afef", 5: "#c678dd", 6: "#56b6c2"}

SIZES = [("agent", 9120), ("exec", 5210), ("local", 11840), ("providers", 10390), ("sandbox", 9870), ("tools", 9480), ("web", 4310)]
CHART = {
    "name": "sizes",
    "kind": "chart",
    "title": "Lines of each crate",
    "content": "crate,lines\n" + "\n".join(f"{name},{lines}" for name, lines in SIZES),
}
NOTED = "# Sizes\n\nThe largest crate is local, for its kernels.\n"
WORDS = """The largest crate is **local**, for its kernels:

```rust
// One product of a row and a column, eight lanes at a time.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}
```

| crate | lines |
|---|---|
| local | 11,840 |
| providers | 10,390 |

I noted it in `notes/sizes.md`."""
CLEAN = "cd build\nfor log in *.log; do\n  gzip -9 \"$log\"\ndone\nrm -rf cache/*\ndf -h . | tail -1\n"


def calls(name, arguments, pause=0.004):
    return {"name": name, "arguments": json.dumps(arguments), "pause": pause}


def plan(*done):
    texts = ["Count the lines", "Draw them", "Note the result"]
    return calls("todo", {"items": [{"text": text, "status": state} for text, state in zip(texts, done)]})


# What the model does for the words that were said, call by call; a text is its answer.
ANSWERS = {
    "Which crate": [
        plan("in_progress", "pending", "pending"),
        calls("canvas", CHART),
        plan("done", "done", "in_progress"),
        calls("write", {"path": "notes/sizes.md", "content": NOTED}),
        plan("done", "done", "done"),
        WORDS,
    ],
    "Tidy up": [calls("shell", {"script": CLEAN}), "I left it as it is."],
    "Build": [calls("shell", {"script": "sleep 60"}), "Built."],
    "Deploy": [calls("shell", {"script": "make deploy"}), "Deployed."],
}


def reply(messages):
    last = max((n for n, message in enumerate(messages) if message["role"] == "user"), default=0)
    said = json.dumps(messages[last]["content"])
    named = [(said.rfind(words), steps) for words, steps in ANSWERS.items()]
    at, steps = max(named, key=lambda it: it[0])
    if at < 0:
        return "A look at the crates"
    n_done = sum(message["role"] == "tool" for message in messages[last:])
    return steps[min(n_done, len(steps) - 1)]


class Model(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        self.answer({"object": "list", "data": [{"id": "scripted", "object": "model"}]})

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        # Who asks without tools wants a title.
        told = reply(asked["messages"]) if asked.get("tools") else "A look at the crates"
        if not asked.get("stream"):
            message = {"role": "assistant", "content": told if isinstance(told, str) else ""}
            self.answer({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        try:
            self.stream(told)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def stream(self, told):
        if isinstance(told, str):
            for piece in re.findall(r"(?s).{1,6}", told):
                self.tell({"content": piece})
                time.sleep(0.01)
        else:
            # An id for each call, however often one is made.
            head = {"index": 0, "id": f"call_{time.monotonic_ns()}", "type": "function"}
            self.tell({"tool_calls": [head | {"function": {"name": told["name"], "arguments": ""}}]})
            for piece in re.findall(r"(?s).{1,6}", told["arguments"]):
                self.tell({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
                time.sleep(told["pause"])
        self.tell({}, "stop" if isinstance(told, str) else "tool_calls")
        self.write({"choices": [], "usage": {"prompt_tokens": 1560, "completion_tokens": 90}})
        self.wfile.write(b"data: [DONE]\n\n")

    def tell(self, delta, finish=None):
        self.write({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    def write(self, value):
        self.wfile.write(b"data: " + json.dumps(value).encode() + b"\n\n")
        self.wfile.flush()

    def answer(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Terminal:
    """A program in a tmux of its own."""

    def __init__(self, folder, environment, command, columns, rows):
        self.name = f"titanclaw-{os.getpid()}-{time.monotonic_ns()}"
        self.environment = environment
        size = ["-x", str(columns), "-y", str(rows)]
        self.tmux("-f", "/dev/null", "new-session", "-d", "-s", "main", *size, "-c", str(folder), command)

    def tmux(self, *arguments):
        command = ["tmux", "-u", "-L", self.name, *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=True)
        return done.stdout

    def keys(self, *keys):
        for key in keys:
            self.tmux("send-keys", "-t", "main", key)
            # Keys that come together are a paste to a program.
            time.sleep(0.15)

    def type_in(self, text):
        self.tmux("send-keys", "-t", "main", "-l", text)
        time.sleep(0.3)

    def say(self, text):
        self.type_in(text)
        self.keys("Enter")

    def screen(self):
        return self.tmux("capture-pane", "-t", "main", "-p")

    def wait_for(self, *texts):
        until = time.monotonic() + WAIT_MAX_S
        while not all(text in self.screen() for text in texts):
            if time.monotonic() > until:
                sys.exit(f"{texts} is not shown:\n{self.screen()}")
            time.sleep(0.1)

    def resize(self, columns, rows):
        self.tmux("resize-window", "-t", "main", "-x", str(columns), "-y", str(rows))
        time.sleep(0.5)

    def draw(self, path):
        time.sleep(0.5)
        text = self.tmux("capture-pane", "-t", "main", "-p", "-e", "-N")
        size = self.tmux("display-message", "-t", "main", "-p", "#{pane_width} #{pane_height}").split()
        path.write_text(svg(text, int(size[0]), int(size[1])))
        print(path)

    def end(self):
        subprocess.run(["tmux", "-L", self.name, "kill-server"], capture_output=True, check=False)


class Pen:
    """How the next cells look, by SGR."""

    def __init__(self):
        self.reset()

    def reset(self):
        self.ink, self.bold, self.dim, self.italic, self.line = None, False, False, False, False

    def take(self, codes):
        # Of the 256 colours, those of the terminal itself.
        palette = re.fullmatch(r"38;5;(\d+)", codes)
        if palette:
            self.ink = INKS.get(int(palette[1]) % 8)
            return
        for code in map(int, codes.split(";") if codes else ["0"]):
            if code == 0:
                self.reset()
            elif code in (1, 2, 3, 4):
                setattr(self, ["bold", "dim", "italic", "line"][code - 1], True)
            elif code == 22:
                self.bold = self.dim = False
            elif code == 23:
                self.italic = False
            elif code == 24:
                self.line = False
            elif 30 <= code <= 37:
                self.ink = INKS.get(code - 30)
            elif code == 39:
                self.ink = None

    def attributes(self):
        yield from [f'fill="{self.ink}"'] if self.ink else []
        yield from ['font-weight="bold"'] if self.bold else []
        yield from ['opacity=".62"'] if self.dim else []
        yield from ['font-style="italic"'] if self.italic else []
        yield from ['text-decoration="underline"'] if self.line else []


def svg(text, columns, rows):
    width, height = round(columns * CELL_WIDTH + 2 * MARGIN), rows * CELL_HEIGHT + 2 * MARGIN
    font = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace"
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
        f'<rect width="100%" height="100%" rx="6" fill="{GROUND}"/>'
        f'<g font-family="{font}" font-size="14" fill="{INK}" xml:space="preserve">'
    ]
    pen = Pen()
    for row, line in enumerate(text.split("\n")[:rows]):
        column = 0
        for codes, part in re.findall(r"(?:\x1b\[([0-9;]*)m)|([^\x1b]+)", line):
            if not part:
                pen.take(codes)
                continue
            # Where several spaces stand, some who draw it would make one of them.
            for shown in re.finditer(r"\S+(?: \S+)*", part):
                x = MARGIN + (column + shown.start()) * CELL_WIDTH
                y = MARGIN + 13.5 + row * CELL_HEIGHT
                length = len(shown[0]) * CELL_WIDTH
                looks = " ".join([f'x="{x:.1f}" y="{y}" textLength="{length:.1f}"', *pen.attributes()])
                out.append(f"<text {looks}>{html.escape(shown[0], quote=False)}</text>")
            column += len(part)
    return "\n".join(out) + "\n</g></svg>\n"


def conversation(terminal, captures):
    terminal.wait_for("Ask something")
    terminal.say("Which crate is the largest, and why? Note it.")
    terminal.wait_for("[o]nce", "notes/sizes.md")
    # A request counts as seen after half a second.
    time.sleep(1)
    terminal.keys("o")
    terminal.wait_for("I noted it", "/diff shows")
    terminal.draw(captures / "conversation.svg")
    terminal.keys("C-p")
    terminal.wait_for("/memory", "/quit", "another theme")
    terminal.draw(captures / "palette.svg")
    terminal.keys("Escape")
    terminal.say("/diff")
    terminal.wait_for("file changed")
    terminal.draw(captures / "diff.svg")
    terminal.keys("Escape")


def memory(terminal, captures):
    terminal.say("/memory")
    terminal.wait_for("Nothing is remembered yet")
    notes = [
        ("Sizes are told in lines without blank ones.", "crates, style"),
        ("The minster of Ulm is climbed in the morning, before the buses come.", "ulm, trip"),
        ("Minka, the cat, is fed at seven and at six. She gets no milk, whatever she says.", "cat"),
    ]
    for text, tags in notes:
        terminal.keys("a")
        terminal.type_in(text)
        terminal.keys("Tab")
        terminal.type_in(tags)
        terminal.keys("Enter")
        terminal.wait_for("kept", text[:30])
    terminal.keys("/")
    terminal.type_in("ulm")
    terminal.keys("Enter")
    terminal.wait_for("1 note with “ulm”")
    terminal.keys("e")
    terminal.wait_for("The old text will be deleted")
    terminal.type_in(" Bring water.")
    terminal.keys("Enter")
    terminal.wait_for("kept", "Bring water.")
    terminal.keys("/", "C-u", "Enter")
    terminal.wait_for("3 notes")
    terminal.draw(captures / "memory.svg")
    terminal.keys("d")
    terminal.wait_for("Delete this note for good?")
    terminal.keys("y")
    terminal.wait_for("deleted for good", "2 notes")
    terminal.keys("Escape")


def jobs(terminal, captures, other):
    second = other("Deploy it")
    try:
        second.wait_for("make deploy")
        terminal.say("Build everything")
        terminal.wait_for("running shell")
        terminal.say("/jobs")
        terminal.wait_for("2 turns", "waits for a yes or no", "sleep 60 · runs")
        terminal.draw(captures / "jobs.svg")
        # From the job that is shown here to the other, which is stopped from here.
        lines = [line for line in terminal.screen().splitlines() if "▸" in line]
        if "shown here" in lines[0]:
            terminal.keys("Down")
        terminal.keys("x")
        terminal.wait_for("1 turn")
        terminal.keys("x")
        terminal.wait_for("no turn runs")
        terminal.keys("Escape")
    finally:
        second.end()


def approval(terminal, captures):
    terminal.say("Tidy up the build folder")
    terminal.wait_for("gzip -9", "rm -rf cache", "[o]nce")
    terminal.draw(captures / "approval.svg")
    time.sleep(1)
    terminal.keys("d")
    terminal.wait_for("I left it as it is")


def small(terminal, captures):
    terminal.resize(80, 24)
    terminal.keys("Escape")
    terminal.wait_for("I left it as it is")
    terminal.draw(captures / "small.svg")
    terminal.keys("C-d")


def main():
    program, captures = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    captures.mkdir(parents=True, exist_ok=True)
    model = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    threading.Thread(target=model.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as kept:
        kept = Path(kept)
        home, folder = kept / "home", kept / "crates"
        home.mkdir(mode=0o700)
        (folder / "build/cache").mkdir(parents=True)
        config = home / "config.toml"
        config.write_text(
            f'[models]\nchat = "script/scripted"\n\n[[providers]]\nname = "script"\nkind = "compatible"\n'
            f'base_url = "http://127.0.0.1:{model.server_port}/v1"\nmodel = "scripted"\ncontext_tokens = 200000\n'
        )
        config.chmod(0o600)
        environment = {
            "HOME": str(kept),
            "LANG": "C.UTF-8",
            "PATH": os.environ["PATH"],
            "TERM": "xterm-256color",
            "TITANCLAW_HOME": str(home),
            "TITANCLAW_OFFLINE": "1",
        }

        def other(words):
            return Terminal(folder, environment, f"{program} ask '{words}'", 100, 30)

        terminal = Terminal(folder, environment, str(program), 104, 34)
        try:
            conversation(terminal, captures)
            memory(terminal, captures)
            jobs(terminal, captures, other)
            approval(terminal, captures)
            small(terminal, captures)
        finally:
            terminal.end()


if __name__ == "__main__":
    main()
