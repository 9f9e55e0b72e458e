"""What the stages that read token tables cost as the tables grow.

Token tables of random numbers are written, folded, aggregated, compared and analysed, each stage in
a process of its own. CPU seconds and peak memory come out, for a size of table and for each stage:

    python -m bench.big_tables --rows 2000000 --folder FOLDER

They are merged into docs/big_tables.json, of which docs/big_tables.md is written. The suites and
models are those of bench.random_tables.

A suite's tables are in FOLDER/SUITE_ROWS, and are removed when the suite was measured. A run that
was killed goes on where it was: shards that are there are not written again, and stages whose
costs are in COSTS of that folder are not measured again.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from bench.random_tables import MODELS, SUITES, write_tables
from lmcore.files import write_json

STAGES = ("fold_scores", "compare_models", "analyse_tokens", "aggregate")
COSTS = "costs.json"
COMPARISON: dict[str, Any] = {
    "pairs": None,
    "against": None,
    "recipes": None,
    "average": None,
    "metrics": ["accuracy", "surprisal_per_byte"],
    "clusters": None,
    "margin": None,
    "confidence": 0.95,
    "interval": "student",
    "correction": "holm",
    "group_correction": "fdr_bh",
    "power": 0.8,
    "resamples": 10_000,
    "seed": 0,
    "digits": 6,
}


ABOUT = """# Token tables of many rows

What the stages that read token tables cost as the tables grow. Tables are of random numbers in the
schema of extract_tokens, of two models that differ in every figure. `pairs` has an item for each 20
rows, `text` has texts of 200,000 tokens. Rows are those of one model. CPU seconds are of the whole
process, with imports, and for both models together. The machine (2 cores, Intel with AMX) was busy
with other work.

To measure a size (200 million rows need 13 GB of disk at a time, with what the stages write;
`--suite text` measures one suite alone, and a run that was killed goes on):

    nice python -m bench.big_tables --rows 200000000 --folder FOLDER
"""
GROWTH = """## What grows with what

Of the stages in the table, none holds more than some bits of each token row in memory. What grows
with the items is said here; `pairs` has as many of them as there can be.

- `fold_scores` holds a run of whole items: 500,000 token rows, or one item if that is longer. Its
  scores are written as row groups of a million rows, which are held until they are full. The peak
  of `pairs` therefore rises up to ten million token rows, and hardly from there. For a suite of
  kind `choices`, eight bytes for each item and position of its endings are kept. Suites of kinds
  `graded` and `reading`, and `pairs` with `classes`, are folded at once, since there a score
  depends on all items; they grow with the rows.
- `compare_models` reads of each scores table the rows of one metric. It grows by 130 to 150 bytes
  an item for two models, and by 16 for each model and seed more: ids, values and weights.
- `aggregate` reads one metric at a time, and so do the report's panels of groups. It grows by about
  110 bytes an item: the values, weights and groups of one metric, and what its mean needs. Of a
  random model, each further draw needs 22 bytes an item.
- `analyse_tokens` holds batches, one bit for each row, and what depends on the vocabulary. The
  quantiles of each token need temporary files of 16 bytes a row (in TMPDIR), and a token that
  occurs more than 4 million times needs 12 bytes for each time. The comparison on the same text
  keeps sums of each item and model in temporary files too, and reads them a million items at a
  time. Where the models' tokens are cut into different numbers of shards, it reads them at once.

Outside of this table:

- The report's entropy panel reads items and tokens in batches, and holds one bit for each row.
- The BabyLM export decides in runs of items, as `fold_scores` does. It holds what it writes: the
  chosen text of each item. `lmcore audit` of a model reads so, too, and holds all texts.
- `lmcore tokens` streams; with `--above-quantile` it holds four bytes a row. `lmcore compare --csv`
  holds two bytes a row.
- `lmcore verify` holds a file of either revision, such as a shard or a scores table, and
  `lmcore diff` a scores table.
