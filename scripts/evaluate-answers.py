#!/usr/bin/env python3
"""Asks a running server what it should answer and what it should refuse, and prints the rates.

    outrider serve --data /some/folder --port 8099 &
    python3 scripts/evaluate-answers.py --url http://127.0.0.1:8099 pairs [--count 200] [--seed 1] [--among 0]
    python3 scripts/evaluate-answers.py --url http://127.0.0.1:8099 cases --shared ../shared
    outrider ingest --data /some/folder --collection office ../shared/cases/office/files        # before the server starts
    python3 scripts/evaluate-answers.py --url http://127.0.0.1:8099 office --shared ../shared
    python3 scripts/evaluate-answers.py --url http://127.0.0.1:8099 languages --shared ../shared [--count 60] [--mode text]

`pairs`: small texts from templates and invented entities, drawn with a seed; each with a question that it answers and the same question about a
sibling (another model, flight, company, year ...), which is to be refused. Templates and entities are others than those of the unit tests.
`cases` and `office` read the steering repository's cases; without them they say so and end well. `languages` reads its XQuAD.
"""

import argparse
import gzip
import json
import os
import random
import sys
import urllib.request

TEMPLATES = [
    ("code", "The {A} drill draws {N} watts. Its case is made of steel.", "How many watts does the {A} draw?", "{N}"),
    ("code", "Sensor {A} is calibrated every {N} days by the laboratory.", "How often is sensor {A} calibrated?", "{N} days"),
    ("code", "Article | Price | Unit\n{A} | {N} crowns | piece\nQZ-11 | 77 crowns | metre", "What is the price of article {A}?", "{N}"),
    ("flight", "Ferry {A} departs from quay 3 at 18:{M}.", "When does ferry {A} depart?", "18:{M}"),
    ("number", "Locker {A} belongs to {P}. It is opened with a small key.", "Who does locker {A} belong to?", "{P}"),
    ("number", "Section {A} of the rules limits the speed to {N} knots.", "What speed does section {A} allow?", "{N}"),
    ("letter", "Platform {A} is {N} metres long and has a roof.", "How long is platform {A}?", "{N}"),
    ("letter", "Lift {A}: out of order until 3 June. Use the stairs.", "Until when is lift {A} out of order?", "3 June"),
    ("company", "{A} delivers the bread on weekdays before seven and charges {N} crowns.", "How much does {A} charge for the bread?", "{N}"),
    ("company", "The auditor of {A} is {P}, who reports in spring.", "Who is the auditor of {A}?", "{P}"),
    ("company", "Payment terms of {A}: {N} days net.", "What are the payment terms of {A}?", "{N} days"),
    ("person", "{A} earns {N} crowns a month and works in the yard.", "How much does {A} earn?", "{N}"),
    ("person", "{A}\nRole: warden\nPhone: 555-02{M}\nRoom: 9", "What is the phone number of {A}?", "555-02{M}"),
    ("town", "The office in {A} has {N} desks. Visitors park behind it.", "How many desks does the office in {A} have?", "{N}"),
    ("town", "| City | Rent | Desks |\n|---|---|---|\n| {A} | {N} crowns | 12 |\n| Velsa | 555 crowns | 4 |", "What is the rent in {A}?", "{N}"),
    ("year", "The budget for {A} was {N} thousand crowns.", "How big was the budget for {A}?", "{N}"),
    ("year", "{A}: {N} visitors came to the fair.", "How many visitors came to the fair in {A}?", "{N}"),
    ("season", "In {A} the ferry runs every {N} minutes.", "How often does the ferry run in {A}?", "{N} minutes"),
    ("month", "In {A} the museum is closed for repairs; entry is {N} crowns else.", "Why is the museum closed in {A}?", "repairs"),
    ("weekday", "{A}: soup of the day costs {N} crowns.", "What does the soup of the day cost on {A}?", "{N}"),
    ("color", "The {A} key opens the boat shed, number {N} on the board.", "What does the {A} key open?", "boat shed"),
    ("wind", "The {A} gate is locked at {N} minutes past nine by the warden.", "Who locks the {A} gate?", "warden"),
    ("level", "The {A} subscription includes {N} gigabytes.", "How many gigabytes does the {A} subscription include?", "{N}"),
    ("ordinal", "The {A} prize is a voucher over {N} crowns.", "What is the {A} prize?", "voucher"),
    ("deutsch-firma", "Der Vertrag mit der {A} hat eine Laufzeit von {N} Monaten.", "Welche Laufzeit hat der Vertrag mit der {A}?", "{N} Monat"),
    ("deutsch-zimmer", "Zimmer {A} kostet {N} Euro je Nacht mit Frühstück.", "Was kostet Zimmer {A}?", "{N}"),
    ("deutsch-jahr", "Im Jahr {A} lag der Umsatz bei {N} Euro.", "Wie hoch war der Umsatz im Jahr {A}?", "{N}"),
]
TOWNS = ["Ferrand", "Gilding", "Hawksea", "Imber", "Jarlow", "Kestrel Bay", "Lorne", "Mossdale", "Nettle Cross", "Orrin"]
PEOPLE = ["Gerda Flint", "Hugo Marsh", "Inez Calder", "Jonas Wren", "Katja Frost", "Liam Oakes", "Mina Soler", "Niko Brandt"]
FIRMS = ["Falkner", "Grimsel", "Hartwig", "Ilvesson", "Jutland Marine", "Kronberg"]


