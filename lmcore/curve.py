"""What a training leaves beside its weights: the curve as CSV, and a small JSON of where it ended."""

import csv
from pathlib import Path

from lmcore.files import whole, write_json


def write_curve(curve: list[dict], n_parameters: int, plot: Path, summary: Path) -> None:
    """Write the rows of the curve to `plot`, and to `summary` the number of parameters, of steps, and the best dev loss with its step."""
    with whole(plot) as path, path.open("w", newline="") as file:
        writer = csv.DictWriter(file, curve[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: round(value, 6) for name, value in row.items()} for row in curve)
    best = min(curve, key=lambda row: row["dev_loss"])
    values = {"best_step": best["step"], "dev_loss": round(best["dev_loss"], 6), "parameters": n_parameters, "steps": curve[-1]["step"]}
    write_json(values, summary)
