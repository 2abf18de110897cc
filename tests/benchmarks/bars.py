"""Draw RESULTS.md's table of convolutions: how much longer PyTorch and plain JAX take than lucid.

    python tests/benchmarks/bars.py

Needs the `examples` extra; writes speed.png beside RESULTS.md.
"""

from __future__ import annotations

import re
from pathlib import Path

from matplotlib.figure import Figure

HERE = Path(__file__).parent
COLORS = {"PyTorch": "#e07b39", "plain JAX": "#4878a8"}


def rows(text: str, kind: str) -> dict[str, dict[str, float]]:
    """By the name of a row: the times of the others, forward and backward, as parts of lucid's."""
    table = re.search(rf"^{kind} .*?f\+b /torch.*?\n(.*?)^{kind}, geo", text, flags=re.M | re.S)
    if table is None:
        raise SystemExit(f"RESULTS.md has no table of {kind} convolutions: run results.py first")
    found = {}
    for line in table[1].splitlines():
        # Forward: ms, /torch; forward and backward: ms, /torch, /plain. What was rounded to 0 is
        # at most this.
        name, numbers = line[:28].strip(), [max(float(x), 0.005) for x in line[28:].split()]
        found[name] = {"PyTorch": 1 / numbers[3], "plain JAX": 1 / numbers[4]}
    return found


def main() -> None:
    text = (HERE / "RESULTS.md").read_text()
    section = re.search(r"^## Convolutions\n(.*?)(?=^## |\Z)", text, flags=re.M | re.S)
    figure = Figure(figsize=(10, 7.2), layout="constrained")
    for axes, kind in zip(figure.subplots(1, 2), ("transposed", "ordinary"), strict=True):
        found = rows(section[1] if section else "", kind)
        for i, (who, color) in enumerate(COLORS.items()):
            places = [at + 0.4 * i for at in range(len(found))]
            values = [row[who] for row in found.values()]
            # From 1, where both take equally long, to either side.
            axes.barh(places, [v - 1 for v in values], 0.4, left=1, color=color, label=who)
        axes.set_yticks([at + 0.2 for at in range(len(found))], list(found), fontsize=8)
        axes.invert_yaxis()
        axes.set_xscale("log")
        ticks = (0.5, 1, 2, 5, 10, 30, 100)
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.axvline(1, color="black", linewidth=1)
        axes.set_title(f"{kind} convolutions", fontsize=10)
    figure.suptitle("forward and backward: times of lucid's time (to the right lucid is faster)")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    figure.savefig(HERE / "speed.png", dpi=110)


if __name__ == "__main__":
    main()
