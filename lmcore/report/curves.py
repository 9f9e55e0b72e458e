"""The report's curves: the CSV files that stages wrote for plots go in.

Loss curves come out as HTML, curves over models as rows.
"""

import csv
from pathlib import Path

from markupsafe import Markup

from lmcore.errors import InputError
from lmcore.report.figures import line_plot
from lmcore.report.layout import macros


def loss_curve(model: str, path: Path) -> Markup:
    """The training loss and the dev loss of one model by step.

    Raises InputError, naming the file, where it is no loss curve.
    """
    try:
        rows = _read_csv(path)
        train, dev = _losses(rows, "train_loss"), _losses(rows, "dev_loss")
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file; run the stage train_model") from error
    except (KeyError, ValueError) as error:
        raise InputError(
            f"{path}: not a loss curve: {error}; expected the columns step, train_loss, dev_loss"
        ) from error
    if not train or not dev:
        raise InputError(
            f"{path}: an empty loss curve; expected rows of step, train_loss, dev_loss"
        )
    step, lowest = min(dev, key=lambda point: point[1])
    plot = line_plot(
        {"train loss": train, "dev loss": dev},
        "step",
        "nats per token",
        (step, lowest, f"lowest dev loss {lowest:.3f} at step {step:,g}"),
    )
    return macros(__name__).loss_curve(model, plot)


def read_progression(folder: Path) -> dict[str, list[dict]]:
    """The rows of `folder`/SUITE.csv, without the files that have none."""
    curves = {}
    for path in sorted(folder.glob("*.csv")):
        if rows := _read_csv(path):
            curves[path.stem] = rows
    return curves


def _read_csv(path: Path) -> list[dict]:
    return list(csv.DictReader(path.read_text("utf-8").splitlines()))


def _losses(rows: list[dict], name: str) -> list[tuple[float, float]]:
    """(step, loss) of every row that has the loss `name`."""
    return [(float(row["step"]), float(row[name])) for row in rows if row[name]]
