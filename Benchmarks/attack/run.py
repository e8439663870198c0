#!/usr/bin/env python3
"""The attack: what Outrider promises, tried against a binary by killing it, flipping bits, filling the disk, and asking it the same thing from many sides.

    run.py kills        1,000 SIGKILLs over all operations
    run.py flips        40 flipped bits in each kind of file of the data folder
    run.py full         the disk full in each stage (needs root, for a small tmpfs)
    run.py consistency  15 minutes of readers and writers in all three modes
    run.py resident     an hour of light load: what grows

Each prints its seed, writes a report into results/, and ends with 1 when anything was wrong. All of it is Python's standard library. The binary's
resource bundles lie beside it, as the build puts them.
"""

import argparse
import datetime
import importlib
import pathlib
import random
import resource
import signal
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from attack.program import Program  # noqa: E402
from harness import Report  # noqa: E402

TITLES = {
    "kills": "Attack: kills",
    "flips": "Attack: flipped bits",
    "full": "Attack: a full disk",
    "consistency": "Attack: consistency",
    "resident": "Attack: what grows",
}


def parsed(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name, **defaults):
        sub = commands.add_parser(name, help=TITLES[name])
        sub.add_argument("--outrider", default=str(HERE.parents[1] / ".build" / "release" / "outrider"))
        sub.add_argument("--seed", type=int, default=None, help="default: drawn, and printed")
        sub.add_argument("--folder", default=tempfile.gettempdir(), help="where the data folders are made")
        sub.add_argument("--out", default=str(HERE.parent / "results" / f"{datetime.date.today()}-attack-{name}.md"))
        for option, value in defaults.items():
            sub.add_argument("--" + option.replace("_", "-"), type=type(value), default=value)
        return sub

    command("kills", count=1000, models="default,none", look_every=25, limit=3600.0)
    command("flips", each=40, only="", model="default", lists=20_000)
    command("full", size=48, model="default", only="")
    command("consistency", seconds=900.0, writers=4, readers=4, documents=100, pause=0.1, model="default")
    command("resident", seconds=3600.0, every=60.0, documents=400, keep_jobs=1000, flat=3.0, model="default")
    options = parser.parse_args(arguments)
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1, 1_000_000)
    return options


def main(arguments=None):
    options = parsed(arguments)
    if not pathlib.Path(options.outrider).exists():
        sys.exit(f"there is no binary '{options.outrider}'; build it, or name one with --outrider")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what is mounted and running is ended in the ordinary way
    parameters = {k: v for k, v in vars(options).items() if k not in ("command", "outrider", "folder", "out")}
    print(f"{options.command}: {', '.join(f'{k} {v}' for k, v in parameters.items())}", flush=True)
    report = Report(TITLES[options.command], **{k: v for k, v in parameters.items() if v != ""})
    report.text(f"Binary: {Program(options.outrider).version()}.")
    try:
        good = importlib.import_module(f"attack.{options.command}").run(options, report)
    except (SystemExit, KeyboardInterrupt):
        report.text("Ended before its time, by a signal.")
        print(report.write(options.out))
        raise
    print(report.write(options.out))
    print("nothing wrong" if good else "FAULTS, see the report")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
