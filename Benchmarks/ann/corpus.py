#!/usr/bin/env python3
"""Makes a corpus of real passages and held-out real queries from Debian documentation packages and the open text sets beside the checkout.

    corpus.py [--cache DIR] [--shared DIR] [--quick]

Writes, under CACHE/corpus:

    passages-100k.jsonl   100,000 passages of one to a few sentences, about 30 to 120 tokens each
    passages-1m.jsonl     1,000,000 passages, shorter ones allowed (from about 12 tokens)
    queries.jsonl         4,000 queries: questions and claims of the open sets, and sentences of documents that neither file above draws from
    manifest.json         counts, seed, and the name and version of every package used

Each line is {"id", "text", "source"}; a query's source starts with "question:" or "sentence:". The same packages in the same versions give the
same bytes. The steps: fetch packages (apt-get download, dpkg -x, nothing is installed), turn HTML, manual pages, info files, dictionaries and
plain text into paragraphs, keep those that read like English prose, split them into sentences, pack the sentences into passages, drop what
occurred before. Code, tables, lists of names and navigation fall to the prose filter; a line that every page repeats survives at most once.
Documents are dealt to base and queries by a hash of their path, so no passage comes from a document that a query comes from.
"""

import argparse
import concurrent.futures
import gzip
import hashlib
import html
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import time

SEED = 20261121
HELD_OUT = 0.02  # of the documents: their sentences may become queries, never passages
PER_SOURCE = {"passages-100k": 2500, "passages-1m": 60000}  # no package may dominate
SIZE = {"passages-100k": 100_000, "passages-1m": 1_000_000}
QUERIES = 4000
READ_AT_MOST = 60_000_000  # bytes and
KEEP_AT_MOST = 60_000  # different sentences of one package: enough, and API references would otherwise go on for hours

# Documentation in English with much prose for its size. A package that the distribution at hand lacks is left out and named.
PACKAGES = """
dict-gcide dict-foldoc dict-jargon dict-devil dict-wn fortunes bible-kjv-text
debian-handbook installation-guide-amd64 debian-reference-en developers-reference debian-faq debian-policy doc-debian maint-guide
debmake-doc aptitude-doc-en apt-doc
gnome-user-docs gnome-devel-docs gimp-help-en libreoffice-help-en-us inkscape-tutorials darktable lyx-common
linux-doc-6.1 manpages manpages-dev freebsd-manpages perl-doc git-doc mercurial subversion vim-runtime zsh-doc bash-doc emacs-common
python3.11-doc python-pandas-doc python-scipy-doc python-statsmodels-doc python-astropy-doc python-sympy-doc python-django-doc
python-sqlalchemy-doc twisted-doc
python-flask-doc python-werkzeug-doc python-tornado-doc python-celery-doc python-scrapy-doc python-hypothesis-doc python-pytest-doc
python-xarray-doc python-dask-doc
python-biopython-doc sphinx-doc
postgresql-doc-15 postgis-doc sqlite3-doc db5.3-doc derby-doc apache2-doc tomcat10-docs nginx-doc haproxy-doc exim4-doc-html postfix-doc
bind9-doc dovecot-core
bacula-doc cyrus-doc krb5-doc openafs-doc frr-doc bird2-doc wireshark-doc nmap-common icinga2-doc openscap-doc samhain tripwire freeradius
ansible
keystone-doc octavia-doc nova-doc neutron-doc cinder-doc glance-doc heat-doc ironic-doc swift-doc
cmake-doc llvm-16-doc racket-doc erlang-doc rust-web-doc cargo-web-doc openjdk-17-doc ghc-doc fp-docs-3.2.2 lazarus-doc-2.2
ada-reference-manual-2012 ant-doc gradle-doc
cppreference-doc-en-html libstdc++-12-doc libboost1.81-doc systemtap-doc valgrind dpdk-doc
qtbase5-doc-html qtdeclarative5-doc-html wx3.2-doc libgtk-4-doc fwupd-doc tcl8.6-doc tk8.6-doc
octave-doc r-doc-html maxima-doc gap-doc pari-doc scilab-doc weka-doc grass-doc csound-doc lilypond-doc-html imagemagick-6-doc
ghostscript-doc
netcdf-doc libhdf5-doc lammps-doc nwchem-data rasmol-doc openmpi-doc nco shorewall-doc dar-docs docbook-xsl-doc-html
angband-data crawl-common nethack-common freeciv-data xscreensaver stellarium-data gcompris-qt-data
""".split()
QUICK_PACKAGES = ["debian-faq", "manpages", "dict-devil"]

