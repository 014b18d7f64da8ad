"""The cases of Autobahn's WebSocket suite, by their numbers, against the gateway's /api/ws.

Autobahn wants its messages echoed, which the gateway does not do. But it answers every text: a command that it can't
take is refused under the `id` that came with it. So a text goes in as that id, and comes back in the refusal. Where it
is no JSON (an empty text, a control character), that it is answered at all shows that it was read; binary messages,
which the gateway does not take, are refused likewise. All else is as in the suite: the frames, how they are cut, and
how the connection has to end. After the suite's cases come some of our own, for masks, sizes and the handshake.

Usage: websocket.py HOST:PORT TOKEN. Ends with 1 when a case failed.
"""

import base64
import json
import os
import re
import socket
import struct
import sys
import time

WAIT_S = 10
CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
HELLO = b"Hello, world!"


def frame(opcode, payload=b"", fin=True, rsv=0, masked=True, length=None):
    """The bytes of one frame; `length` is what its head says where that is not so."""
    length = len(payload) if length is None else length
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    mark = 0x80 if masked else 0
    if length < 126:
        head += bytes([mark | length])
    elif length < 65536:
        head += bytes([mark | 126]) + struct.pack(">H", length)
    else:
        head += bytes([mark | 127]) + struct.pack(">Q", length)
    if not masked:
        return head + payload
    key = os.urandom(4)
    whole = (key * (len(payload) // 4 + 1))[: len(payload)]
    mixed = int.from_bytes(payload, "big") ^ int.from_bytes(whole, "big")
    return head + key + mixed.to_bytes(len(payload), "big")


def close(code=None, reason=b""):
    return frame(CLOSE, (b"" if code is None else struct.pack(">H", code)) + reason)


def wrapped(payload):
    """A text that the gateway answers with this text."""
    return b'{"type":"op","op":null,"id":"' + payload + b'"}'


def of_length(length):
    """A text of exactly so many bytes that is answered, and what comes back."""
    room = length - len(wrapped(b""))
    return (wrapped(b"*" * room), b"*" * room) if room >= 0 else (b"*" * length, None)


def echo(payload):
    """The answer to a text; `None` is any."""
    return ("text", payload)


ANY = echo(None)


class Case:
    """What is sent, what has to come back, and how the connection has to end.

    `steps`: bytes, which are sent at once; ("chop", n, bytes), in pieces; ("wait", s).
    `ends`: None, and we close in order; or the close codes that may come. `strict`: what has to come where `answers`
    also has a lesser form.
    """

    def __init__(self, number, steps, answers=(), ends=None, lesser=None, informs=False, fails_fast=False):
        self.number, self.steps, self.answers = number, steps, list(answers)
        self.ends, self.lesser, self.informs, self.fails_fast = ends, lesser, informs, fails_fast


PROTOCOL = (1002,)
UNREADABLE = (1007,)


def framing():
    sizes = [0, 125, 126, 127, 128, 65535, 65536, 65536]
    for n, size in enumerate(sizes, 1):
        sent, back = of_length(size)
        step = frame(TEXT, sent)
        yield Case(f"1.1.{n}", [("chop", 997, step) if n == 8 else step], [echo(back)])
    for n, size in enumerate(sizes, 1):
        step = frame(BINARY, b"\xfe" * size)
        yield Case(f"1.2.{n}", [("chop", 997, step) if n == 8 else step], [ANY])


def pings():
    binary = b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"
    for n, payload in enumerate([b"", HELLO, binary, b"\xfe" * 125], 1):
        yield Case(f"2.{n}", [frame(PING, payload)], [("pong", payload)])
    yield Case("2.5", [frame(PING, b"\xfe" * 126)], ends=PROTOCOL)
    yield Case("2.6", [("chop", 1, frame(PING, b"\xfe" * 125))], [("pong", b"\xfe" * 125)])
    unasked = frame(PONG, b"unsolicited pong payload")
    yield Case("2.7", [frame(PONG)])
    yield Case("2.8", [unasked])
    yield Case("2.9", [unasked, frame(PING, b"ping payload")], [("pong", b"ping payload")])
    payloads = [b"payload-%d" % n for n in range(10)]
    for number, chopped in [("2.10", False), ("2.11", True)]:
        steps = [("chop", 1, frame(PING, it)) if chopped else frame(PING, it) for it in payloads]
        yield Case(number, steps, [("pong", it) for it in payloads])


def refused_after_a_text(number, bad, chopped=False):
    """A text, then a frame that is none, then a ping that must stay unanswered."""
    steps = [frame(TEXT, wrapped(HELLO)), bad, frame(PING)]
    if chopped:
        steps = [("chop", 1, step) for step in steps]
    return Case(number, steps, [echo(HELLO)], PROTOCOL, lesser=[])


def reserved_bits():
    yield Case("3.1", [frame(TEXT, HELLO, rsv=1)], ends=PROTOCOL)
    yield refused_after_a_text("3.2", frame(TEXT, HELLO, rsv=2))
    yield refused_after_a_text("3.3", frame(TEXT, HELLO, rsv=3))
    yield refused_after_a_text("3.4", frame(TEXT, HELLO, rsv=4), chopped=True)
    yield Case("3.5", [frame(BINARY, b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff", rsv=5)], ends=PROTOCOL)
    yield Case("3.6", [frame(BINARY, HELLO, rsv=6)], ends=PROTOCOL)
    yield Case("3.7", [frame(CLOSE, rsv=7)], ends=PROTOCOL)


def opcodes():
    for group, first in [(1, 3), (2, 11)]:
        yield Case(f"4.{group}.1", [frame(first)], ends=PROTOCOL)
        yield Case(f"4.{group}.2", [frame(first + 1, b"reserved opcode payload")], ends=PROTOCOL)
        yield refused_after_a_text(f"4.{group}.3", frame(first + 2))
        yield refused_after_a_text(f"4.{group}.4", frame(first + 3, HELLO))
        yield refused_after_a_text(f"4.{group}.5", frame(first + 4, HELLO), chopped=True)


def in_parts(parts):
    """A text that is answered, whose parts are these but for what stands around them."""
    before, after = wrapped(b"|").split(b"|")
    parts = [before + parts[0], *parts[1:]]
    parts[-1] += after
    last = len(parts) - 1
    return [frame(TEXT if n == 0 else CONT, part, fin=n == last) for n, part in enumerate(parts)]


def three_ways(first, frames, *rest, **more):
    """The same frames in one piece, one by one, and byte by byte."""
    apart = [step for it in frames for step in (it, ("wait", 0.02))]
    for n, steps in enumerate([[b"".join(frames)], apart, [("chop", 1, it) for it in frames]]):
        yield Case(f"5.{first + n}", steps, *rest, **more)


def fragments():
    one, two = b"fragment1", b"fragment2"
    yield Case("5.1", [frame(PING, one, fin=False), frame(CONT, two)], ends=PROTOCOL)
    yield Case("5.2", [frame(PONG, one, fin=False), frame(CONT, two)], ends=PROTOCOL)
    whole = in_parts([one, two])
    yield from three_ways(3, whole, [echo(one + two)])
    between = [whole[0], frame(PING, b"ping payload"), whole[1]]
    yield from three_ways(6, between, [("pong", b"ping payload"), echo(one + two)])
    for first, fin in [(9, True), (12, False)]:
        stray = [frame(CONT, b"non-continuation payload", fin=fin), frame(TEXT, HELLO)]
        yield from three_ways(first, stray, ends=PROTOCOL)
    stray = [frame(CONT, b"fragment3", fin=False), frame(TEXT, b"fragment4")]
    yield Case("5.15", whole + stray, [echo(one + two)], PROTOCOL, lesser=[])
    for number, fin in [("5.16", False), ("5.17", True)]:
        again = [frame(CONT, one, fin=fin), frame(TEXT, two, fin=False), frame(CONT, b"fragment3")]
        yield Case(number, again * 2, ends=PROTOCOL)
    yield Case("5.18", [frame(TEXT, one, fin=False), frame(TEXT, two)], ends=PROTOCOL)
    parts = [b"fragment%d" % n for n in range(1, 6)]
    a, b, c, d, e = in_parts(parts)
    asked = [b"pongme 1!", b"pongme 2!"]
    answers = [("pong", asked[0]), ("pong", asked[1]), echo(b"".join(parts))]
    for number, pause in [("5.19", 0), ("5.20", 0.02)]:
        steps = [a, b, frame(PING, asked[0]), "second", c, d, frame(PING, asked[1]), e]
        steps = [("wait", 1) if it == "second" else it for it in steps]
        yield Case(number, [s for it in steps for s in (it, ("wait", pause))], answers)


def sequences():
    """Bytes that are UTF-8 or not, in the suite's groups."""
    word = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"
    yield [b"hello$world", b"hello\xc2\xa2world", b"hello\xe2\x82\xacworld", b"hello\xf0\xa4\xad\xa2world", word]
    yield [word[:n] for n in range(1, len(word) + 1)]
    yield [b"\x00", b"\xc2\x80", b"\xe0\xa0\x80", b"\xf0\x90\x80\x80"]
    yield [b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80"]
    yield [b"\x7f", b"\xdf\xbf", b"\xef\xbf\xbf", b"\xf4\x8f\xbf\xbf"]
    yield [b"\xf7\xbf\xbf\xbf", b"\xfb\xbf\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf\xbf"]
    yield [b"\xed\x9f\xbf", b"\xee\x80\x80", b"\xef\xbf\xbd", b"\xf4\x8f\xbf\xbf", b"\xf4\x90\x80\x80"]
    yield [b"\x80", b"\xbf", *[(b"\x80\xbf" * 3)[:n] for n in range(2, 7)], bytes(range(0x80, 0xBF))]
    starts = [(0xC0, 0xDF), (0xE0, 0xEF), (0xF0, 0xF7), (0xF8, 0xFB), (0xFC, 0xFD)]
    yield [b"".join(bytes([n, 0x20]) for n in range(*it)) for it in starts]
    cut = [b"\xc0", b"\xe0\x80", b"\xf0\x80\x80", b"\xf8\x80\x80\x80", b"\xfc\x80\x80\x80\x80"]
    cut += [b"\xdf", b"\xef\xbf", b"\xf7\xbf\xbf", b"\xfb\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf"]
    yield cut
    yield [b"".join(cut)]
    yield [b"\xfe", b"\xff", b"\xfe\xfe\xff\xff"]
    heads = [b"\xc0", b"\xe0\x80", b"\xf0\x80\x80", b"\xf8\x80\x80\x80", b"\xfc\x80\x80\x80\x80"]
    yield [it + b"\xaf" for it in heads]
    yield [b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf", b"\xf8\x87\xbf\xbf\xbf", b"\xfc\x83\xbf\xbf\xbf\xbf"]
    yield [it + b"\x80" for it in heads]
    high = [b"\xed\xa0\x80", b"\xed\xad\xbf", b"\xed\xae\x80", b"\xed\xaf\xbf"]
    low = [b"\xed\xb0\x80", b"\xed\xbe\x80", b"\xed\xbf\xbf"]
    yield high + low
    yield [a + b for a in high for b in (low[0], low[2])]
    planes = [bytes([a, b, 0xBF, c]) for a in range(0xF0, 0xF5) for b in (0x8F, 0x9F, 0xAF, 0xBF) for c in (0xBE, 0xBF)]
    is_point = lambda it: not (it[0] == 0xF4 and it[1] != 0x8F) and not (it[0] == 0xF0 and it[1] == 0x8F)
    yield [b"\xef\xbf\xbe", b"\xef\xbf\xbf", *filter(is_point, planes)]
    yield [b"\xef\xbf" + bytes([n]) for n in range(0xB9, 0xC0)]


def is_utf8(payload):
    try:
        payload.decode("utf-8")
        return True
    except UnicodeDecodeError:
        return False


def fails_fast():
    """A text that stops being UTF-8 in its second part, before its end is there."""
    parts = [b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5", b"\xf4\x90\x80\x80", b"edited"]
    whole = b"".join(parts)
    for number, cuts in [(1, (11, 15)), (2, (12, 13))]:
        a, b, c = whole[: cuts[0]], whole[cuts[0] : cuts[1]], whole[cuts[1] :]
        frames = [frame(TEXT, a, fin=False), frame(CONT, b, fin=False), frame(CONT, c)]
        head = frame(TEXT, whole)[: -len(whole)]
        body = frame(TEXT, whole)
        pieces = [body[: len(head) + cuts[0]], body[len(head) + cuts[0] : len(head) + cuts[1]], body[len(head) + cuts[1] :]]
        for index, steps in [(number, frames), (number + 2, pieces)]:
            steps = [steps[0], ("wait", 0.3), steps[1], ("wait", 0.3), ("late",), steps[2]]
            yield Case(f"6.4.{index}", steps, ends=UNREADABLE, fails_fast=True)


def utf8():
    text = "Hello-µ@ßöäüàá-UTF-8!!".encode()
    greek = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"
    broken = greek + b"\xed\xa0\x80edited"
    yield Case("6.1.1", [frame(TEXT)], [ANY])
    yield Case("6.1.2", [frame(TEXT, fin=False), frame(CONT, fin=False), frame(CONT)], [ANY])
    middle = wrapped(b"middle frame payload")
    yield Case("6.1.3", [frame(TEXT, fin=False), frame(CONT, middle, fin=False), frame(CONT)], [echo(b"middle frame payload")])
    yield Case("6.2.1", [frame(TEXT, wrapped(text))], [echo(text)])
    half = "Hello-µ@ßöä".encode()
    yield Case("6.2.2", in_parts([half, text[len(half) :]]), [echo(text)])
    yield Case("6.2.3", byte_by_byte(wrapped(text)), [echo(text)])
    yield Case("6.2.4", byte_by_byte(wrapped(greek)), [echo(greek)])
    yield Case("6.3.1", [frame(TEXT, broken)], ends=UNREADABLE)
    yield Case("6.3.2", byte_by_byte(broken), ends=UNREADABLE)
    yield from fails_fast()
    for group, payloads in enumerate(sequences(), 5):
        for n, payload in enumerate(payloads, 1):
            number = f"6.{group}.{n}"
            if is_utf8(payload):
                is_json = all(byte >= 0x20 for byte in payload)
                yield Case(number, [frame(TEXT, wrapped(payload))], [echo(payload) if is_json else ANY])
            else:
                yield Case(number, [frame(TEXT, payload)], ends=UNREADABLE)


def byte_by_byte(text):
    last = len(text) - 1
    return [frame(CONT if n else TEXT, text[n : n + 1], fin=n == last) for n in range(len(text))]


def closing():
    said = frame(TEXT, wrapped(HELLO))
    yield Case("7.1.1", [said], [echo(HELLO)])
    for number, after in [("7.1.2", close()), ("7.1.3", frame(PING)), ("7.1.4", said)]:
        yield Case(number, [close(1000), after], ends=(1000,))
    a, b = in_parts([b"fragment1", b"fragment2"])
    yield Case("7.1.5", [a, close(1000), b], ends=(1000,))
    much = frame(TEXT, wrapped(b"BAsd7&jh23" * 26214))
    steps = [much, said, close(1000), frame(PING)]
    yield Case("7.1.6", steps, [ANY, echo(HELLO)], (1000,), informs=True)
    yield Case("7.3.1", [close()], ends=(None, 1000))
    yield Case("7.3.2", [frame(CLOSE, b"a")], ends=PROTOCOL)
    yield Case("7.3.3", [close(1000)], ends=(1000,))
    yield Case("7.3.4", [close(1000, b"Hello World!")], ends=(1000,))
    yield Case("7.3.5", [close(1000, b"*" * 123)], ends=(1000,))
    yield Case("7.3.6", [close(1000, b"*" * 124)], ends=PROTOCOL)
    broken = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited"
    yield Case("7.5.1", [close(1000, broken)], ends=(1002, 1007))
    fair = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999]
    for n, code in enumerate(fair, 1):
        yield Case(f"7.7.{n}", [close(code)], ends=(1000, code))
    for n, code in enumerate([0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999], 1):
        yield Case(f"7.9.{n}", [close(code)], ends=PROTOCOL)
    for n, code in enumerate([5000, 65535], 1):
        yield Case(f"7.13.{n}", [close(code)], ends=(1000, 1002, code), informs=True)


def large():
    text, back = of_length(65536)
    parts = [text[n : n + 1300] for n in range(0, len(text), 1300)]
    last = len(parts) - 1
    steps = [frame(CONT if n else TEXT, part, fin=n == last) for n, part in enumerate(parts)]
    yield Case("10.1.1", steps, [echo(back)])


def own():
    """What the suite leaves out."""
    most = 1 << 20
    text, back = of_length(most)
    yield Case("own.largest_message", [frame(TEXT, text)], [echo(back)])
    yield Case("own.frame_too_large", [frame(TEXT, b"", length=most + 1)], ends=(1009,))
    yield Case("own.frame_of_half_the_world", [frame(BINARY, b"", length=(1 << 63) - 1)], ends=(1009,))
    yield Case("own.length_with_its_first_bit", [frame(BINARY, b"", length=1 << 63)], ends=(1002, 1009))
    parts = [frame(TEXT, b"*" * 65536, fin=False)] + [frame(CONT, b"*" * 65536, fin=False)] * 16
    yield Case("own.message_too_large", parts, ends=(1009,))
    yield Case("own.no_mask", [frame(TEXT, HELLO, masked=False)], ends=PROTOCOL)
    yield Case("own.ping_without_mask", [frame(PING, masked=False)], ends=PROTOCOL)
    yield Case("own.close_without_mask", [frame(CLOSE, masked=False)], ends=PROTOCOL)
    yield Case("own.binary_in_parts", [frame(BINARY, b"a", fin=False), frame(CONT, b"b")], [ANY])
    whole = wrapped("é€𝄞".encode())
    for cut in range(len(whole) + 1):
        steps = [frame(TEXT, whole[:cut], fin=False), frame(PING, b"%d" % cut), frame(CONT, whole[cut:])]
        yield Case(f"own.cut_after_{cut}", steps, [("pong", b"%d" % cut), echo("é€𝄞".encode())])


class Connection:
    """A WebSocket whose frames are made by hand."""

    def __init__(self, address, token):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), WAIT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        status, self.rest = upgrade(self.socket, address, {"Authorization": f"Bearer {token}"})
        assert status == 101, f"no WebSocket, but {status}"

    def send(self, step):
        """Sends a step; whether the other side still listened."""
        kind, *rest = step if isinstance(step, tuple) else ("whole", step)
        try:
            if kind == "wait":
                time.sleep(rest[0])
            elif kind == "chop":
                size, data = rest
                for n in range(0, len(data), size):
                    self.socket.sendall(data[n : n + size])
            elif kind == "whole":
                self.socket.sendall(rest[0])
            return True
        except OSError:
            return False

    def has_ended(self):
        """Whether something that is no answer has come already."""
        self.socket.settimeout(0.05)
        try:
            piece = self.socket.recv(65536)
            self.rest += piece
            return not piece or bool(self.rest)
        except TimeoutError:
            return False
        except OSError:
            return True
        finally:
            self.socket.settimeout(WAIT_S)

    def read(self, n_bytes):
        while len(self.rest) < n_bytes:
            piece = self.socket.recv(65536)
            if not piece:
                raise EOFError
            self.rest += piece
        taken, self.rest = self.rest[:n_bytes], self.rest[n_bytes:]
        return taken

    def hear(self):
        """The next frame, as ("text", id), ("pong", payload), ("close", code) or ("gone", why)."""
        try:
            first, second = self.read(2)
            length = second & 0x7F
            if length == 126:
                (length,) = struct.unpack(">H", self.read(2))
            elif length == 127:
                (length,) = struct.unpack(">Q", self.read(8))
            payload = self.read(length)
        except TimeoutError:
            return ("silent", None)
        except (EOFError, OSError) as error:
            return ("gone", type(error).__name__)
        if second & 0x80 or first & 0x70 or not first & 0x80:
            return ("odd", first)
        return spelled(first & 0x0F, payload)


def spelled(opcode, payload):
    if opcode == TEXT:
        told = json.loads(payload)
        said = told.get("id")
        return ("text", said.encode() if isinstance(said, str) else None) if told["type"] == "refused" else ("odd", told)
    if opcode == CLOSE:
        if len(payload) >= 2:
            payload[2:].decode("utf-8")
        return ("close", struct.unpack(">H", payload[:2])[0] if payload else None)
    return ("pong" if opcode == PONG else "odd", payload)


def upgrade(stream, address, headers, version="13"):
    """Asks for a WebSocket; the status, and what came after the head."""
    key = base64.b64encode(os.urandom(16)).decode()
    asked = {"Host": address, "Connection": "Upgrade", "Upgrade": "websocket"}
    asked |= {"Sec-WebSocket-Version": version, "Sec-WebSocket-Key": key} | headers
    lines = "".join(f"{name}: {value}\r\n" for name, value in asked.items() if value is not None)
    stream.sendall(f"GET /api/ws HTTP/1.1\r\n{lines}\r\n".encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        piece = stream.recv(65536)
        if not piece:
            break
        answer += piece
    head, _, rest = answer.partition(b"\r\n\r\n")
    return int(re.match(rb"HTTP/1.1 (\d+)", head).group(1)), rest


def matches(answers, expected):
    if len(answers) != len(expected):
        return False
    return all(a == e or (e == ANY and a[0] == "text") for a, e in zip(answers, expected))


def run(case, address, token):
    """OK, LESSER (allowed, but not the best), INFORMS (nothing is asked), or what went wrong."""
    connection = Connection(address, token)
    is_late = False
    for step in case.steps:
        if step == ("late",):
            is_late = not connection.has_ended()
        elif not connection.send(step):
            break
    answers = []
    if case.ends is None:
        while len(answers) < len(case.answers):
            answers.append(connection.hear())
            if answers[-1][0] in ("close", "gone", "silent"):
                return f"heard {answers}"
        connection.send(close(1000))
    ended = connection.hear()
    while ended[0] in ("text", "pong"):
        answers.append(ended)
        ended = connection.hear()
    verdict = judge(case, answers, ended, is_late)
    if ended[0] == "close" and (after := connection.hear())[0] not in ("gone",):
        verdict = f"after the close came {after}"
    return "INFORMS" if case.informs else verdict


def judge(case, answers, ended, is_late):
    may = (1000,) if case.ends is None else case.ends
    if ended[0] != "close" or ended[1] not in may:
        return f"ended with {ended}, after {answers}; may be {may}"
    if matches(answers, case.answers):
        return "LESSER" if is_late else "OK"
    if case.lesser is not None and matches(answers, case.lesser):
        return "LESSER"
    return f"heard {answers}, expected {case.answers}"


def handshakes(address, token):
    """Requests for a WebSocket that must not get one."""
    known = {"Authorization": f"Bearer {token}"}
    for name, headers, version, wanted in [
        ("no_token", {}, "13", 401),
        ("wrong_token", {"Authorization": "Bearer wrong"}, "13", 401),
        ("foreign_origin", known | {"Origin": "http://evil.example"}, "13", 403),
        ("other_host", known | {"Host": "evil.example"}, "13", 421),
        ("no_key", known | {"Sec-WebSocket-Key": None}, "13", 426),
        ("no_upgrade", known | {"Upgrade": None, "Connection": None}, "13", 426),
        ("old_version", known, "8", 426),
    ]:
        host, port = address.rsplit(":", 1)
        with socket.create_connection((host, int(port)), WAIT_S) as stream:
            status, _ = upgrade(stream, address, headers, version)
        yield f"own.handshake_{name}", "OK" if status == wanted else f"{status}, not {wanted}"


def main(address, token):
    suite = [framing, pings, reserved_bits, opcodes, fragments, utf8, closing, large]
    cases = [case for part in suite for case in part()]
    assert len(cases) == 247, len(cases)
    results = [(case.number, run(case, address, token)) for case in cases + list(own())]
    results += handshakes(address, token)
    counts = {}
    for number, result in results:
        kind = result if result in ("OK", "LESSER", "INFORMS") else "FAILED"
        group = "own" if number.startswith("own") else "suite"
        counts[group, kind] = counts.get((group, kind), 0) + 1
        if kind != "OK":
            print(f"  {number}: {result}")
    print("; ".join(f"{group}: {n} {kind}" for (group, kind), n in sorted(counts.items())))
    return any(kind == "FAILED" for _, kind in counts)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