def entity(kind, r):
    if kind == "code":
        return r.choice(["BX-", "M", "TK", "HV-", "R2-"]) + str(r.randint(10, 990))
    if kind == "flight":
        return r.choice(["KL ", "SN ", "F"]) + str(r.randint(100, 999))
    if kind in ("number", "deutsch-zimmer"):
        return str(r.randint(2, 399))
    if kind == "letter":
        return r.choice("BCDEFGHKLM")
    if kind in ("company", "deutsch-firma"):
        return r.choice(FIRMS) + " " + r.choice(["GmbH", "AG"] if kind[0] == "d" else ["Ltd", "Inc", "Group"])
    if kind == "person":
        return r.choice(PEOPLE)
    if kind == "town":
        return r.choice(TOWNS)
    if kind in ("year", "deutsch-jahr"):
        return str(r.randint(1995, 2030))
    return r.choice(
        {
            "season": ["spring", "summer", "autumn", "winter"], "month": ["January", "March", "April", "June", "September", "November"],
            "weekday": ["Monday", "Wednesday", "Thursday", "Saturday"], "color": ["red", "blue", "green", "yellow", "white"],
            "wind": ["north", "south", "east", "west"], "level": ["basic", "premium", "enterprise"],
            "ordinal": ["first", "second", "third", "fourth"],
        }[kind]
    )


def make_pairs(count, seed):
    r = random.Random(seed)
    for i in range(count):
        kind, text, question, expected = TEMPLATES[i % len(TEMPLATES)]
        told = entity(kind, r)
        other = told
        while other == told or kind in ("company", "deutsch-firma") and other.split()[0] == told.split()[0]:
            other = entity(kind, r)
        if kind in ("code", "flight"):
            # The same line of products: only the number differs.
            head = told.rstrip("0123456789")
            other = head + str(int(told[len(head):]) + r.choice([1, 10, 100]))
        fill = {"{N}": str(r.randint(12, 890)), "{M}": str(r.randint(10, 59)), "{P}": r.choice([p for p in PEOPLE if p not in (told, other)])}

        def f(s, a):
            s = s.replace("{A}", a)
            for key, value in fill.items():
                s = s.replace(key, value)
            return s

        yield f(text, told), f(question, told), f(question, other), f(expected, told)


class Server:
    def __init__(self, url):
        self.url = url

    def call(self, path, body):
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=300) as response:
            return json.load(response)

    def add(self, collection, documents):
        documents = [{"source": s, "title": t, "text": x} for s, t, x in documents]
        return self.call("/v1/documents?wait=true", {"collection": collection, "documents": documents})

    def ask(self, collection, question, **more):
        return self.call("/v1/answer", {"question": question, "collection": collection, "generator": "extractive", **more})


