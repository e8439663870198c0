"""What the benchmarks share: where a run happened, how runs are interleaved, how a table and a curve are written. Python's standard library only.

    import sys, pathlib; sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
    from harness import environment, interleave, json_lines, medians, table, number, curves, Report

- environment(packages=()) -> dict        commit, machine, load, versions
- bench_binary() -> str                   the program that measures Outrider's parts
- bench_command(binary, *arguments)       its command line, also where the measurements were still in the product
- cache_folder() -> Path                  where downloads, corpora and models are kept
- json_lines(command, ...) -> Result      one child process: its JSON lines, its wall, CPU seconds and peak memory, its last words when it failed
- interleave(tasks, repetitions) -> list  A B C A B C ...: what slows the machine for a while slows all of them
- medians(rows, by) -> list               one row per key: the median of each number, and the spread of the repetitions
- table(headers, rows), number(x)         Markdown
- curves(series, ...) -> str              an SVG of recall/QPS curves
- Report(path, title)                     a Markdown report with the environment at its head
"""

from .environment import bench_binary, bench_command, cache_folder, environment, package_versions
from .measure import Result, interleave, json_lines, medians, spread
from .plot import curves
from .report import Report, number, table

__all__ = [
    "Report",
    "Result",
    "bench_binary",
    "bench_command",
    "cache_folder",
    "curves",
    "environment",
    "interleave",
    "json_lines",
    "medians",
    "number",
    "package_versions",
    "spread",
    "table",
]
