#!/usr/bin/env python3
"""OpenAI's Python SDK, unmodified, against a server's chat model: what must hold whatever the model says.

usage: check_chat.py BASE_URL MODEL      (run by a Python that has the package openai)

MODEL allows structured outputs and answers the same at temperature 0.
"""
import asyncio
import json
import sys

import openai

BASE, MODEL = sys.argv[1], sys.argv[2]
client = openai.OpenAI(base_url=BASE, api_key="unused", max_retries=0)
ASK = {"model": MODEL, "messages": [{"role": "user", "content": "Tell me about the sea: tre øyer 🎉"}], "temperature": 0, "max_tokens": 24}
TOOLS = [{"type": "function", "function": {"name": "look_up", "parameters": {
    "type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"], "additionalProperties": False}}}]


def want(holds, *shown):
    if not holds:
        raise SystemExit("check_chat: " + " ".join(map(repr, shown)))


def check_whole():
    answer = client.chat.completions.create(**ASK)
    choice = answer.choices[0]
    want(answer.id.startswith("chatcmpl-") and answer.object == "chat.completion", answer)
    want(choice.finish_reason in ("stop", "length") and choice.message.role == "assistant", choice)
    want(choice.message.tool_calls is None, choice)
    usage = answer.usage
    want(usage.total_tokens == usage.prompt_tokens + usage.completion_tokens and usage.prompt_tokens > 0, usage)
    want(usage.completion_tokens <= ASK["max_tokens"], usage)
    return choice.message.content


def check_stream(whole):
    for include_usage in (False, True):
        options = {"stream_options": {"include_usage": True}} if include_usage else {}
        chunks = list(client.chat.completions.create(**ASK, n=2, stream=True, **options))
        want(len({chunk.id for chunk in chunks}) == 1 and len({chunk.created for chunk in chunks}) == 1, chunks)
        texts, roles, reasons = ["", ""], [0, 0], [[], []]
        for chunk in chunks:
            want(chunk.object == "chat.completion.chunk", chunk)
            for choice in chunk.choices:
                texts[choice.index] += choice.delta.content or ""
                roles[choice.index] += choice.delta.role is not None
                reasons[choice.index] += [choice.finish_reason] if choice.finish_reason else []
        want(texts == [whole, whole], texts, whole)
        want(roles == [1, 1] and all(len(one) == 1 for one in reasons), roles, reasons)
        want(bool(chunks[-1].usage) == include_usage and (not chunks[-1].choices) == include_usage, chunks[-1])
        want(all(chunk.usage is None for chunk in chunks[:-1]), chunks)


def check_logprobs():
    tokens = client.chat.completions.create(**ASK, logprobs=True, top_logprobs=3).choices[0].logprobs.content
    want(len(tokens) > 0, tokens)
    for token in tokens:
        want(token.logprob <= 0 and len(token.top_logprobs) <= 3, token)
    streamed = []
    for chunk in client.chat.completions.create(**ASK, logprobs=True, top_logprobs=3, stream=True):
        for choice in chunk.choices:
            streamed += choice.logprobs.content if choice.logprobs else []
    want([one.token for one in streamed] == [one.token for one in tokens], streamed, tokens)


def check_tools():
    whole = client.chat.completions.create(**{**ASK, "max_tokens": 200}, tools=TOOLS, tool_choice="required", parallel_tool_calls=False)
    choice = whole.choices[0]
    want(choice.finish_reason == "tool_calls" and len(choice.message.tool_calls) == 1, choice)
    call = choice.message.tool_calls[0]
    want(call.function.name == "look_up" and call.id and isinstance(json.loads(call.function.arguments)["x"], int), call)
    with client.chat.completions.stream(**{**ASK, "max_tokens": 200}, tools=TOOLS, tool_choice="required",
                                        parallel_tool_calls=False) as stream:
        streamed = stream.get_final_completion().choices[0].message.tool_calls
    want(streamed[0].function.arguments == call.function.arguments, streamed, call)
    back = ASK["messages"] + [choice.message.model_dump(), {"role": "tool", "tool_call_id": call.id, "content": "42"}]
    want(client.chat.completions.create(**{**ASK, "messages": back}, tools=TOOLS).choices[0].message.role == "assistant")


def check_completions():
    fields = {"model": MODEL, "prompt": ["One two", "Three"], "n": 2, "echo": True, "logprobs": 1, "max_tokens": 4, "temperature": 0}
    answer = client.completions.create(**fields)
    want([choice.index for choice in answer.choices] == [0, 1, 2, 3], answer)
    for choice in answer.choices:
        want(choice.text.startswith(fields["prompt"][choice.index // 2]), choice)
        lists = choice.logprobs
        want(lists.token_logprobs[0] is None and lists.text_offset[0] == 0, lists)
        want(len(lists.tokens) == len(lists.token_logprobs) == len(lists.top_logprobs) == len(lists.text_offset), lists)
    texts = [""] * 4
    for chunk in client.completions.create(**fields, stream=True):
        for choice in chunk.choices:
            texts[choice.index] += choice.text
    want(texts == [choice.text for choice in answer.choices], texts, answer)


def check_errors():
    def refused(kind, status, param, code=None, **fields):
        try:
            client.chat.completions.create(**{**ASK, **fields})
        except kind as error:
            want((error.status_code, error.param, error.code) == (status, param, code), error.body)
            return
        raise SystemExit(f"check_chat: no error for {fields}")
    refused(openai.NotFoundError, 404, "model", "model_not_found", model="nope")
    refused(openai.BadRequestError, 400, "temperature", temperature=3)
    refused(openai.BadRequestError, 400, "messages", messages=[])
    refused(openai.BadRequestError, 400, "messages[0].content[0].type",
            messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}])
    refused(openai.BadRequestError, 400, "stream_options", stream_options={"include_usage": True})
    refused(openai.BadRequestError, 400, "tool_choice.function.name", tools=TOOLS,
            tool_choice={"type": "function", "function": {"name": "other"}})


async def check_crowd(whole):
    async with openai.AsyncOpenAI(base_url=BASE, api_key="unused", max_retries=5) as other:
        async def one(leave):
            text = ""
            stream = await other.chat.completions.create(**ASK, stream=True)
            async for chunk in stream:
                text += chunk.choices[0].delta.content or ""
                if leave and text:
                    await stream.close()
                    return whole
            return text
        texts = await asyncio.gather(*[one(leave=i % 4 == 3) for i in range(16)])
    want(texts == [whole] * 16, texts, whole)


def main():
    whole = check_whole()
    check_stream(whole)
    check_logprobs()
    check_completions()
    check_errors()
    asyncio.run(check_crowd(whole))
    check_tools()
    print("check_chat: all hold")


main()
