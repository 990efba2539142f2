"""Writes tests/fixtures/chat/qwen3_chats.jsonl: conversations and what Qwen3's templates render.

    python tests/oracle/chat_fixtures.py --data FOLDER [--template NAME=FILE]

FOLDER holds qwen3-tokenizer/. Needs jinja2==3.1.6. The named cases of chat_random.py come first.
"""

import argparse
import json
import pathlib

from chat_random import CASES, conversations, templates

OUT = pathlib.Path(__file__).resolve().parents[1] / "fixtures" / "chat" / "qwen3_chats.jsonl"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, type=pathlib.Path)
    parser.add_argument("--template", action="append", default=[], metavar="NAME=FILE")
    arguments = parser.parse_args()
    path = arguments.data / "qwen3-tokenizer" / "chat_template.jinja"
    formats = templates(path, arguments.template)
    rows = [(name, row) for name, row in CASES.items()]
    rows += [(f"random_{i}", row) for i, row in enumerate(conversations(200, seed=3))]
    OUT.parent.mkdir(parents=True, exist_ok=True)
    with OUT.open("w", encoding="utf-8") as file:
        for name, row in rows:
            texts = {each: render(row) for each, render in formats.items()}
            answer = {"name": name, "chat": row, "text": texts}
            file.write(json.dumps(answer, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
