"""Writes tests/fixtures/chat/qwen3_chats.jsonl: conversations and what Qwen3's template renders.

    python tests/oracle/chat_fixtures.py --data FOLDER

FOLDER holds qwen3-tokenizer/. Needs jinja2==3.1.6. The named cases of chat_random.py come first.
"""

import argparse
import json
import pathlib

from chat_random import CASES, conversations, template

OUT = pathlib.Path(__file__).resolve().parents[1] / "fixtures" / "chat" / "qwen3_chats.jsonl"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, type=pathlib.Path)
    render = template(parser.parse_args().data / "qwen3-tokenizer" / "chat_template.jinja")
    rows = [(name, row) for name, row in CASES.items()]
    rows += [(f"random_{i}", row) for i, row in enumerate(conversations(250, seed=3))]
    OUT.parent.mkdir(parents=True, exist_ok=True)
    with OUT.open("w", encoding="utf-8") as file:
        for name, row in rows:
            answer = {"name": name, "chat": row, "text": render(row)}
            file.write(json.dumps(answer, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
