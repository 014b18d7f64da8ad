"""A server that speaks OpenAI's chat completions and answers from a script: what the model behind the gateway says.

It prints its port and serves until it is ended. What the last message holds decides the answer:
`[fail]` a refusal, `[slow]` fifty words with a pause after each; a request that offers the tool `get_weather` gets calls
of it, `[two]` two of them, until results are there. All else is answered with the same words.
"""

import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WORDS = ["The ", "answer ", "is ", "forty", "-two."]
USAGE = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}


def text_of(message):
    content = message.get("content") or ""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def pieces(asked):
    """The deltas of the answer, with the reason why it ends."""
    last = asked["messages"][-1]
    names = [tool["function"]["name"] for tool in asked.get("tools") or []]
    if "get_weather" in names and last["role"] == "tool":
        return [{"content": f"Found: {text_of(last)}"}], "stop"
    if "get_weather" in names:
        cities = ["Oslo", "Rome"] if "[two]" in text_of(last) else ["Oslo"]
        return [delta for n, city in enumerate(cities) for delta in call(n, city)], "tool_calls"
    words = ["word "] * 50 if "[slow]" in text_of(last) else WORDS
    return [{"content": word} for word in words], "stop"


def call(n, city):
    head = {"index": n, "id": f"call_{n}", "type": "function", "function": {"name": "get_weather", "arguments": ""}}
    yield {"tool_calls": [head]}
    for piece in ['{"city": ', f'"{city}"}}']:
        yield {"tool_calls": [{"index": n, "function": {"arguments": piece}}]}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        model = {"id": "scripted", "object": "model", "created": 1, "owned_by": "script"}
        self.answer(200, {"object": "list", "data": [model]})

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
        if "[fail]" in text_of(asked["messages"][-1]):
            self.answer(400, {"error": {"message": "the script refuses", "type": "invalid_request_error"}})
        elif asked.get("stream"):
            self.stream(asked)
        else:
            deltas, why = pieces(asked)
            message = {"role": "assistant", "content": "".join(it.get("content", "") for it in deltas)}
            self.answer(200, self.completion({"index": 0, "message": message, "finish_reason": why}) | {"usage": USAGE})

    def completion(self, choice, kind="chat.completion"):
        return {"id": "c1", "object": kind, "created": 1, "model": "scripted", "choices": [choice] if choice else []}

    def stream(self, asked):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        deltas, why = pieces(asked)
        kind = "chat.completion.chunk"
        for delta in [{"role": "assistant"}, *deltas]:
            self.say(self.completion({"index": 0, "delta": delta, "finish_reason": None}, kind))
            if len(deltas) == 50:
                time.sleep(0.1)
        self.say(self.completion({"index": 0, "delta": {}, "finish_reason": why}, kind))
        self.say(self.completion(None, kind) | {"usage": USAGE})
        self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def say(self, value):
        self.wfile.write(b"data: " + json.dumps(value).encode() + b"\n\n")
        self.wfile.flush()

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle_one_request(self):
        # Whoever asked may have left.
        try:
            super().handle_one_request()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()