# ---- Fetching ---------------------------------------------------------------------------------------------------------------


def fetch_packages(names, folder):
    """Downloads and unpacks packages into folder/NAME_VERSION; returns [(name, version, path)] of those that could be had."""
    folder.mkdir(parents=True, exist_ok=True)
    policy = subprocess.run(["apt-cache", "policy", *names], capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}).stdout
    versions, name = {}, None
    for line in policy.splitlines():
        if line and not line[0].isspace():
            name = line.rstrip(":")
        elif line.strip().startswith("Candidate:") and "(none)" not in line:
            versions[name] = line.split()[1]
    result, missing = [], []
    for name in names:
        if name not in versions:
            missing.append(name)
            continue
        place = folder / f"{name}_{versions[name].replace(':', '%3a')}"
        result.append((name, versions[name], place))
    wanted = [(n, p) for n, _, p in result if not p.exists()]
    if missing:
        print(f"    not in this distribution: {' '.join(missing)}", flush=True)
    if wanted:
        print(f"    fetching {len(wanted)} packages", flush=True)
    failed = set()
    for name, place in wanted:
        temporary = place.with_name(place.name + ".part")
        subprocess.run(["rm", "-rf", str(temporary)], check=True)
        temporary.mkdir()
        done = subprocess.run(
            ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", name], cwd=temporary, capture_output=True, text=True
        )
        debs = list(temporary.glob("*.deb"))
        if done.returncode or not debs or subprocess.run(["dpkg", "-x", debs[0].name, "."], cwd=temporary).returncode:
            print(f"    could not fetch {name}: {done.stderr.strip().splitlines()[-1:]}", flush=True)
            failed.add(name)
            continue
        debs[0].unlink()
        temporary.rename(place)
    return [r for r in result if r[0] not in failed]


