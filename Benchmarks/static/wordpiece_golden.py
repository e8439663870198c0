#!/usr/bin/env python3
"""Writes Tests/InferenceTests/WordPieceGolden.swift: what the PyPI package `tokenizers` makes of short sentences.

    python3 Benchmarks/static/wordpiece_golden.py --vocabulary VOCAB.TXT > Tests/InferenceTests/WordPieceGolden.swift

Two vocabularies: a tiny one that stands below (so the test needs no model), and that of all-MiniLM-L6-v2, of which only ids are kept.
"""
import argparse
import unicodedata

from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

TINY = """[PAD] [UNK] [CLS] [SEP] the The cat Cat sat un ##happi ##ly ##ness hap ##py a ##a ##b b c ##c cafe caf\u00e9 ##s na ##ive na\u00efve \u6f22
\u5b57 \u304b ##\u306a \u110b\u1161 ##\u11ab \u0939 ##\u093f ! ? , . - ' ( ) [ ] # $ 1 ##2 12 ##3 i ##i ss \u00df \u0131 \u01c6 \u0430 ##\u0431 \u03c3 ##\u03c2 \u0643 ##\u062a""".split()

SENTENCES = [
    "The cat sat.", "unhappily, unhappiness!", "UNHAPPILY", "happy unhappy", "  the\tcat\n\nsat\r\n", "", " ", "the-cat's (cat) [sat]?!",
    "caf\u00e9s cafe\u0301s CAF\u00c9S", "na\u00efve nai\u0308ve NAI\u0308VE", "the\u6f22\u5b57cat \u6f22 \u5b57!", "\u304b\u306a \u304c\u306a\u3002",
    "\uc548 \uc548\u110b", "\u0939\u093f \u0939\u093f\u0902", "the\u200bcat the\u00adcat \ufeffthe", "the\u00a0cat\u3000sat\u2028the\u0085cat",
    "the\u0000cat the\ufffdcat the\u0007cat", "[CLS] the cat [SEP] [UNK]", "##s ##happi", "12 123 1 $12.12", "a" * 12, "a" * 100, "a" * 101,
    "e\u0301" * 3 + " a\u0301\u0302\u0303a", "\u0130I\u0131i", "Stra\u00dfe \u00df \u1e9e ss", "\u01c4 \u01c5 \u01c6", "\u0410\u0411 \u0430\u0431",
    "\u03a3\u03a3 \u03c3\u03c2", "\u0643\u062a \u0643\u064e\u062a\u0650", "\U0001f600 the \U0001f468\u200d\U0001f469\u200d\U0001f467 cat \U0001f1e9\U0001f1ea",
    "\uff34\uff28\uff25\uff0c\uff01 \ufb01", "\u226e \u037e \u1fef", "\u2014\u2026\u00bf\u00a1\u00ab\u00bb\u20ac\u00a7", "c\u0327\u0323c\u0323\u0327",
    "\U00020000\U0002a6d6the\U0002b81f\U0002b820\U0002b920", "\uf900\ufa0e", "\ue000the\U000f0000cat", "the\u0378cat \U0001f9ff",
    "\u3231\u32ff\u3385", "\u02b0\u00b2\u00bd\u2460", "tiny sentences about retrieval, embeddings & re-ranking: 3.14 (v2.0)",
]


def swift(text):
    out = []
    for c in text:
        out.append({'"': '\\"', "\\": "\\\\"}.get(c) or (c if 0x20 <= ord(c) < 0x7F else "\\u{%X}" % ord(c)))
    return '"' + "".join(out) + '"'


def tokenizer(vocabulary, uncased):
    t = Tokenizer(WordPiece({w: i for i, w in enumerate(vocabulary)}, unk_token="[UNK]", max_input_chars_per_word=100))
    t.normalizer = BertNormalizer(clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=uncased)
    t.pre_tokenizer = BertPreTokenizer()
    return t


def digest(uncased):
    """FNV-1a over the words of `a?b` for each assigned scalar `?` of Unicode 14: one line each, words separated by spaces."""
    t = tokenizer(TINY, uncased)
    value = 0xCBF29CE484222325
    for code in range(0x110000):
        if unicodedata.category(chr(code)) in ("Cn", "Cs", "Co"):
            continue
        words = t.pre_tokenizer.pre_tokenize_str(t.normalizer.normalize_str("a" + chr(code) + "b"))
        for byte in (" ".join(w for w, _ in words) + "\n").encode():
            value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value


def grouped(value):
    return "0x" + "_".join(("%016X" % value)[start:start + 4] for start in (0, 4, 8, 12))


def wrapped(items, indent):
    lines, line = [], indent
    for item in items:
        if len(line) + len(item) + 2 > 136:
            lines.append(line.rstrip())
            line = indent
        line += item + ", "
    return "\n".join(lines + [line.rstrip()])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--vocabulary", required=True)
    with open(parser.parse_args().vocabulary, encoding="utf-8") as file:
        full = [line.rstrip("\n") for line in file]
    tiny_uncased, tiny_cased, model = tokenizer(TINY, True), tokenizer(TINY, False), tokenizer(full, True)
    print("// Written by Benchmarks/static/wordpiece_golden.py with the PyPI package `tokenizers`; reviewed, not edited.")
    print("\n/// Sentences and what the reference implementation makes of them.")
    print("enum WordPieceGolden {")
    print("    /// A vocabulary of %d tokens." % len(TINY))
    print("    static let vocabulary = [\n%s\n    ]\n" % wrapped([swift(w) for w in TINY], " " * 8))
    assert unicodedata.unidata_version == "14.0.0", "run this with Python 3.11"
    print("    /// Digests of the words of `a?b` for each assigned scalar of Unicode 14.")
    print("    static let uncasedDigest: UInt64 = %s" % grouped(digest(True)))
    print("    static let casedDigest: UInt64 = %s\n" % grouped(digest(False)))
    print("    struct Case: Sendable {")
    print("        var text: String\n        /// With the tiny vocabulary.\n        var uncased: [Int32]\n        var cased: [Int32]")
    print("        /// With the vocabulary of all-MiniLM-L6-v2.\n        var model: [Int32]\n    }\n")
    print("    static let cases: [Case] = [")
    for text in SENTENCES:
        ids = [t.encode(text, add_special_tokens=False).ids for t in (tiny_uncased, tiny_cased, model)]
        shown = swift(text)
        if len(set(text)) == 1 and len(text) > 20:
            shown = "String(repeating: %s, count: %d)" % (swift(text[0]), len(text))
        first = "            text: %s," % shown
        print("        Case(\n" + first)
        assert len(first) <= 140, text
        for name, values, end in zip(("uncased", "cased", "model"), ids, (",", ",", "),")):
            one = "            %s: [%s]%s" % (name, ", ".join(map(str, values)), end)
            if len(one) > 138:
                one = "            %s: [\n%s\n            ]%s" % (name, wrapped(list(map(str, values)), " " * 16), end)
            print(one)
    print("    ]\n}")


main()
