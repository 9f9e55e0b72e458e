"""The report's curves: the CSV files that stages wrote for plots go in, sections come out."""

import csv
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

from lmcore.analysis.checkpoints import UNITS
from lmcore.errors import InputError
from lmcore.figures.lines import lines, thinned
from lmcore.figures.specification import Field, Figure, Rows
from lmcore.report.figures import drawn
from lmcore.report.layout import macros

STEP, LOSS, N_SEEDS = Field("step", "step", ","), Field("loss", "nats per token", ".3f"), "n_seeds"
SPLIT = Field("split", "loss")
# for each curve over models: how it is written
PROGRESSION = {"loss": ".3f", "entropy": ".3f", "accuracy": ".1%", "spearman": ".3f"}

Point = tuple[float, ...]  # step and loss; of several seeds also the lowest and the highest loss


class Curve(NamedTuple):
    """The losses of one training, or of the seeds of one recipe."""

    name: str
    n_seeds: int
    train: list[Point]
    dev: list[Point]

    @property
    def lowest(self) -> Point:
        """The point of the lowest dev loss."""
        return min(self.dev, key=lambda point: point[1])


class Shown(NamedTuple):
    """A curve as the page shows it."""

    name: str
    n_seeds: int
    lowest: str
    step: str
    figure: Markup


def loss_section(paths: dict[str, Path], recipes: dict[str, list[str]]) -> Markup:
    """The training loss and the dev loss by step: of each model, and of all dev losses together.

    `paths` are those of the loss curves by model. The models of one of the `recipes`, which differ
    in their seed, are one curve with a band. Raises InputError, naming the file, where it is no
    loss curve.
    """
    curves = [_read_curve(model, path) for model, path in paths.items()]
    curves = list(_by_recipe(curves, recipes))
    shown = []
    for curve in curves:
        step, lowest = curve.lowest[:2]
        figure = drawn(_loss_figure(curve))
        shown.append(Shown(curve.name, curve.n_seeds, f"{lowest:.3f}", f"{step:,g}", figure))
    together = drawn(_dev_figure(curves)) if len(curves) > 1 else ""
    return macros(__name__).loss_section(shown, together) if shown else Markup("")


def progression_section(curves: dict[str, list[dict]]) -> Markup:
    """Loss, entropy, accuracy and Spearman's correlation over an ordered list of models.

    Each has a figure with a line for each suite that has it. Checkpoints lie over the words or the
    steps that they had read, on a log scale. The section is empty where there are no models.
    `curves` are by suite.
    """
    first = next(iter(curves.values()), [])
    if not first:
        return Markup("")
    model = Field("model", "model")
    units = [unit for unit in UNITS if unit in first[0]]
    x = Field(units[0], f"{units[0]} read", ",") if units else model
    more = [model] if units else []
    figures = {}
    for name, form in PROGRESSION.items():
        rows: Rows = []
        for suite, of_suite in curves.items():
            if name in of_suite[0]:
                rows += [_progression_row(suite, row, x, name) for row in of_suite]
        if rows:
            figure = lines(
                f"progression-{name}",
                f"{name} of every suite from model to model",
                rows,
                x,
                Field(name, name, form),
                Field("suite", "suite"),
                list(curves),
                more=more,
                log_x=bool(units),
            )
            figures[name] = drawn(figure)
    order = " → ".join(row["model"] for row in first)
    return macros(__name__).progression_section(order, figures)


def read_progression(folder: Path) -> dict[str, list[dict]]:
    """The rows of `folder`/SUITE.csv, without the files that have none."""
    curves = {}
    for path in sorted(folder.glob("*.csv")):
        if rows := _read_csv(path):
            curves[path.stem] = rows
    return curves


def _progression_row(suite: str, row: dict, x: Field, name: str) -> dict:
    """A row of a file as a row of a figure."""
    found = {"suite": suite, "model": row["model"], name: float(row[name])}
    return found | ({x.name: float(row[x.name])} if x.form else {})


def _read_curve(model: str, path: Path) -> Curve:
    """The losses of one model. Raises InputError, naming the file, where it is no loss curve."""
    try:
        rows = _read_csv(path)
        curve = Curve(model, 1, _losses(rows, "train_loss"), _losses(rows, "dev_loss"))
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file; run the stage train_model") from error
    except (KeyError, ValueError) as error:
        raise InputError(
            f"{path}: not a loss curve: {error}; expected the columns step, train_loss, dev_loss"
        ) from error
    if not curve.train or not curve.dev:
        raise InputError(
            f"{path}: an empty loss curve; expected rows of step, train_loss, dev_loss"
        )
    return curve


def _by_recipe(curves: list[Curve], recipes: dict[str, list[str]]) -> Iterable[Curve]:
    """The curves, with one curve in place of those of the models of a recipe."""
    by_name, taken = {curve.name: curve for curve in curves}, set[str]()
    for recipe, models in recipes.items():
        seeds = [by_name[model] for model in models if model in by_name]
        if len(seeds) > 1 and not taken & set(models):
            train = _over_seeds([curve.train for curve in seeds])
            dev = _over_seeds([curve.dev for curve in seeds])
            if train and dev:
                taken |= set(models)
                yield Curve(recipe, len(seeds), train, dev)
    yield from (curve for curve in curves if curve.name not in taken)


def _over_seeds(curves: list[list[Point]]) -> list[Point]:
    """(step, mean, lowest, highest) of the losses at every step that all seeds have."""
    by_step = [{point[0]: point[1] for point in curve} for curve in curves]
    points: list[Point] = []
    for step in by_step[0]:
        if all(step in losses for losses in by_step):
            values = [losses[step] for losses in by_step]
            points.append((step, sum(values) / len(values), min(values), max(values)))
    return points


def _rows(points: list[Point], series: dict[str, str]) -> Rows:
    """The points as rows of a figure, those of a long curve averaged."""
    names = ("step", "loss", "loss_low", "loss_high")
    return [{**series, **dict(zip(names, point))} for point in thinned(points)]


def _loss_figure(curve: Curve) -> Figure:
    """Training loss and dev loss of one model or recipe."""
    rows = list(
        chain(_rows(curve.train, {"split": "training"}), _rows(curve.dev, {"split": "dev"}))
    )
    label = f"Training loss and dev loss of {curve.name} by step"
    return lines(f"loss-{curve.name}", label, rows, STEP, LOSS, SPLIT, ["training", "dev"])


def _dev_figure(curves: list[Curve]) -> Figure:
    """The dev losses of all models and recipes."""
    rows = list(chain.from_iterable(_rows(curve.dev, {"model": curve.name}) for curve in curves))
    names = [curve.name for curve in curves]
    return lines("loss", "Dev losses by step", rows, STEP, LOSS, Field("model", "model"), names)


def _read_csv(path: Path) -> list[dict]:
    return list(csv.DictReader(path.read_text("utf-8").splitlines()))


def _losses(rows: list[dict], name: str) -> list[Point]:
    """(step, loss) of every row that has the loss `name`."""
    return [(float(row["step"]), float(row[name])) for row in rows if row[name]]