def fetch_descriptions(folder):
    """The long descriptions of all packages, fetched into a private list folder so that the system's own lists stay as they are."""
    target = folder / "package-descriptions.txt"
    if target.exists():
        return target
    lists = folder / "apt-lists"
    (lists / "partial").mkdir(parents=True, exist_ok=True)
    options = [
        "-o",
        f"Dir::State::lists={lists}",
        "-o",
        "Acquire::Languages=en",
        "-o",
        "APT::Sandbox::User=root",
        "-o",
        f"Dir::Cache={folder}/apt-cache",
    ]
    subprocess.run(["apt-get", "-q", *options, "update"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with open(target.with_suffix(".part"), "wb") as out:
        for path in sorted(lists.glob("*_i18n_Translation-en*")):
            done = subprocess.run(["/usr/lib/apt/apt-helper", "cat-file", str(path)], stdout=out)
            if done.returncode:
                raise SystemExit(f"cannot read {path}")
    target.with_suffix(".part").rename(target)
    return target


# ---- From files to paragraphs -----------------------------------------------------------------------------------------------

DROP = re.compile(
    r"<!--.*?-->|<(script|style|pre|table|nav|head|code-block|programlisting|screen|footer|svg|math|synopsis)\b[^>]*>.*?</\1\s*>",
    re.S | re.I,
)
BLOCK = re.compile(
    r"</?(?:p|div|li|ul|ol|dl|dt|dd|h[1-6]|br|td|tr|th|section|article|blockquote|title|para|simpara|listitem|item|title|note|body|html|hr|header|aside|summary|term)\b[^>]*>",
    re.I,
)
TAG = re.compile(r"<[^>]{0,2000}>")
SPACE = re.compile(r"\s+")


def html_paragraphs(text):
    text = DROP.sub("\n\n", text)
    text = SPACE.sub(" ", text)  # line breaks of the source mean nothing
    text = BLOCK.sub("\n\n", text)
    text = TAG.sub("", text)
    return html.unescape(text).split("\n\n")


MACRO_TEXT = re.compile(
    r"^[.'](?:B|I|BR|RB|IR|RI|BI|IB|SM|SB|Nm|Ar|Fl|Pa|Em|Sy|Xr|Va|Fn|Dv|Er|Ev|Ic|Li|Dq|Sq|Cm|Vt|Fa|Ql|Tn|Nx|Fx|Bx|An)\s+(.*)$"
)
FONT = re.compile(r"\\f(?:\[[^\]]*\]|\(..|.)|\\s[-+]?\d")
ESCAPES = {
    r"\-": "-",
    r"\(aq": "'",
    r"\(dq": '"',
    r"\(em": "-",
    r"\(en": "-",
    r"\(bu": "",
    r"\&": "",
    r"\e": "\\",
    r"\ ": " ",
    r"\(co": "(c)",
    r"\~": " ",
    r"\|": "",
    r"\/": "",
    r"\,": "",
}
ESCAPE = re.compile("|".join(re.escape(e) for e in sorted(ESCAPES, key=len, reverse=True)))


def man_paragraphs(text):
    paragraph, result, verbatim = [], [], False
    for line in text.split("\n"):
        if line.startswith((".", "'")):
            name = line[1:].split(None, 1)[0] if len(line) > 1 and not line[1:2].isspace() else ""
            if name in ("nf", "EX", "TS", "Bd"):
                verbatim = True
            elif name in ("fi", "EE", "TE", "Ed"):
                verbatim = False
            match = MACRO_TEXT.match(line)
            if match and not verbatim:
                glue = "" if name in ("BR", "RB", "IR", "RI", "BI", "IB") else " "
                words = re.findall(r'"([^"]*)"|(\S+)', match.group(1))
                paragraph.append(glue.join(a or b for a, b in words))
            elif name not in ("ft", "ad", "na", "hy", "nh", "ns", "No", "Ns", "if", "ie", "el"):
                result.append(" ".join(paragraph))
                paragraph = []
        elif not line.strip():
            result.append(" ".join(paragraph))
            paragraph = []
        elif not verbatim:
            paragraph.append(line)
    result.append(" ".join(paragraph))
    return [SPACE.sub(" ", ESCAPE.sub(lambda m: ESCAPES[m.group()], FONT.sub("", p))).strip() for p in result]


def text_paragraphs(text):
    result = []
    for block in re.split(r"\n\s*\n|\x1f|\n%\n", text):
        lines = block.split("\n")
        result.append(SPACE.sub(" ", " ".join(l.strip(" *#%|>\t") for l in lines)).strip())
    return result


def wordnet_paragraphs(text):
    """`headword` lines, then indented senses: each sense becomes `headword: sense`."""
    word, result = "", []
    for line in text.split("\n"):
        if line and not line[0].isspace():
            word = line.strip()
            continue
        line = line.strip()
        match = re.match(r"(?:(?:n|v|adj|adv) )?(?:\d+)?:? ?(.*)$", line)
        if re.match(r"(?:(?:n|v|adj|adv)\b ?)?(?:\d+)?: ", line):
            result.append(word + ": " + match.group(1))
        elif result:
            result[-1] += " " + line
    return [SPACE.sub(" ", re.sub(r"\[(?:syn|ant)[^\]]*\]|[{}]", "", p)).strip().rstrip(";") + "." for p in result]


def dictionary_paragraphs(text):
    text = re.sub(r"\[(?:1913 Webster|PJC|WordNet[^\]]*|Century[^\]]*|RH|GG|[A-Z]+)\]|[{}]|<[^>]{1,40}>", " ", text)
    return text_paragraphs(text)


def description_paragraphs(text):
    result = []
    for record in text.split("\n\n"):
        lines = record.split("\n")
        paragraph = []
        for line in lines:
            if line.startswith("Description-en:"):
                continue
            if line.startswith("  ") or not line.startswith(" "):  # verbatim lines and other fields
                continue
            if line.strip() == ".":
                result.append(" ".join(paragraph))
                paragraph = []
            else:
                paragraph.append(line.strip())
        result.append(" ".join(paragraph))
    return [SPACE.sub(" ", p) for p in result]


# ---- From paragraphs to sentences -------------------------------------------------------------------------------------------

STOP = frozenset("""
    the of to and a in is that for it as with on be are this by an or from not can at if you which will have has was were but when all
    may one use used more than their they its into other then also only some such these there no any your we he his what would each
    must should so do does been them about who had out up how between both where after before because while most many over
    """.split())
WORD = re.compile(r"[A-Za-z]+(?:'[a-z]+)?")
# A sentence ends at . ! or ? before a capital, unless an abbreviation or an initial stands before it.
BOUNDARY = re.compile(r"""(?<=[.!?])["')\]]?\s+(?=["'(\[]?[A-Z0-9])""")
ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|vs|cf|Mr|Mrs|Ms|Dr|Prof|St|Fig|No|Sec|Vol|pp|al|Inc|Ltd|Jr|Sr|approx|resp|Eq|Ch)|\b[A-Z])\.$"
)
ODD = re.compile(r"[{}<>|\\_=@#$^~`;*/\[\]]|::|->|\(\)|--")


