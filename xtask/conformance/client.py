"""OpenAI's own Python client, unchanged, against the gateway, with the model behind it as `server.py` scripts it.

Usage: client.py HOST:PORT TOKEN. Every function named `check_…` is one check; ends with 1 when one failed.
"""

import asyncio
import json
import sys
import traceback

import openai

ANSWER = "The answer is forty-two."
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def says(text):
    return [{"role": "user", "content": text}]


def fails(kind, call):
    """The error that a call ends with, which has to be of this kind."""
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


def check_chat(client):
    done = client.chat.completions.create(model="titanclaw", messages=says("hi"))
    choice = done.choices[0]
    assert (choice.message.content, choice.finish_reason) == (ANSWER, "stop"), done
    assert choice.message.role == "assistant" and done.object == "chat.completion"
    assert done.usage.total_tokens == done.usage.prompt_tokens + done.usage.completion_tokens > 0


def check_chat_with_a_past_and_parts(client):
    parts = [{"type": "text", "text": "and "}, {"type": "text", "text": "now?"}]
    past = [{"role": "system", "content": "Be brief."}, *says("hi"), {"role": "assistant", "content": "Hello."}]
    done = client.chat.completions.create(
        model="titanclaw", messages=[*past, {"role": "user", "content": parts}], temperature=0.2, max_tokens=100
    )
    assert done.choices[0].message.content == ANSWER


def check_chat_streams(client):
    options = {"include_usage": True}
    stream = client.chat.completions.create(model="titanclaw", messages=says("hi"), stream=True, stream_options=options)
    chunks = list(stream)
    texts = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(texts) == ANSWER and sum(map(bool, texts)) > 1, texts
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens > 0
    assert [it.choices[0].finish_reason for it in chunks if it.choices][-1] == "stop"
    assert len({chunk.id for chunk in chunks}) == 1


def check_a_stream_can_be_left(client):
    stream = client.chat.completions.create(model="titanclaw", messages=says("[slow] count"), stream=True)
    next(iter(stream))
    stream.close()
    assert client.models.list().data


def check_the_helper_for_streams(client):
    with client.chat.completions.stream(model="titanclaw", messages=says("hi")) as stream:
        for _ in stream:
            pass
        assert stream.get_final_completion().choices[0].message.content == ANSWER


def check_raw_answers(client):
    raw = client.chat.completions.with_raw_response.create(model="titanclaw", messages=says("hi"))
    assert raw.headers["content-type"] == "application/json" and raw.status_code == 200
    assert raw.parse().choices[0].message.content == ANSWER


def call_of(choice, n_calls):
    calls = choice.message.tool_calls
    assert choice.finish_reason == "tool_calls" and len(calls) == n_calls, choice
    assert all(call.type == "function" and call.function.name == "get_weather" for call in calls)
    assert len({call.id for call in calls}) == n_calls
    return calls


def check_tools(client):
    messages = says("How is the weather in Oslo?")
    first = client.chat.completions.create(model="titanclaw", messages=messages, tools=[WEATHER])
    (call,) = call_of(first.choices[0], 1)
    assert json.loads(call.function.arguments) == {"city": "Oslo"}
    result = {"role": "tool", "tool_call_id": call.id, "content": "21 degrees"}
    messages += [first.choices[0].message, result]
    second = client.chat.completions.create(model="titanclaw", messages=messages, tools=[WEATHER])
    assert second.choices[0].message.content == "Found: 21 degrees" and second.choices[0].finish_reason == "stop"


def check_two_calls_at_once(client):
    for choice in ["auto", "required", {"type": "function", "function": {"name": "get_weather"}}]:
        done = client.chat.completions.create(
            model="titanclaw", messages=says("[two] cities"), tools=[WEATHER], tool_choice=choice
        )
        calls = call_of(done.choices[0], 2)
        assert [json.loads(call.function.arguments)["city"] for call in calls] == ["Oslo", "Rome"]


def check_tools_stream(client):
    with client.chat.completions.stream(model="titanclaw", messages=says("[two] cities"), tools=[WEATHER]) as stream:
        kinds = {event.type for event in stream}
        done = stream.get_final_completion()
    assert "tool_calls.function.arguments.delta" in kinds, kinds
    calls = call_of(done.choices[0], 2)
    assert [json.loads(call.function.arguments)["city"] for call in calls] == ["Oslo", "Rome"]


def check_tools_without_a_call(client):
    done = client.chat.completions.create(model="titanclaw", messages=says("hi"), tools=[], n=1)
    assert done.choices[0].message.tool_calls is None


