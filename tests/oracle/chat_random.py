"""Conversations to hold chat formats against each other: the same on every machine.

`CASES` has the named ones, each rule of the format at its borders; `conversations(count)` gives
random ones. `templates` are those of Qwen3 run by jinja2 as transformers runs them.

The hybrid's template is a file; those of Instruct-2507 and Thinking-2507 are made from it by the
rules in which they differ, unless a file of theirs is given.
"""

import json
import random
import re

from jinja2.sandbox import ImmutableSandboxedEnvironment

WEATHER = {"type": "function", "function": {
    "name": "weather", "description": "Le temps qu'il fait <b>&amp; sera</b>",
    "parameters": {"type": "object", "properties": {
        "zone": {"type": "string"}, "at": {"type": "number", "default": 1.5}},
        "required": ["zone"], "additionalProperties": False}}}
ADD = {"name": "add", "parameters": {"b": 1, "a": [1e-7, 1e16, 0.1, -0.0, 12345678901234567, None]}}


def user(content="What is 2+2?"):
    return {"role": "user", "content": content}


def assistant(content="4", **more):
    return {"role": "assistant", "content": content, **more}


def system(content="You are weft."):
    return {"role": "system", "content": content}


def tool(content="21 °C"):
    return {"role": "tool", "content": content}


def call(arguments, name="weather", nested=True):
    function = {"name": name, "arguments": arguments}
    return {"type": "function", "function": function} if nested else function


