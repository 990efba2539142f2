#!/usr/bin/env python3
"""Writes the quick start's example data: the same bytes every time, from the standard library alone.

    python3 make_data.py FOLDER

corpus.txt         a warehouse's day book, one entry a line: what the tiny base model first reads
chats_base.jsonl   orders in plain words, answered with a polite sentence: the base model's manners
chats_train.jsonl  the task the adapter learns: the same kind of order, answered with a line of fields
chats_eval.jsonl   the task on orders held out from all of the above

The task is a rule the base never sees: which fields, in which order, numbers as digits, nothing
else. Held-out orders are not only new texts: each pairs a colour with an item as no training prompt
does, so an adapter that repeats what it has seen cannot answer them.
"""

import json
import random
import sys
from pathlib import Path

COLOURS = "red blue green yellow black white brown grey pink purple orange silver".split()
ITEMS = ("lamps chairs tables bottles boxes blankets clocks mirrors baskets candles kettles plates "
         "pillows shelves vases buckets").split()
CITIES = ("Oslo Paris Lima Cairo Delhi Tokyo Rome Madrid Dublin Vienna Prague Boston Quito "
          "Seoul").split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
NUMBERS = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
           "ten": 10, "eleven": 11, "twelve": 12}
NAMES = "Maria Peter Anna Tom Lucy Omar Nina Paul Rosa Ivan".split()

PROMPTS = [
    "Please send {number} {colour} {item} to {city} by {day}.",
    "We need {number} {colour} {item} in {city} before {day}.",
    "Can you get {number} {colour} {item} to {city} on {day}?",
    "By {day} we want {number} {colour} {item} in {city}.",
    "This is {name} from {city}. I want {number} {colour} {item} on {day}.",
    "Hello, {name} here. Our shop in {city} is out of {colour} {item}. Send {number} by {day}.",
    "It is for {city}: {number} {item}, all {colour}, and not later than {day}.",
    "On {day} a van leaves for {city}. Put {number} {colour} {item} in it.",
]

ENTRIES = [
    "{name} asked for {number} {colour} {item}. The {item} were {colour}, and there were {number} of "
    "them. They went to {city} on {day}.",
    "On {day} a van left for {city} with {number} {colour} {item}. {name} drove to {city} and came "
    "back without the {item}.",
    "Order {digits}: {number} {item}, all {colour}, for {city}. {name} counted {number} {item} and "
    "wrote {digits} in the book.",
    "The shop in {city} was out of {item}. {name} sent {number}, which is {digits}, by {day}. The shop "
    "wanted {colour} {item} and got {colour} {item}.",
    "{name} is from {city}. In {city} people like {colour} {item}, so {name} took {number} {colour} "
    "{item} home on {day}.",
    "By {day} there were only {number} {item} left: {digits} {colour} {item} for {city}. Please send "
    "them, said {name}. So the {digits} {item} went to {city}.",
    "{name} said hello and put {number} {item} in a box. The box was {colour}; the box went to {city} "
    "before {day}.",
    "It was {day}. Can you get {colour} {item} here? asked {name}. We need {number}: not one, but "
    "{digits}. On {day} they came from {city}.",
]

REPLIES = [
    "Thank you. We send {number} {colour} {item} to {city} on {day}.",
    "Very well: on {day}, {number} {colour} {item} for {city}.",
    "The {colour} {item} go to {city}, all {number} of them, by {day}.",
]
ANSWER = "item: {item}; colour: {colour}; count: {digits}; city: {city}; day: {day}"

HELD_OUT_EVERY = 5  # one colour-item pair in five is never seen in training


def held_out(colour, item):
    return (COLOURS.index(colour) + 3 * ITEMS.index(item)) % HELD_OUT_EVERY == 0


def draw(rng):
    number = rng.choice(list(NUMBERS))
    return {"number": number, "digits": NUMBERS[number], "colour": rng.choice(COLOURS),
            "item": rng.choice(ITEMS), "city": rng.choice(CITIES), "day": rng.choice(DAYS),
            "name": rng.choice(NAMES)}


def corpus(rng, entries):
    for _ in range(entries):
        yield rng.choice(ENTRIES).format(**draw(rng))


def chats(rng, count, answers, want_held_out):
    """Distinct orders, each with one of the answers."""
    seen = set()
    while len(seen) < count:
        order = draw(rng)
        prompt = rng.choice(PROMPTS).format(**order)
        if held_out(order["colour"], order["item"]) != want_held_out or prompt in seen:
            continue
        seen.add(prompt)
        answer = rng.choice(answers).format(**order)
        yield {"messages": [{"role": "user", "content": prompt},
                            {"role": "assistant", "content": answer}]}


def write_lines(path, lines):
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    write_lines(folder / "corpus.txt", corpus(random.Random(1), 9000))
    for name, seed, count, answers, want_held_out in (
            ("base", 2, 6000, REPLIES, False),
            ("train", 3, 2400, [ANSWER], False),
            ("eval", 4, 200, [ANSWER], True)):
        rows = chats(random.Random(seed), count, answers, want_held_out)
        write_lines(folder / f"chats_{name}.jsonl", (json.dumps(row) for row in rows))


if __name__ == "__main__":
    main()