def pairs(server, options):
    false_answers, false_refusals = [], []
    tag = f"pairs-{options.seed}-{os.getpid()}"
    rows = list(make_pairs(options.count, options.seed))
    for i, (text, right, wrong, expected) in enumerate(rows):
        name = f"{tag}-{i // max(1, options.among)}" if options.among else f"{tag}-{i}"
        server.add(name, [(f"note-{i}.md", f"Note {i}", text)])
    for i, (text, right, wrong, expected) in enumerate(rows):
        name = f"{tag}-{i // max(1, options.among)}" if options.among else f"{tag}-{i}"
        answer = server.ask(name, right)
        if answer["refused"] or expected not in answer["answer"]:
            false_refusals.append((right, text, answer["answer"], answer["confidence"]))
        answer = server.ask(name, wrong)
        if not answer["refused"]:
            false_answers.append((wrong, text, answer["answer"], answer["confidence"]))
    for label, found in (("false answers", false_answers), ("false refusals", false_refusals)):
        print(f"{label}: {len(found)} of {options.count} ({len(found) / options.count:.1%})")
        for item in found:
            print("   ", " | ".join(str(x) for x in item).replace("\n", "\\n"))
    return len(false_answers) <= 0.03 * options.count and len(false_refusals) <= 0.08 * options.count


# Question, document (a file of case 41, or a text), what the answer holds; None = refusal.
CASES = [
    ("How much does model X-300 weigh?", "Model X-200 weighs 14 kg.", None), ("When does flight ZX 4472 leave?", "Flight ZX 4471 leaves at 10:05.", None),
    ("Who is the CEO of Borne Ltd?", "The CEO of Arlen Ltd is Anna Example.", None), ("How much does model X-200 weigh?", "Model X-200 weighs 14 kg.", "14 kg"),
    ("When does flight ZX 4471 leave?", "Flight ZX 4471 leaves at 10:05.", "10:05"),
    ("Who is the CEO of Arlen Ltd?", "The CEO of Arlen Ltd is Anna Example.", "Anna Example"), ("When was pontoon G built?", "handbook.md", None),
    ("How many boats does pontoon E hold?", "handbook.md", None), ("What does a berth cost in spring?", "table.md", None),
    ("How long is the warranty?", "The warranty lasts thirty-one months.", "thirty-one"), ("How long is the warranty?", "The warranty lasts 31 months.", "31"),
    ("How long is the warranty?", "The warranty is 31 months.", "31"), ("What is the email address?", "Email: support@example.org", "support@example.org"),
    ("What is the phone number?", "Phone: 555-0142", "555-0142"), ("When was pontoon F built?", "handbook.md", "1998"), ("Who built the pontoon?", "handbook.md", "Ostby"),
    ("How many boats does the pontoon hold?", "handbook.md", "forty"), ("Where does used oil go?", "handbook.md", "red tank"),
    ("Are batteries accepted?", "handbook.md", "not accepted"), ("When are the quiet hours?", "handbook.md", "22:00"),
    ("May engines run during quiet hours?", "handbook.md", "Engines must be off"), ("Where does paper go?", "handbook.md", "blue"),
    ("What is the hourly rate of a senior fitter?", "contract.md", "94"), ("What is the hourly rate of a junior fitter?", "contract.md", None),
    ("How long is the notice period?", "contract.md", "seventeen weeks"), ("travel cost per km?", "contract.md", "6 crowns"),
    ("What is the phone number of Vera Example?", "contract.md", "555-0142"), ("What is the fax number of Vera Example?", "contract.md", None),
    ("Is liability for lost profit covered?", "contract.md", "excluded"), ("What is the limit of liability?", "contract.md", "2,500,000"),
    ("Wie lang ist die Kündigungsfrist?", "contract.md", "seventeen"),
    ("What does a berth over 11 m cost in winter?", "table.md", "20 crowns"), ("Wann wurde der Kran zuletzt geprüft?", "wartung.md", "14. März 2025"),
    ("Wie hoch ist die Tragfähigkeit des Krans?", "wartung.md", "3,2 Tonnen"), ("Wer hat das Tor der Schleuse gebaut?", "wartung.md", "Muster"),
    ("Wann wurde die Brücke gebaut?", "wartung.md", None), ("Who repairs sails?", "faq.txt", "Cy Sample"),
    ("What does charging an electric car cost?", "faq.txt", "2 crowns"), ("Is there drinking water on pontoon F?", "faq.txt", "No"),
    ("What is the WiFi password?", "handbook.md", None), ("What is the capital of Borne?", "handbook.md", None),
]