CASES = {
    "one_question": {"messages": [user()]},
    "generation_prompt": {"messages": [user()], "add_generation_prompt": True},
    "thinking_off": {"messages": [user()], "add_generation_prompt": True, "enable_thinking": False},
    "thinking_on": {"messages": [user()], "add_generation_prompt": True, "enable_thinking": True},
    "thinking_off_no_prompt": {"messages": [user(), assistant()], "enable_thinking": False},
    "system": {"messages": [system(), user(), assistant()]},
    "system_only": {"messages": [system()]},
    "system_later": {"messages": [user(), system(), assistant()]},
    "two_systems": {"messages": [system(), system("Again"), user()]},
    "empty_contents": {"messages": [system(""), user(""), assistant("")]},
    "empty_think_on_last": {"messages": [user(), assistant(), user(), assistant()]},
    "reasoning_content": {"messages": [user(), assistant(reasoning_content="2 and 2")]},
    "reasoning_newlines": {"messages": [user(), assistant("\n\n4\n", reasoning_content="\n\nx\n\n")]},
    "reasoning_null": {"messages": [user(), assistant("<think>\na\n</think>\n\n4",
                                                      reasoning_content=None)]},
    "reasoning_empty": {"messages": [user(), assistant("<think>a</think>4", reasoning_content="")]},
    "think_in_content": {"messages": [user(), assistant("<think>\nadd\n</think>\n\n4")]},
    "think_close_only": {"messages": [user(), assistant("add\n</think>\n\n4")]},
    "think_open_only": {"messages": [user(), assistant("<think>\nadd")]},
    "think_twice": {"messages": [user(), assistant("<think>a</think>b<think>c</think>\n\nd")]},
    "think_nested": {"messages": [user(), assistant("x<think>y<think>\n\nz\n</think>w")]},
    "history_loses_thought": {"messages": [
        user(), assistant("<think>\na\n</think>\n\n4"), user("and 3+3?"),
        assistant("6", reasoning_content="b")]},
    "history_reasoning_content": {"messages": [
        user(), assistant("4", reasoning_content="a"), user("more"), assistant("ok")]},
    "two_answers_in_a_row": {"messages": [user(), assistant("a"), assistant("b"),
                                          assistant("c", reasoning_content="r")]},
    "middle_with_thought": {"messages": [user(), assistant("a", reasoning_content="r"),
                                         assistant("b")]},
    "no_user": {"messages": [system(), assistant("hello")]},
    "assistant_first": {"messages": [assistant("hello"), user(), assistant()]},
    "tools": {"messages": [user()], "tools": [WEATHER]},
    "tools_system": {"messages": [system(), user()], "tools": [WEATHER, ADD],
                     "add_generation_prompt": True},
    "tools_empty": {"messages": [system(), user()], "tools": []},
    "tools_null": {"messages": [user()], "tools": None},
    "tools_unicode": {"messages": [user()], "tools": [{"名": "é\u2028\"\\/\u0007😀"}, "text", 3, []]},
    "tool_call": {"messages": [user(), assistant("", tool_calls=[call({"zone": "Zürich"})])]},
    "tool_call_text": {"messages": [user(), assistant("Let me see.",
                                                      tool_calls=[call({"zone": "x", "n": 1.0})])]},
    "tool_call_string": {"messages": [user(), assistant("", tool_calls=[call('{"zone":  1}')])]},
    "tool_call_flat": {"messages": [user(), assistant("", tool_calls=[call({}, nested=False)])]},
    "tool_call_empty_function": {"messages": [user(), assistant("", tool_calls=[
        {"function": {}, "name": "f", "arguments": {}}])]},
    "tool_calls_two": {"messages": [user(), assistant("", tool_calls=[call({}), call([1, "a"])])]},
    "tool_calls_text_two": {"messages": [user(), assistant("both", tool_calls=[call({}), call({})])]},
    "tool_calls_newline_content": {"messages": [user(), assistant("\n", tool_calls=[call({})])]},
    "tool_calls_null": {"messages": [user(), assistant("a", tool_calls=None)]},
    "tool_calls_none": {"messages": [user(), assistant("a", tool_calls=[])]},
    "tool_arguments_null": {"messages": [user(), assistant("", tool_calls=[call(None)])]},
    "tool_result": {"messages": [user(), assistant("", tool_calls=[call({})]), tool(),
                                 assistant("Warm.")], "tools": [WEATHER]},
    "tool_results_gathered": {"messages": [
        user(), assistant("", tool_calls=[call({}), call({})]), tool("a"), tool("b"),
        assistant("Warm.", reasoning_content="a, b")]},
    "tool_result_last": {"messages": [user(), assistant("", tool_calls=[call({})]), tool("a"),
                                      tool("")], "add_generation_prompt": True},
    "tool_result_first": {"messages": [tool("a"), user(), assistant()]},
    "tool_loop_keeps_thought": {"messages": [
        user(), assistant("", reasoning_content="look", tool_calls=[call({})]), tool(),
        assistant("", tool_calls=[call({"zone": "y"})]), tool(),
        assistant("Done.", reasoning_content="both")]},
    "wrapped_tool_response": {"messages": [
        user(), assistant("a", reasoning_content="r"),
        user("<tool_response>\n1\n</tool_response>"), assistant("b", reasoning_content="s")]},
    "half_wrapped": {"messages": [user(), assistant("a", reasoning_content="r"),
                                  user("<tool_response>\n1"), assistant("b")]},
    "switches_in_text": {"messages": [user("Hi /no_think"), assistant("Hi /think")]},
    "answer_starts_with_newlines": {"messages": [user(), assistant("\n\nx"), user(), assistant("y")]},
    "answer_is_newlines": {"messages": [user(), assistant("\n\n"), user("\n"), assistant("\n")]},
    "answer_starts_with_spaces": {"messages": [user("  a "), assistant(" \n  x "), user(" "),
                                               assistant("  y")]},
    "other_keys": {"messages": [{**user(), "name": "Ann", "weight": 1}], "id": 7},
    "parts": {"messages": [
        {"role": "system", "content": [{"type": "text", "text": "You are "},
                                       {"type": "text", "text": "weft."}]},
        {"role": "user", "content": [{"type": "text", "text": "a"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "<think>\nb"},
                                          {"type": "text", "text": "\n</think>\n\nc"}]}]},
    "parts_of_tool_response": {"messages": [
        user(), assistant("a", reasoning_content="r"),
        {"role": "user", "content": [{"type": "text", "text": "<tool_response>\n1"},
                                     {"type": "text", "text": "</tool_response>"}]},
        assistant("b")]},
    "arguments_numbers": {"messages": [user(), assistant("", tool_calls=[call(
        {"f": [1.0, -0.0, 1e22, 1e-5, 123456789.125, 5e-324, 1.7976931348623157e308, 0.1 + 0.2],
         "i": [0, -1, 2 ** 63 - 1, -2 ** 63, 2 ** 64 - 1], "b": [True, False, None]})])]},
    "arguments_escapes": {"messages": [user(), assistant("", tool_calls=[call(
        {"\u0000\u001f\u007f\u0080": "\b\f\n\r\t\"\\/<>&'", "\u2028\u2029\ufeff": "\U0001f600",
         "": {"": [[], {}, [{}], ""]}})])]},
    "control_tokens": {"messages": [system("<|im_end|>"), user("<|endoftext|><|im_start|>system\n"),
                                    assistant("<|im_end|>\n<|im_start|>user", tool_calls=[
                                        call({"<|im_end|>": "</tool_call>"})])]},
    "marks_at_borders": {"messages": [user("\u0301a"), assistant("\u0301b"), user("e"),
                                      assistant("\u0327")]},
}

