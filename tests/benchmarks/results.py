"""Run benchmarks one after another and keep what they print in RESULTS.md, with machine and date.

    python tests/benchmarks/results.py [TITLE ...]

Each has a section of its own there; those whose titles are not given stay as they are, and so does
"On a GPU" unless given. Run it while nothing else runs.
"""

from __future__ import annotations

import datetime
import os
import platform
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
RESULTS = HERE / "RESULTS.md"
COMMANDS = {  # by the title of the section
    "First contact": "first_contact.py --rounds 2",
    "Compiled steps": "jit_step.py",
    "Whole models, training": "training.py",
    "Whole models, inference": "inference.py",
    "Convolutions": "conv_transpose.py --quick",
    "Convolutions, drawn shapes": "conv_transpose.py --quick --drawn 40",
    "Recurrent layers": "recurrent.py small",
    "A decoder": "decoder.py",
    "Eager execution": "eager.py",
    "Memory": "memory.py",
    "On a GPU": "accelerator.py",
}
ON_CPU = [title for title in COMMANDS if title != "On a GPU"]  # what runs without a title
HEAD = """# Results of the benchmarks

Written by `python tests/benchmarks/results.py`: what each benchmark printed, where and when. Ratios
come from runs that take turns in one process, or from processes that take turns; below 1 is faster
than the reference. Differences under 0.15 are noise.
"""


def machine() -> str:
    """What ran the benchmarks."""
    model = platform.processor()
    if (info := Path("/proc/cpuinfo")).exists():
        found = re.search(r"model name\s*: (.*)", info.read_text())
        model = found[1] if found else model
    libraries = ", ".join(f"{name} {version(name)}" for name in ("jax", "torch", "numpy"))
    return f"{os.cpu_count()} cores of {model}; Python {platform.python_version()}, {libraries}"


def section(name: str) -> str:
    command = ["tests/benchmarks/" + COMMANDS[name].split()[0], *COMMANDS[name].split()[1:]]
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", *command],
        cwd=HERE.parent.parent,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    date = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")
    called = f"`python {' '.join(command)}`, {date}"
    return f"## {name}\n\n{called}; {machine()}\n\n```\n{ended.stdout.rstrip()}\n```\n"


def main() -> None:
    names = sys.argv[1:] or ON_CPU
    text = RESULTS.read_text() if RESULTS.exists() else ""
    kept = {part.split("\n", 1)[0]: "## " + part for part in text.split("\n## ")[1:]}
    for name in names:
        print(name, flush=True)
        kept[name] = section(name)
        ordered = [kept[one].rstrip() + "\n" for one in COMMANDS if one in kept]
        RESULTS.write_text("\n".join([HEAD, *ordered]))


if __name__ == "__main__":
    main()