- These read whole tables: `explore_suites` (the tokens of its suites), `analyse_completions` and
  `analyse_acquisition` (the scores of theirs), and `lmcore.api.load_tokens`, which gives the table
  to its caller."""


class Cost(NamedTuple):
    """What a stage took in a process of its own."""

    seconds: float  # of the function, without imports
    cpu_s: float  # of the whole process
    peak_mb: float  # resident memory


def main(
    rows: Annotated[int, typer.Option(help="token rows of one model on one suite")],
    folder: Annotated[Path, typer.Option(help="where the tables are written")],
    suite: Annotated[
        list[str] | None, typer.Option(help="one of the suites; by default all")
    ] = None,
    out: Annotated[Path, typer.Option(help="folder of big_tables.json and .md")] = Path("docs"),
) -> None:
    for name in suite or SUITES:
        for stage, cost in bench_stages(name, rows, folder):
            print(name, rows, stage, cost, flush=True)
            merge({f"{name}.{rows}.{stage}": cost._asdict()}, out)


def merge(measured: dict[str, dict], out: Path) -> None:
    """Add what was measured to the figures in `out`, and write the page of all of them."""
    figures = {}
    if (out / "big_tables.json").exists():
        figures = json.loads((out / "big_tables.json").read_text("utf-8"))
    figures |= measured
    out.mkdir(parents=True, exist_ok=True)
    write_json(figures, out / "big_tables.json")
    (out / "big_tables.md").write_text(page(figures), "utf-8")


def bench_stages(suite: str, n_rows: int, scratch: Path) -> Iterator[tuple[str, Cost]]:
    """(stage, what it costs) with tables of `n_rows` rows for each model of one suite.

    The tables are in a folder in `scratch`, which is removed at the end.
    """
    folder = scratch / f"{suite}_{n_rows}"
    write_tables(suite, n_rows, folder)
    costs = {}
    if (folder / COSTS).exists():
        costs = json.loads((folder / COSTS).read_text("utf-8"))
    for stage in STAGES:
        if stage not in costs:
            costs[stage] = _measure(stage, suite, folder)._asdict()
            write_json(costs, folder / COSTS)
        yield stage, Cost(**costs[stage])
    shutil.rmtree(folder)


def _measure(stage: str, suite: str, folder: Path) -> Cost:
    """Run one stage on the tables in `folder`, where its temporary files are, too."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "bench.big_tables_stage", stage, suite, str(folder)]
    environment = {**os.environ, "TMPDIR": str(folder.resolve())}
    run = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    answer = json.loads(run.stdout)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(answer["seconds"], cpu_s, answer["peak_mb"])


def page(figures: dict[str, dict]) -> str:
    """The figures as a Markdown page; a key is SUITE.ROWS.STAGE."""
    return "\n".join([ABOUT, *_table(figures), "", GROWTH, "", _billion(figures), ""])


def _table(figures: dict[str, dict]) -> list[str]:
    """One line for each suite, stage and size."""
    lines = [
        "| suite | stage | rows of a model | peak MB | CPU s | CPU µs of a row |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for suite in SUITES:
        for stage in STAGES:
            for size, cost in _sizes(figures, suite, stage):
                of_row = cost["cpu_s"] * 1e6 / (size * len(MODELS))
                lines.append(
                    f"| {suite} | {stage} | {size:,} | {cost['peak_mb']:,.0f}"
                    f" | {cost['cpu_s']:,.1f} | {of_row:.2f} |"
                )
    return lines


def _sizes(figures: dict[str, dict], suite: str, stage: str) -> list[tuple[int, dict]]:
    """(rows, cost) of each size that was measured, from the smallest."""
    found = []
    for key, cost in figures.items():
        name, size, of_stage = key.split(".")
        if (name, of_stage) == (suite, stage):
            found.append((int(size), cost))
    return sorted(found, key=lambda pair: pair[0])


def _billion(figures: dict[str, dict]) -> str:
    """What a billion rows would take, on a straight line through the two largest sizes."""
    lines = [
        "## A billion rows",
        "",
        "Nobody ran this. It is a straight line through the two largest sizes that were measured,",
        f"for {len(MODELS)} models of a billion rows each on one core.",
        "",
        "| suite | stage | CPU hours | peak |",
        "|---|---|--:|--:|",
    ]
    for suite in SUITES:
        for stage in STAGES:
            measured = _sizes(figures, suite, stage)
            if len(measured) > 1:
                (small, low), (large, high) = measured[-2:]
                steps = (10**9 - large) / (large - small)
                hours = (high["cpu_s"] + steps * (high["cpu_s"] - low["cpu_s"])) / 3600
                peak = high["peak_mb"] + steps * max(0.0, high["peak_mb"] - low["peak_mb"])
                lines.append(f"| {suite} | {stage} | {hours:.1f} | {peak / 1024:.1f} GiB |")
    return "\n".join(lines)


if __name__ == "__main__":
    typer.run(main)
