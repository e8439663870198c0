"""Markdown: tables that can be read as text, and reports that say where their figures come from."""

import json
import pathlib
import shlex
import sys

from .environment import environment


def number(value, digits=3):
    """A figure for a table: about `digits` digits that count, thousands with a comma, a dash for what is not there."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value.replace("|", "\\|").replace("\n", " ")
    if isinstance(value, (dict, list)):
        if isinstance(value, dict):
            return " ".join(f"{k}={number(v)}" for k, v in value.items()) or "-"
        return " ".join(number(v) for v in value) or "-"
    if value != value:
        return "-"
    if isinstance(value, int) or abs(value) >= 10**digits:
        return f"{round(value):,}"
    if value == 0:
        return "0"
    text = f"{value:.{digits}g}"
    if "e" in text:
        return text
    # 0.950 as 0.95 hides that it was measured to the third place, but 12.0 is just 12.
    return text


def table(headers, rows, digits=3):
    """A Markdown table, columns padded so that it is a table in a terminal too. A row is a list of cells, or a dictionary by header."""
    cells = []
    for row in rows:
        if isinstance(row, dict):
            row = [row.get(h) for h in headers]
        cells.append([number(c, digits) for c in row])
    widths = [max([len(str(h))] + [len(r[i]) for r in cells]) for i, h in enumerate(headers)]
    numeric = [
        bool(cells)
        and all(
            r[i] == "-"
            or r[i]
            .lstrip("-~<>")
            .replace(",", "")
            .replace(".", "")
            .replace("x", "")
            .replace("e", "")
            .replace("+", "")
            .replace("-", "")
            .isdigit()
            for r in cells
        )
        for i in range(len(headers))
    ]
    numeric = [n and any(r[i] != "-" for r in cells) for i, n in enumerate(numeric)]
    line = lambda items: "| " + " | ".join(c.rjust(w) if n else c.ljust(w) for c, w, n in zip(items, widths, numeric)) + " |"
    rule = "|" + "|".join("-" * (w + 1) + ":" if n else "-" * (w + 2) for w, n in zip(widths, numeric)) + "|"
    return "\n".join([line([str(h) for h in headers]), rule] + [line(r) for r in cells]) + "\n"


def shown_command(arguments=None):
    """The command as a person would type it: without the folders of this machine."""
    words = []
    for word in arguments if arguments is not None else sys.argv:
        path = pathlib.Path(word)
        if path.is_absolute():
            for folder in (pathlib.Path.cwd(), pathlib.Path.home()):
                if path.is_relative_to(folder):
                    word = ("~/" if folder == pathlib.Path.home() else "") + str(path.relative_to(folder))
                    break
            else:
                word = path.name
        words.append(shlex.quote(word) if not word.startswith("~/") else word)
    return " ".join(words)


class Report:
    """A Markdown report: title, environment, sections. Its raw rows lie beside it as .jsonl."""

    def __init__(self, title, packages=(), command=None, **parameters):
        self.environment = environment(packages)
        self.rows = []
        e = self.environment
        machine = f"{e['cores']} cores of {e['cpu']} ({e['instruction_sets'] or e['architecture']}), {e['memory_GB']:.0f} GB, {e['system']}, Linux {e['kernel']}"
        self.parts = [
            f"# {title}",
            f"{e['date']}. Machine: {machine}. Load before the run: {e['load_1min']}. Commit: {e['commit']}.",
            "Command:\n\n    " + shown_command(command),
        ]
        versions = {k: v for k, v in e["versions"].items() if v != "missing"}
        missing = [k for k, v in e["versions"].items() if v == "missing"]
        if versions:
            self.parts.append(
                "Versions: "
                + ", ".join(f"{k} {v}" for k, v in versions.items())
                + f", Python {e['python']}."
                + (f" Not installed: {', '.join(missing)}." if missing else "")
            )
        if parameters:
            self.parts.append("Parameters: " + ", ".join(f"{k.replace('_', ' ')} {number(v)}" for k, v in parameters.items()) + ".")

    def section(self, title):
        self.parts.append(f"## {title}")

    def text(self, text):
        self.parts.append(text.strip())

    def table(self, headers, rows, digits=3):
        self.parts.append(table(headers, rows, digits).rstrip())

    def raw(self, rows):
        """Rows kept as JSON lines beside the report, so that another day's figures can be compared with these."""
        self.rows.extend(rows)

    def write(self, path):
        path = pathlib.Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n\n".join(self.parts) + "\n", encoding="utf-8")
        if self.rows:
            with open(path.with_suffix(".jsonl"), "w", encoding="utf-8") as out:
                out.write(json.dumps({"environment": self.environment}) + "\n")
                for row in self.rows:
                    out.write(json.dumps(row, ensure_ascii=False) + "\n")
        return path
