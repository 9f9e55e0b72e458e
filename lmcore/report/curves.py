"""The report's curves: the CSV files that stages wrote for plots go in, sections come out."""

import csv
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

from lmcore.analysis.checkpoints import UNITS, amounts_read
from lmcore.errors import InputError
from lmcore.figures.lines import lines, thinned
from lmcore.figures.specification import Field, Figure, Rows
from lmcore.report.figures import drawn
from lmcore.report.layout import macros
from lmcore.report.results import Results
from lmcore.report.terms import KINDS, label, unit_of

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


def checkpoints_section(
    results: Results,
    kept: dict[str, dict],
    trained: Path,
    recipes: dict[str, list[str]],
) -> Markup:
    """The headline metric of every suite over the words or steps that checkpoints had read.

    There is a figure for each suite, with a line for each training that has two models at least:
    its checkpoints and what it ended in. The trainings of one of the `recipes`, which differ in
    their seed, are one line with a band. The section is empty where nothing was kept.

    `kept` are the entries of keep_checkpoint, `trained` the folder of MODEL.json that say how far
    trainings went.
    """
    unit, read = _amounts(results.models, kept, trained)
    series = {training: training for training in read}
    for recipe, models in recipes.items():
        seeds = [model for model in models if model in read]
        if len(seeds) > 1:
            series |= dict.fromkeys(seeds, recipe)
    figures = {}
    for suite in results.kinds:
        if rows := _checkpoint_rows(results, suite, unit, read, series):
            metric = KINDS[results.kinds[suite]][0]
            form = ".1%" if unit_of(metric) else ".3f"
            figure = lines(
                f"checkpoints-{suite}",
                f"{label(metric)} on {suite} over the {unit} that checkpoints had read",
                rows,
                Field(unit, f"{unit} read", ","),
                Field("value", label(metric), form),
                Field("training", "training"),
                list(dict.fromkeys(series.values())),
                more=[Field("n", "seeds", ",")],
                log_x=True,
            )
            figures[suite] = drawn(figure)
    return macros(__name__).checkpoints_section(figures) if figures else Markup("")


def read_progression(folder: Path) -> dict[str, list[dict]]:
    """The rows of `folder`/SUITE.csv, without the files that have none."""
    curves = {}
    for path in sorted(folder.glob("*.csv")):
        if rows := read_csv(path):
            curves[path.stem] = rows
    return curves


def _amounts(
    models: list[str], kept: dict[str, dict], trained: Path
) -> tuple[str, dict[str, dict[str, int]]]:
    """The unit, and how much each model had read, by training; trainings in other units not."""
    trainings: dict[str, list[str]] = {}
    for model in models:
        if model in kept:
            trainings.setdefault(kept[model]["model"], []).append(model)
    unit, read = "", {}
    for training, of_training in trainings.items():
        whole = [*of_training, *([training] if training in models else [])]
        amounts = amounts_read(whole, kept, trained)
        if amounts and len(whole) > 1 and unit in ("", amounts.unit):
            unit = amounts.unit
            read[training] = dict(zip(whole, amounts.values))
    return unit, read


def _checkpoint_rows(
    results: Results,
    suite: str,
    unit: str,
    read: dict[str, dict[str, int]],
    series: dict[str, str],
) -> Rows:
    """The headline metric on a suite by series and amount: means over seeds, and their range."""
    values: dict[tuple[str, int], list[float]] = {}
    for training, amounts in read.items():
        for model, amount in amounts.items():
            if suite in results.metrics[model]:
                name = results.headline_name(model, suite)
                value = results.metrics[model][suite][name]
                values.setdefault((series[training], amount), []).append(value)
    rows: Rows = []
    for (name, amount), found in sorted(values.items()):
        row = {"training": name, unit: amount, "value": sum(found) / len(found), "n": len(found)}
        has_band = len(found) > 1
        rows.append(row | ({"value_low": min(found), "value_high": max(found)} if has_band else {}))
    return rows


def read_csv(path: Path) -> list[dict]:
    """The rows of a CSV file, as texts."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _progression_row(suite: str, row: dict, x: Field, name: str) -> dict:
    """A row of a file as a row of a figure."""
    found = {"suite": suite, "model": row["model"], name: float(row[name])}
    return found | ({x.name: float(row[x.name])} if x.form else {})


def _read_curve(model: str, path: Path) -> Curve:
    """The losses of one model. Raises InputError, naming the file, where it is no loss curve."""
    try:
        rows = read_csv(path)
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
    losses: dict[float, list[float]] = {}
    for curve in curves:
        for step, loss, *_ in curve:
            losses.setdefault(step, []).append(loss)
    points: list[Point] = []
    for step, values in losses.items():
        if len(values) == len(curves):
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


def _losses(rows: list[dict], name: str) -> list[Point]:
    """(step, loss) of every row that has the loss `name`."""
    return [(float(row["step"]), float(row[name])) for row in rows if row[name]]