TEXTS = ["", "", "4", "Hello there!", "\n", "\n\n", " ", "x\n", "\nx", "Zürich é 日本語 😀", "a\u0301\n\n ",
         "def f(x):\n    return x\n", "1234567890", "'s", "<tools>", "{}", "\t tab", "\r\n",
         "<b>&amp;</b> \"quoted\" 'single' \\ /"]
TAGS = ["<think>", "</think>", "<think>\n", "\n</think>\n\n", "<tool_call>", "<tool_response>",
        "</tool_response>", "<|im_end|>", "<|im_start|>assistant\n"]


def character(rng):
    """Any character but a surrogate."""
    while True:
        c = rng.randrange(*rng.choice([(0, 0x250), (0, 0x3000), (0x3000, 0xFFFF), (0, 0x110000)]))
        if not 0xD800 <= c < 0xE000:
            return chr(c)


def text(rng, tags):
    parts = [rng.choice(TAGS if rng.random() < tags else TEXTS) for _ in range(rng.randrange(1, 5))]
    if rng.random() < 0.1:
        parts.insert(0, "".join(character(rng) for _ in range(rng.randrange(1, 9))))
    return "".join(parts)


def value(rng, depth=0):
    kind = rng.randrange(5 if depth > 2 else 7)
    if kind == 0:
        return rng.choice([None, True, False])
    if kind == 1:
        return rng.randrange(-10 ** rng.randrange(1, 18), 10 ** rng.randrange(1, 18))
    if kind == 2:
        return rng.uniform(-1, 1) * 10.0 ** rng.randrange(-30, 30)
    if kind < 5:
        return text(rng, 0)
    if kind == 5:
        return [value(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {text(rng, 0) or "k": value(rng, depth + 1) for _ in range(rng.randrange(4))}


def tool_call(rng):
    arguments = {f"k{i}": value(rng) for i in range(rng.randrange(4))}
    chosen = json.dumps(arguments) if rng.random() < 0.2 else arguments
    return call(chosen, rng.choice(["weather", "add", "naïve"]), rng.random() < 0.7)


def message(rng, tags):
    role = rng.choice(["user", "user", "assistant", "assistant", "assistant", "tool", "system"])
    result = {"role": role, "content": text(rng, tags)}
    if role == "user" and tags and rng.random() < 0.1:
        result["content"] = f"<tool_response>{result['content']}</tool_response>"
    if role == "assistant":
        if rng.random() < 0.4:
            result["reasoning_content"] = rng.choice([None, text(rng, tags), text(rng, tags)])
        if rng.random() < 0.3:
            result["tool_calls"] = [tool_call(rng) for _ in range(rng.randrange(4))]
    if rng.random() < 0.1:
        result["content"] = in_parts(rng, result["content"])
    return result


def in_parts(rng, content):
    """The same text as a list of parts."""
    cuts = sorted(rng.randrange(len(content) + 1) for _ in range(rng.randrange(3)))
    ends = [*cuts, len(content)]
    return [{"type": "text", "text": content[a:b]} for a, b in zip([0, *cuts], ends)]


def conversations(count, tags=0.15, seed=1):
    """`tags` is the share of texts that are tags of the format."""
    rng = random.Random(seed)
    for _ in range(count):
        messages = [message(rng, tags) for _ in range(rng.randrange(1, 9))]
        if rng.random() < 0.4:
            messages.insert(0, system(text(rng, tags)))
        row = {"messages": messages}
        if rng.random() < 0.3:
            row["tools"] = rng.choice([[], [WEATHER], [ADD, WEATHER], [value(rng), value(rng)]])
        if rng.random() < 0.4:
            row["add_generation_prompt"] = rng.random() < 0.8
        if rng.random() < 0.4:
            row["enable_thinking"] = rng.random() < 0.5
        yield row


def compile_template(source):
    """A function from a conversation to its text, set up as transformers' apply_chat_template."""
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = lambda x: json.dumps(x, ensure_ascii=False)
    compiled = environment.from_string(source)
    return lambda row: compiled.render(**joined(row))


def joined(row):
    """The conversation with lists of parts made into the text that they are to weft. The templates
    render a list as nothing, or fail."""
    messages = [{**m, "content": "".join(part["text"] for part in m["content"])}
                if isinstance(m["content"], list) else m for m in row["messages"]]
    return {**row, "messages": messages}


def thinking_2507(hybrid):
    """As the hybrid, but every prompt begins the think block."""
    source, count = re.subn(r"\{\{- '<\|im_start\|>assistant\\n' \}\}\n    \{%- if enable_thinking.*?"
                            r"\{%- endif %\}\n", "{{- '<|im_start|>assistant\\\\n<think>\\\\n' }}\n",
                            hybrid, flags=re.DOTALL)
    assert count == 1
    return source


def instruct_2507(hybrid):
    """As the hybrid, but an assistant's content stands as it is, and there are no think blocks."""
    source, first = re.subn(r"\{%- set ns = .*?\{%- endfor %\}\n", "", hybrid, flags=re.DOTALL)
    source, second = re.subn(
        r"\{%- set content = message\.content %\}.*?(\{%- if message\.tool_calls %\})",
        r"{%- set content = message.content %}\n"
        r"        {{- '<|im_start|>' + message.role + '\\n' + content }}\n        \1",
        source, flags=re.DOTALL)
    source, third = re.subn(r"    \{%- if enable_thinking.*?\{%- endif %\}\n", "", source,
                            flags=re.DOTALL)
    assert first == second == third == 1
    return source


def templates(hybrid_path, given=()):
    """{name: function from a conversation to its text}. `given` has NAME=FILE for templates that
    are at hand."""
    hybrid = hybrid_path.read_text(encoding="utf-8")
    sources = {"qwen3": hybrid, "qwen3-instruct-2507": instruct_2507(hybrid),
               "qwen3-thinking-2507": thinking_2507(hybrid)}
    for entry in given:
        name, _, path = entry.partition("=")
        assert name in sources, f"{name} is none of {list(sources)}"
        sources[name] = open(path, encoding="utf-8").read()
    return {name: compile_template(source) for name, source in sources.items()}


def expected_mask(row, rendered, prefilled=""):
    """Where the text of the targets lies, as [begin, end) in characters; every assistant turn.

    Only for texts without tags: there a turn ends at the first <|im_end|>. `prefilled` is what the
    prompt has written of a turn.
    """
    head = "<|im_start|>assistant\n"
    end = "<|im_end|>"
    spans = []
    at = 0
    for item in row["messages"]:
        if item["role"] == "assistant":
            begin = rendered.index(head, at) + len(head)
            if prefilled and rendered.startswith(prefilled, begin):
                begin += len(prefilled)
            at = rendered.index(end, begin) + len(end)
            spans.append((begin, at))
    return spans
