"""The tables of docs/recipes.md: metrics of a run with experiments/recipes.yaml go in.

`python -m bench.recipes results` fills the table of results, after `dvc repro compare_models` with
experiments/recipes.yaml; `python -m bench.recipes lr` that of learning rates, after the trainings
of experiments/recipes_lr.yaml. What stands around the tables is written by hand.
"""

import json
import re
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from lmcore.errors import InputError
from lmcore.files import whole
from lmcore.params import yaml_text
from lmcore.text_files import read_text

PAGE = Path("docs/recipes.md")
# {suite: what the table calls it, factor, decimals}
SUITES = {
    "heldout": ("heldout, bits per byte", 1, 4),
    "minimal_pairs": ("minimal pairs, %", 100, 2),
}


def main(
    what: Annotated[Literal["results", "lr"], typer.Argument(help="which table to fill")],
    root: Annotated[Path, typer.Option(help="the folder of params.yaml and metrics")] = Path(),
    page: Annotated[Path, typer.Option(help="the page to fill")] = PAGE,
) -> None:
    """Fill a table of docs/recipes.md from the metrics of a run."""
    params = yaml_text.load(read_text(root / "params.yaml", "YAML"), "params.yaml")
    metrics = root / "metrics"
    table = results_tables(params, metrics) if what == "results" else lr_table(params, metrics)
    fill(page, what, table)
    print(f"{page}: the table {what} is filled")


def fill(page: Path, name: str, text: str) -> None:
    """Put `text` between the marks of this name. Raises InputError where the page has none."""
    content = read_text(page, "Markdown")
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    pattern = re.compile(f"{re.escape(begin)}.*{re.escape(end)}", re.S)
    if not pattern.search(content):
        raise InputError(f"{page}: has no lines '{begin}' and '{end}'; expected both")
    filled = pattern.sub(lambda match: f"{begin}\n\n{text}\n\n{end}", content)
    with whole(page) as temporary:
        temporary.write_text(filled, "utf-8")


def results_tables(params: dict[str, Any], metrics: Path) -> str:
    """The recipes over their seeds, and the verdict on every planned pair.

    Raises InputError where the trainings differ in their number of steps, because they would not
    have read the same words then.
    """
    recipes: dict[str, list[str]] = params["compare_models"]["recipes"]
    runs: dict[str, list[dict]] = {}
    read = set()  # steps and words of each training
    for name, members in recipes.items():
        runs[name] = [_json(metrics / "train" / f"{member}.json") for member in members]
        read |= {(run["steps"], run["words"]) for run in runs[name]}
    if len(read) > 1:
        raise InputError(
            f"{metrics}/train: trainings of {sorted(read)} steps and words; expected one number"
        )
    steps, words = read.pop()
    seeds, pairs = _json(metrics / "seeds.json"), _json(metrics / "comparisons.json")
    parts = [
        f"{steps:,} steps, which read {words:,} words. Mean ± one standard deviation over seeds.",
        _seeds_table(runs, seeds),
        "Differences with their intervals, over seeds and items together:",
        _pairs_table(params["compare_models"]["pairs"], pairs),
    ]
    return "\n\n".join(parts)


def lr_table(params: dict[str, Any], metrics: Path) -> str:
    """The dev loss by optimiser and learning rate; of each optimiser, the lowest is bold.

    Raises InputError where params.yaml names no training of recipes_lr.yaml.
    """
    found: dict[str, list[tuple[float, float]]] = {}
    for name, entry in params["trained"].items():
        if "_lr_" in name:
            optimizer = entry.get("optimizer", "adamw")
            lr = entry["muon"]["lr"] if optimizer == "muon" else entry["lr"]
            loss = _json(metrics / "train" / f"{name}.json")["dev_loss"]
            found.setdefault(optimizer, []).append((lr, loss))
    if not found:
        raise InputError("params.yaml: trained: no training is of experiments/recipes_lr.yaml")
    rows = []
    for optimizer, losses in sorted(found.items()):
        best = min(loss for _, loss in losses)
        for lr, loss in sorted(losses):
            rows.append([optimizer, f"{lr:g}", _bold(f"{loss:.4f}", loss == best)])
    return _table(["optimiser", "lr", "dev loss"], rows, 1)


def _seeds_table(runs: dict[str, list[dict]], seeds: dict[str, Any]) -> str:
    """A row for each recipe: its dev loss and its figure on every suite."""
    rows = []
    for name, members in runs.items():
        losses = [run["dev_loss"] for run in members]
        row = [name, str(len(losses)), f"{sum(losses) / len(losses):.4f}"]
        for suite, (_, factor, decimals) in SUITES.items():
            of_suite = seeds[name][suite]
            mean, sd = factor * of_suite["mean"], factor * of_suite["sd"]
            row.append(f"{mean:.{decimals}f} ± {sd:.{decimals}f}")
        rows.append(row)
    titles = [title for title, _, _ in SUITES.values()]
    return _table(["recipe", "seeds", "dev loss", *titles], rows, 1)


def _pairs_table(planned: list[dict], pairs: dict[str, Any]) -> str:
    """A row for each planned pair and suite: the difference, its interval and the verdict."""
    rows = []
    for pair in planned:
        model, against = pair["model"], pair["against"]
        for suite, (title, factor, decimals) in SUITES.items():
            one = pairs[f"{model}_vs_{against}"][suite]
            difference, low, high = (factor * one[key] for key in ("difference", "low", "high"))
            interval = f"[{low:+.{decimals}f}, {high:+.{decimals}f}]"
            verdict = _bold(one["verdict"], one["verdict"] in ("better", "worse"))
            values = [f"{difference:+.{decimals}f}", interval, f"{one['p_corrected']:.3g}", verdict]
            rows.append([f"{model} against {against}", title, *values])
    header = ["pair", "suite", "difference", "interval", "corrected p", "verdict"]
    return _table(header, rows, 2)


def _table(header: list[str], rows: list[list[str]], n_texts: int) -> str:
    """A Markdown table whose first `n_texts` columns are texts, and the others numbers."""
    lines = [header, *rows]
    marks = ["---"] * n_texts + ["---:"] * (len(header) - n_texts)
    lines.insert(1, marks)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _bold(text: str, wanted: bool) -> str:
    return f"**{text}**" if wanted else text


def _json(path: Path) -> dict:
    """Raises InputError for a file that is missing: the experiment has not run then."""
    if not path.exists():
        raise InputError(f"{path}: is missing; run what docs/recipes.md says first")
    return json.loads(path.read_text("utf-8"))


if __name__ == "__main__":
    try:
        typer.run(main)
    except InputError as error:
        sys.exit(f"error: {error}")