def sentences(paragraph):
    parts, start = [], 0
    for match in BOUNDARY.finditer(paragraph):
        if ABBREVIATION.search(paragraph[max(0, match.start() - 12) : match.start()].rstrip("\"')]")):
            continue
        parts.append(paragraph[start : match.end()].strip())
        start = match.end()
    parts.append(paragraph[start:].strip())
    return parts


def is_prose(sentence):
    """Whether a sentence reads like English: words, some of them stop words, few symbols, an end."""
    if not 25 <= len(sentence) <= 700 or sentence[-1] not in ".!?\"')" or not (sentence[0].isalnum() or sentence[0] in "\"'("):
        return False
    words = WORD.findall(sentence)
    if len(words) < 5:
        return False
    letters = sum(map(len, words))
    if letters < 0.72 * len(sentence):
        return False
    common = sum(w.lower() in STOP for w in words)
    if common < 0.15 * len(words) or common < 2:
        return False
    if len(ODD.findall(sentence)) > 1 + len(words) // 25 or max(map(len, words)) > 30:
        return False
    return sum(w[:1].isupper() for w in words) <= 0.5 * len(words)


def token_estimate(text):
    """Near the count of a WordPiece tokenizer: measured against bert-base-uncased it is within a tenth on average."""
    return sum(1 + max(0, len(w) - 5) // 5 for w in WORD.findall(text)) + len(re.findall(r"[^\w\s]|\d+", text))


# ---- Extraction, one package a job ------------------------------------------------------------------------------------------

SKIP = re.compile(
    r"/(?:examples?|tests?|locale|i18n|l10n|_sources|src-html|_static|po|images?|copyright|changelog.*|NEWS.*|AUTHORS|index-all.*|genindex.*|classes)(?:[/.]|$)",
    re.I,
)
TRANSLATED = re.compile(
    r"/man/(?!man)[a-z]{2}|[/._-](?:de|fr|es|it|ja|ru|pt|pt-br|pt_BR|zh|zh_CN|ko|pl|nl|sv|cs|ca|da|tr|uk|fi|hu|el|ro|sk|sl|vi|nb|id|gl|eu|lt|he)(?:[/.]|$)"
)


def read_text(path):
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    if b"\0" in data[:4096]:
        return None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def file_paragraphs(path, name):
    base = path.name.lower().removesuffix(".gz").removesuffix(".dz")
    suffix = base.rsplit(".", 1)[-1] if "." in base else ""
    if suffix in ("html", "htm", "xhtml", "page", "xml", "docbook", "qml"):
        parse = html_paragraphs
    elif "/man/" in str(path) and re.fullmatch(r"[1-9n][a-z0-9]*", suffix):
        parse = man_paragraphs
    elif name == "dict-wn" and suffix == "dict":
        parse = wordnet_paragraphs
    elif suffix == "dict":
        parse = dictionary_paragraphs
    elif (
        suffix in ("txt", "rst", "text", "info", "md", "adoc", "pod", "tex", "sgml", "ruleset", "des", "help")
        or "-info" in suffix
        or re.search(r"\.info", base)
        or suffix == ""
        or "fortunes" in name
    ):
        parse = text_paragraphs
    else:
        return []
    if path.stat().st_size > 60_000_000:
        return []
    text = read_text(path)
    return parse(text) if text else []


def documents_of(job):
    """All prose of one package: writes lines [document, [sentence, ...]] per paragraph; returns (name, documents, paragraphs, sentences)."""
    name, version, root, out = job
    if out.exists():
        return name, version, out
    with gzip.open(out.with_suffix(".part"), "wt", compresslevel=1, encoding="utf-8") as sink:
        if root.is_file():
            paths = [root]
        else:
            paths = sorted(
                (p for p in root.rglob("*") if not p.is_symlink() and p.is_file()),
                key=lambda p: fraction("file", name, p.relative_to(root)),
            )
        known, left = set(), READ_AT_MOST
        for path in paths:
            if path != root and (left < 0 or len(known) > KEEP_AT_MOST):
                break
            relative = str(path.relative_to(root)) if path != root else path.name
            if path != root and (SKIP.search("/" + relative) or TRANSLATED.search("/" + relative)):
                continue
            paragraphs = description_paragraphs(path.read_text("utf-8")) if path == root else file_paragraphs(path, name)
            left -= path.stat().st_size if paragraphs else 0
            for number, paragraph in enumerate(paragraphs):
                paragraph = SPACE.sub(" ", paragraph).strip()
                if len(paragraph) < 25:
                    continue
                # Dictionaries and descriptions are one file: each entry counts as a document of its own.
                document = f"{relative}#{number}" if path == root or path.name.endswith(".dz") else relative
                run = []
                for sentence in sentences(paragraph) + [""]:
                    key = key_of(sentence) if sentence and is_prose(sentence) else None
                    if key and key not in known:
                        known.add(key)
                        run.append(sentence)
                    elif run:
                        sink.write(json.dumps([document, run], ensure_ascii=False) + "\n")
                        run = []
    out.with_suffix(".part").rename(out)
    return name, version, out


# ---- The open sets ----------------------------------------------------------------------------------------------------------


def jsonl(path):
    opener = gzip.open if str(path).endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8", newline="\n") as lines:
        for line in lines:
            yield json.loads(line)


def shared_corpora(shared):
    """(source, document, text) of the English corpora of the open sets: what their questions ask about belongs into the base."""
    for name in ("scifact", "cisi", "msmarco-dl19-5k", "hotpotqa-100", "wiki-distractors", "clapnq", "xquad", "rgb-en-counterfactual"):
        for file in ("corpus.jsonl.gz", "corpus.jsonl"):
            path = shared / name / file
            if path.exists():
                for row in jsonl(path):
                    if name != "xquad" or str(row["_id"]).startswith("xquad-en"):
                        yield name, str(row["_id"]), row["text"]


def shared_questions(shared):
    for name, file, key in (
        ("scifact", "queries.jsonl", "text"),
        ("cisi", "queries.jsonl", "text"),
        ("msmarco-dl19-5k", "queries.jsonl", "text"),
        ("hotpotqa-100", "qa.jsonl", "question"),
        ("clapnq", "qa.jsonl", "question"),
        ("xquad", "qa.jsonl.gz", "question"),
    ):
        path = shared / name / file
        if path.exists():
            for row in jsonl(path):
                if name != "xquad" or row.get("lang") == "en":
                    yield name, SPACE.sub(" ", row[key]).strip()


# ---- Packing and choosing ---------------------------------------------------------------------------------------------------


def fraction(*parts):
    """A number in [0, 1) that depends on the parts and the seed alone."""
    digest = hashlib.blake2b("\0".join(map(str, (SEED, *parts))).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") / 2**64


def key_of(text):
    return hashlib.blake2b("".join(c for c in text.lower() if c.isalnum()).encode(), digest_size=12).digest()


def packed(run, low, high, target):
    """Joins consecutive sentences until `target(i)` tokens are reached; yields texts of low...high tokens."""
    current, size, count = [], 0, 0
    for sentence in run:
        length = token_estimate(sentence)
        if current and (size + length > high or size >= target(count)):
            if size >= low:
                yield " ".join(current)
            current, size, count = [], 0, count + 1
        if length <= high:
            current.append(sentence)
            size += length
    if size >= low:
        yield " ".join(current)


def write_jsonl(path, rows):
    with open(path.with_suffix(".part"), "w", encoding="utf-8") as out:
        for number, (source, text) in enumerate(rows):
            out.write(json.dumps({"id": number, "text": text, "source": source}, ensure_ascii=False) + "\n")
    path.with_suffix(".part").rename(path)


def choose(candidates, size, per_source):
    """`size` of the candidates [(order, source, text)], at most `per_source` of each source while others have some left; in seeded random order."""
    candidates.sort(key=lambda c: c[0])
    taken, left, counts = [], [], {}
    for candidate in candidates:
        source = candidate[1]
        if counts.get(source, 0) < per_source:
            counts[source] = counts.get(source, 0) + 1
            taken.append(candidate)
        else:
            left.append(candidate)
    if len(taken) < size:
        taken = sorted(taken + left[: size - len(taken)])
    # Not the first of the order: a cap changes who comes first. A seeded draw over all that the cap admits.
    random.Random(SEED).shuffle(taken)
    return [(source, text) for _, source, text in taken[:size]]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    default = os.environ.get("OUTRIDER_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "outrider"
    )
    root = pathlib.Path(__file__).resolve().parents[2]
    parser.add_argument("--cache", type=pathlib.Path, default=pathlib.Path(default) / "bench")
    parser.add_argument(
        "--shared", type=pathlib.Path, default=pathlib.Path(os.environ.get("OUTRIDER_SHARED") or root / ".." / "shared") / "data"
    )
    parser.add_argument("--quick", action="store_true", help="a few small packages and 2,000 passages, for tests")
    options = parser.parse_args()
    started = time.monotonic()
    cache = options.cache.resolve()
    target = cache / ("corpus-quick" if options.quick else "corpus")
    (target / "paragraphs").mkdir(parents=True, exist_ok=True)
    say = lambda text: print(f"==> [{time.monotonic() - started:5.0f} s] {text}", flush=True)

    say("packages")
    packages = fetch_packages(QUICK_PACKAGES if options.quick else PACKAGES, cache / "packages")
    jobs = [(n, v, p, target / "paragraphs" / (p.name + ".jsonl.gz")) for n, v, p in packages]
    if not options.quick:
        say("package descriptions")
        descriptions = fetch_descriptions(cache / "packages")
        jobs.append(
            (
                "package-descriptions",
                hashlib.sha256(descriptions.read_bytes()).hexdigest()[:12],
                descriptions,
                target / "paragraphs" / "package-descriptions.jsonl.gz",
            )
        )

    say(f"paragraphs of {len(jobs)} sources")
    jobs.sort(key=lambda j: -sum(f.stat().st_size for f in j[2].rglob("*") if f.is_file()) if j[2].is_dir() else 0)
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        extracted = sorted(pool.map(documents_of, jobs, chunksize=1))

    # Each sentence once over the whole corpus (a manual repeats its introduction on every page), in the order of sources and files.
    say("passages")
    seen, held, base_sentences = set(), [], 0
    long_passages, short_passages = [], []
    per_source, templates = {}, {}

    def is_new(sentence):
        """Whether a sentence is the first of its letters, and not the hundredth that differs from others in its numbers only."""
        key = key_of(sentence)
        if key in seen:
            return False
        seen.add(key)
        if any(c.isdigit() for c in sentence):
            template = key_of(re.sub(r"\d", "", sentence))
            templates[template] = templates.get(template, 0) + 1
            return templates[template] <= 20
        return True

    def admit(source, document, run):
        nonlocal base_sentences
        if fraction("document", source, document) < HELD_OUT:
            held.extend((source, s) for s in run if 8 <= len(WORD.findall(s)) <= 40)
            return
        fresh = []
        for sentence in run + [None]:
            if sentence is not None and is_new(sentence):
                fresh.append(sentence)
                continue
            if fresh:
                base_sentences += len(fresh)
                per_source[source] = per_source.get(source, 0) + len(fresh)
                for text in packed(fresh, 30, 120, lambda i: 30 + 80 * fraction("long", source, document, fresh[0][:40], i)):
                    long_passages.append((fraction("order", text), source, text))
                for text in packed(fresh, 12, 120, lambda i: 12 + 30 * fraction("short", source, document, fresh[0][:40], i) ** 2):
                    short_passages.append((fraction("order", text), source, text))
                fresh = []

    if options.shared.exists():
        for source, document, text in shared_corpora(options.shared):
            # Clean text of people: only what is no sentence at all is dropped.
            run = [s for s in sentences(SPACE.sub(" ", text).strip()) if len(WORD.findall(s)) >= 4]
            admit(source, document, run)
    else:
        print(f"    no open sets at {options.shared}: queries will be held-out sentences only", flush=True)
    for name, version, path in extracted:
        with gzip.open(path, "rt", encoding="utf-8", newline="\n") as lines:
            for line in lines:
                document, run = json.loads(line)
                admit(name, document, run)
    say(
        f"{base_sentences:,} different sentences; {len(long_passages):,} long and {len(short_passages):,} short passages; {len(held):,} held-out sentences"
    )

    size = {k: (2000 if options.quick else v) for k, v in SIZE.items()}
    counts = {}
    for name, passages in (("passages-100k", long_passages), ("passages-1m", short_passages)):
        rows = choose(passages, size[name], PER_SOURCE[name])
        write_jsonl(target / f"{name}.jsonl", rows)
        lengths = sorted(token_estimate(t) for _, t in rows[:20000])
        counts[name] = {
            "passages": len(rows),
            "sources": len({s for s, _ in rows}),
            "tokens_p10_p50_p90": [lengths[len(lengths) * q // 10] for q in (1, 5, 9)] if lengths else [],
        }
        say(f"{name}: {counts[name]}")

    # A query must occur nowhere in the base; half are questions and claims that people wrote, half are sentences of unseen documents.
    count = 200 if options.quick else QUERIES
    questions, unique = [], set()
    if options.shared.exists():
        for source, text in shared_questions(options.shared):
            key = key_of(text)
            if key not in seen and key not in unique:
                unique.add(key)
                questions.append((fraction("query", text), f"question:{source}", text[:600]))
    questions.sort()
    from_people = questions[: count // 2]
    sentences_left, held_counts = [], {}
    for source, text in sorted(held, key=lambda h: fraction("query", h[1])):
        key = key_of(text)
        if key in seen or key in unique or held_counts.get(source, 0) >= max(4, count // 40):
            continue
        unique.add(key)
        held_counts[source] = held_counts.get(source, 0) + 1
        sentences_left.append((fraction("query", text), f"sentence:{source}", text))
    queries = from_people + sentences_left[: count - len(from_people)]
    random.Random(SEED).shuffle(queries)
    write_jsonl(target / "queries.jsonl", [(s, t) for _, s, t in queries])
    kinds = {k: sum(s.startswith(k) for _, s, _ in queries) for k in ("question", "sentence")}
    say(f"queries: {len(queries)} {kinds}")
    manifest = {
        "seed": SEED,
        "counts": {**counts, "queries": {"queries": len(queries), **kinds}},
        "packages": {n: v for n, v, _ in extracted},
        "sentences_by_source": dict(sorted(per_source.items(), key=lambda i: -i[1])),
        "seconds": round(time.monotonic() - started),
    }
    (target / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    say(f"written to {target}; {len(extracted)} sources: " + ", ".join(f"{n} {v}" for n, v, _ in extracted))


if __name__ == "__main__":
    sys.exit(main())