def check_wrong_tools(client):
    for tools in [[{"type": "custom", "custom": {"name": "x"}}], [{"type": "function", "function": {"name": "no name"}}]]:
        fails(openai.BadRequestError, lambda: client.chat.completions.create(model="titanclaw", messages=says("hi"), tools=tools))
    answer = [*says("hi"), {"role": "tool", "tool_call_id": "call_1", "content": "x"}]
    fails(openai.ConflictError, lambda: client.chat.completions.create(model="titanclaw", messages=answer, tools=[WEATHER]))


def check_responses(client):
    done = client.responses.create(model="titanclaw", input="hi", instructions="Be brief.")
    assert done.output_text == ANSWER and done.status == "completed" and done.usage.total_tokens > 0
    again = client.responses.create(model="titanclaw", input=says("hi"))
    assert again.output_text == ANSWER


def check_responses_stream(client):
    with client.responses.stream(model="titanclaw", input="hi") as stream:
        events = [event.type for event in stream]
        assert stream.get_final_response().output_text == ANSWER
    assert events[0] == "response.created" and events[-1] == "response.completed", events
    assert events.count("response.output_text.delta") > 1


def check_models(client):
    ids = [model.id for model in client.models.list()]
    assert ids == ["titanclaw", "script/scripted"], ids
    assert client.models.retrieve("titanclaw").owned_by == "titanclaw"
    assert client.models.retrieve("script/scripted").id == "script/scripted"
    fails(openai.NotFoundError, lambda: client.models.retrieve("gpt-0"))


def check_embeddings(client):
    one = client.embeddings.create(model="local", input="a cat")
    two = client.embeddings.create(model="local", input=["a cat", "an invoice"], encoding_format="float")
    vectors = [item.embedding for item in two.data]
    assert [item.index for item in two.data] == [0, 1] and len(vectors[0]) == len(vectors[1]) > 10
    # The client asks for base64 by itself; both spellings are the same vector.
    assert all(abs(a - b) < 1e-6 for a, b in zip(one.data[0].embedding, vectors[0]))
    assert vectors[0] != vectors[1] and two.usage.total_tokens > 0


def check_errors(client):
    create = client.chat.completions.create
    wrong = client.with_options(api_key="wrong")
    fails(openai.AuthenticationError, lambda: wrong.models.list())
    error = fails(openai.BadRequestError, lambda: create(model="titanclaw", messages=says("hi"), n=2))
    assert error.param == "n" and error.type == "invalid_request_error" and error.message, error
    fails(openai.BadRequestError, lambda: create(model="titanclaw", messages=[]))
    fails(openai.BadRequestError, lambda: client.embeddings.create(model="local", input=[]))
    fails(openai.NotFoundError, lambda: client.files.list())
    fails(openai.NotFoundError, lambda: client.images.generate(prompt="a cat"))
    failed = fails(openai.InternalServerError, lambda: create(model="titanclaw", messages=says("[fail]")))
    assert failed.status_code == 502 and "refuse" in failed.message, failed


def check_errors_within_a_stream(client):
    for more in [{}, {"tools": [WEATHER]}]:
        create = lambda: list(client.chat.completions.create(model="titanclaw", messages=says("[fail]"), stream=True, **more))
        assert "refuse" in fails(openai.APIError, create).message


def check_patience_has_an_end(client):
    hasty = client.with_options(timeout=0.5)
    fails(openai.APITimeoutError, lambda: hasty.chat.completions.create(model="titanclaw", messages=says("[slow]")))


def check_many_at_once(client):
    other = openai.AsyncOpenAI(base_url=client.base_url, api_key=client.api_key, max_retries=0)

    async def all_of_them():
        asked = [other.chat.completions.create(model="titanclaw", messages=says("hi")) for _ in range(8)]
        return await asyncio.gather(*asked)

    assert all(done.choices[0].message.content == ANSWER for done in asyncio.run(all_of_them()))


def main(address, token):
    client = openai.OpenAI(base_url=f"http://{address}/v1", api_key=token, max_retries=0, timeout=60)
    checks = [(name, it) for name, it in globals().items() if name.startswith("check_")]
    n_failed = 0
    for name, check in checks:
        try:
            check(client)
        except Exception:
            n_failed += 1
            print(f"  {name} failed:\n{traceback.format_exc(limit=-2)}")
    print(f"openai {openai.__version__}: {len(checks) - n_failed} of {len(checks)} checks passed")
    return n_failed > 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
