#!/usr/bin/env python3
"""Writes the quick start's example data: the same bytes every time, from the standard library alone.

    python3 make_data.py FOLDER

corpus.txt         letters to a shop, one a line: what the tiny base model first reads
chats_base.jsonl   the same kind of letter, answered with a polite sentence: the base model's manners
chats_train.jsonl  the task the adapter learns: which team takes the letter, and what it is to do
chats_eval.jsonl   the task on letters held out from all of the above

The task is a rule the base never sees: the goods decide the team, the complaint decides the action.
Held-out letters are not only new texts: each pairs goods with a complaint as no training letter
does, so an adapter that repeats what it has seen cannot answer them.
"""

import json
import random
import sys
from pathlib import Path

TEAMS = {
    "kitchen": "kettle toaster pan mixer".split(),
    "garden": "spade hose barrow rake".split(),
    "office": "printer desk lamp stapler".split(),
    "sports": "racket helmet tent kayak".split(),
}
ACTIONS = {
    "refund": ["came broken", "has a crack"],
    "resend": ["never came", "was lost on the way"],
    "repair": ["makes a loud noise", "stopped after a week"],
    "advise": ["is too heavy for me", "has no manual"],
}
NAMES = "Maria Peter Anna Tom Lucy Omar Nina Paul Rosa Ivan".split()
CITIES = "Oslo Paris Lima Cairo Delhi Tokyo Rome Madrid Dublin Vienna Prague Boston".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()

LETTERS = [
    "My {goods} {complaint}. {name}, {city}",
    "Hello, this is {name} from {city}. The {goods} I bought on {day} {complaint}.",
    "On {day} I ordered a {goods}. It {complaint}. Please help, {name}",
    "The new {goods} {complaint}. I live in {city}. Yours, {name}",
    "I am sorry to say that the {goods} {complaint}. {name} in {city}",
    "{name} here. Since {day} I have waited: the {goods} {complaint}.",
    "It is about a {goods} for our house in {city}. It {complaint}.",
    "Dear shop, the {goods} {complaint}, and it was a gift for {name}.",
]
NOTES = [
    "{name} carried the {goods} to {city} on {day}.",
    "In {city} they sell a {goods} on every {day}.",
    "A {goods} from {city} {complaint}, said {name}.",
    "{name} wrote from {city}: my {goods} {complaint}.",
    "The shop in {city} had one {goods} left on {day}. It {complaint}.",
    "Note of {day}: team {any_team}; first action: {any_action}.",
    "{name} of team {any_team} has to {any_action} something; the next action: {any_action}.",
]
MANNERS = ["Thank you, {name}. We will look at it on {day}.", "We are sorry. Somebody in {city} will write to you.",
           "Thank you for your letter."]

HELD_OUT_EVERY = 5  # one pair of goods and complaint in five is never seen in training


def pairs(held_out):
    """(goods, team, complaint, action) of one side of the split."""
    all_goods = [(goods, team) for team, names in TEAMS.items() for goods in names]
    all_complaints = [(text, action) for action, texts in ACTIONS.items() for text in texts]
    return [(goods, team, text, action)
            for i, (goods, team) in enumerate(all_goods)
            for j, (text, action) in enumerate(all_complaints)
            if ((i + 3 * j) % HELD_OUT_EVERY == 0) == held_out]


def draw(rng, choices):
    goods, team, complaint, action = rng.choice(choices)
    return {"goods": goods, "team": team, "complaint": complaint, "action": action, "name": rng.choice(NAMES),
            "city": rng.choice(CITIES), "day": rng.choice(DAYS),
            # Words of the answers, but without the rule: the base knows them and not what they follow from.
            "any_team": rng.choice(list(TEAMS)), "any_action": rng.choice(list(ACTIONS))}


def corpus(rng, lines):
    for _ in range(lines):
        yield rng.choice(NOTES + LETTERS).format(**draw(rng, pairs(False)))


def chats(rng, count, answers, held_out):
    """Distinct letters, each with its answer."""
    seen = set()
    while len(seen) < count:
        letter = draw(rng, pairs(held_out))
        prompt = rng.choice(LETTERS).format(**letter)
        if prompt not in seen:
            seen.add(prompt)
            yield {"messages": [{"role": "user", "content": prompt},
                                {"role": "assistant", "content": rng.choice(answers).format(**letter)}]}


def write_lines(path, lines):
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    write_lines(folder / "corpus.txt", corpus(random.Random(1), 3000))
    for name, seed, count, answers, held_out in (
            ("base", 2, 1500, MANNERS, False),
            ("train", 3, 1500, ["team: {team}; action: {action}"], False),
            ("eval", 4, 200, ["team: {team}; action: {action}"], True)):
        rows = chats(random.Random(seed), count, answers, held_out)
        write_lines(folder / f"chats_{name}.jsonl", (json.dumps(row) for row in rows))


if __name__ == "__main__":
    main()
