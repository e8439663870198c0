"""Where and with what a measurement was made."""

import datetime
import importlib.metadata
import os
import pathlib
import platform
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]


def _read(path):
    try:
        return pathlib.Path(path).read_text()
    except OSError:
        return ""


def _field(text, *names):
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() in names and value.strip():
            return value.strip()
    return ""


def _git(*arguments):
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def package_versions(names):
    """Versions of the Python packages named; 'missing' where one is not installed."""
    result = {}
    for name in names:
        try:
            result[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            result[name] = "missing"
    return result


def instruction_sets(flags):
    """Those of a CPU's flags that decide which kernel runs."""
    known = (
        "avx2",
        "fma",
        "f16c",
        "avx512f",
        "avx512bw",
        "avx512_vnni",
        "avx512_vbmi",
        "avx512_bf16",
        "amx_int8",
        "avx_vnni",
        "asimddp",
        "asimdhp",
        "i8mm",
        "sve",
        "sve2",
    )
    present = set(flags.split())
    return [name for name in known if name in present]


def environment(packages=()):
    """Commit, machine, load and versions, as a flat dictionary of strings and numbers that JSON takes."""
    cpu = _read("/proc/cpuinfo")
    memory = _field(_read("/proc/meminfo"), "MemTotal").split()
    system = dict(line.split("=", 1) for line in _read("/etc/os-release").splitlines() if "=" in line)
    commit = _git("rev-parse", "--short=12", "HEAD") or "unknown"
    if commit != "unknown" and _git("status", "--porcelain", "--untracked-files=no"):
        commit += " with changes"
    result = {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": commit,
        "cpu": _field(cpu, "model name", "Model", "Hardware") or platform.processor() or platform.machine(),
        "architecture": platform.machine(),
        "instruction_sets": " ".join(instruction_sets(_field(cpu, "flags", "Features"))),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_GB": round(int(memory[0]) / 1e6, 1) if memory else 0,
        "system": system.get("PRETTY_NAME", platform.system()).strip('"'),
        "kernel": platform.release(),
        "load_1min": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
    }
    result["versions"] = package_versions(packages)
    return result


def bench_binary():
    """The program that measures Outrider's parts: OUTRIDER names it, or it is the optimized build of this checkout."""
    return os.environ.get("OUTRIDER") or str(pathlib.Path(__file__).resolve().parents[2] / ".build" / "release" / "outrider-bench")


def bench_command(binary, *arguments):
    """The command line of a measurement. Versions before `outrider-bench` had the measurements in the product, under `outrider bench`."""
    inside = [] if pathlib.Path(binary).name.startswith("outrider-bench") else ["bench"]
    return [str(binary), *inside, *arguments]


def cache_folder():
    """The folder of everything that is downloaded or built once a machine, as scripts/setup.sh chooses it."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return pathlib.Path(os.environ.get("OUTRIDER_CACHE") or os.path.join(base, "outrider")).resolve()