def cases(server, options):
    folder = os.path.join(options.shared, "cases", "41-answers")
    if not os.path.isdir(folder):
        print(f"skipped: {folder} is not there")
        return True
    wrong = 0
    for i, (question, document, expected) in enumerate(CASES):
        path = os.path.join(folder, document)
        text = open(path).read() if os.path.exists(path) else document
        name = f"cases-{os.getpid()}-{abs(hash(document)) % 10**8}"
        server.add(name, [(document if os.path.exists(path) else "text.txt", None, text)])
        answer = server.ask(name, question)
        good = answer["refused"] if expected is None else not answer["refused"] and expected in answer["answer"]
        wrong += not good
        print("ok  " if good else "FAIL", f"{answer['confidence']:.2f}", question, "->", "refused" if answer["refused"] else answer["answer"].replace("\n", "\\n"))
    print(f"{len(CASES) - wrong} of {len(CASES)} right")
    return wrong == 0


def office(server, options):
    path = os.path.join(options.shared, "cases", "office", "questions.jsonl")
    if not os.path.exists(path):
        print(f"skipped: {path} is not there")
        return True
    right = 0
    turns = []
    rows = [json.loads(line) for line in open(path)]
    for row in rows:
        if not row["follows_previous"]:
            turns = []
        answer = server.ask(options.collection, row["question"], turns=turns)
        if row["expected"] is None:
            good = answer["refused"]
        else:
            cited = any(part in c["source"] for c in answer["citations"] for part in row["source"].split("|"))
            good = not answer["refused"] and row["expected"] in answer["answer"] and cited
        right += good
        print("ok  " if good else "FAIL", f"{answer['confidence']:.2f}", row["kind"], row["question"], "->", answer["answer"].replace("\n", "\\n"))
        turns = turns + [{"role": "user", "content": row["question"]}, {"role": "assistant", "content": answer["answer"]}]
    print(f"{right} of {len(rows)} right")
    return right == len(rows)


def languages(server, options):
    folder = os.path.join(options.shared, "data", "xquad")
    if not os.path.isdir(folder):
        print(f"skipped: {folder} is not there")
        return True
    opened = gzip.open(os.path.join(folder, "qa.jsonl.gz"), "rt")
    by_language = {}
    for line in opened:
        row = json.loads(line)
        by_language.setdefault(row["lang"], []).append(row)
    corpus = [json.loads(line) for line in open(os.path.join(folder, "corpus.jsonl"))]
    rates = {}
    for language, rows in sorted(by_language.items()):
        name = f"xquad-{language}-{options.tag}"
        part = [p for p in corpus if p["_id"].startswith(f"xquad-{language}-")]
        if not options.loaded:
            for start in range(0, len(part), 50):
                server.add(name, [(p["_id"], p.get("title") or None, p["text"]) for p in part[start : start + 50]])
        rows = random.Random(3).sample([r for r in rows if r["answerable"]], min(options.count, len(rows)))
        held = answered = 0
        for row in rows:
            answer = server.ask(name, row["question"], mode=options.mode)
            answered += not answer["refused"]
            held += not answer["refused"] and any(a.lower() in answer["answer"].lower() for a in row["answers"])
        rates[language] = held / len(rows)
        print(f"{language}: right {held / len(rows):.3f}, answered {answered / len(rows):.3f} of {len(rows)}", flush=True)
    return all(rate >= rates.get("en", 0) - 0.05 for rate in rates.values())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["pairs", "cases", "office", "languages"])
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--shared", default="../shared")
    parser.add_argument("--count", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--among", type=int, default=0, help="so many texts in one collection; 0 = each in its own")
    parser.add_argument("--collection", default="office")
    parser.add_argument("--mode", default="text")
    parser.add_argument("--tag", default="1")
    parser.add_argument("--loaded", action="store_true", help="the collections of --tag are there already")
    options = parser.parse_args()
    options.count = options.count or {"pairs": 200, "languages": 60}.get(options.what, 0)
    good = {"pairs": pairs, "cases": cases, "office": office, "languages": languages}[options.what](Server(options.url), options)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
