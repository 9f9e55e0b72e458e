"""Everything the token tables say about any number of models and suites.

Items, token tables and tokenizers go in; tables, summaries and plots come out.

What a masked LM says about a token is not what a causal LM says about it, so masked LMs take no
part in the comparison on the same text. What models wrote themselves counts as one more suite,
`generated`, everywhere except in the comparison on the same text.

The folder `out` holds by_token/MODEL.parquet, and entropy_bins/, bin_tokens/ and calibration/
likewise; scatter.parquet; and passage.parquet. Files for git and DVC are a summary for each model,
the comparison on the same text, and one CSV for each model and plot. The same input gives the same
bytes.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer

from lmcore.analysis.by_token import BY_TOKEN, by_token, extremes
from lmcore.analysis.checkpoints import amounts_read
from lmcore.analysis.entropy_bins import (
    BIN_TOKENS,
    CALIBRATION,
    ENTROPY_BINS,
    calibration,
    common_edges,
    entropy_bins,
    expected_calibration_error,
)
from lmcore.analysis.passage import PASSAGE, passage
from lmcore.analysis.progression import progression
from lmcore.analysis.rows import Rows, TokenRows
from lmcore.analysis.same_text import SCATTER, compare_on_same_text
from lmcore.analysis.summary import density, summary
from lmcore.errors import InputError
from lmcore.files import rounded, whole, write_csv, write_json
from lmcore.folds.runs import ItemsInOrder
from lmcore.models.folder import holds_masked
from lmcore.params.ranges import Bins, Count, Digits, Name, Names, OpenShare
from lmcore.params.scored import models_of_suite
from lmcore.tables import schema_of, scoring_of, write
from lmcore.text.readable import token_texts
from lmcore.text.tokenizer import load_fast

TABLES = {
    "by_token": BY_TOKEN,
    "entropy_bins": ENTROPY_BINS,
    "bin_tokens": BIN_TOKENS,
    "calibration": CALIBRATION,
}
GENERATED = "generated"  # the suite of what models wrote
PLOTS = ("entropy", "probability_by_entropy", "calibration", "by_token")


class Paths(NamedTuple):
    """Where the analysis finds its input and writes its results."""

    items: Path  # folder of SUITE.parquet
    tokens: Path  # folder of the token tables MODEL/SUITE
    model_folder: Path  # folder of the models
    out: Path  # folder of tables
    summaries: Path  # folder of MODEL.json
    comparison: Path  # JSON file of the comparison on the same text
    plots: Path  # folder of PLOT/MODEL.csv
    metrics: Path | None = None  # folder of MODEL.json, with the accuracies of the progression
    generated: Path | None = None  # folder of MODEL/tokens.parquet: what the models wrote
    trained: Path | None = None  # folder of MODEL.json: how far the trainings went


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What one may change. The fields are the schema of the section analyse_tokens in params.yaml.

    `confidence` and `digits` are those of the section aggregate.
    """

    rows: Rows  # which tokens count (lmcore.analysis.rows)
    minimum_count: Count  # of a token, to have statistics of its own
    n_extremes: Count  # tokens at either end of the by-token tables that are plotted
    n_bins: Bins  # entropy bins
    n_frequent: Count  # most frequent tokens named in a bin
    calibration_bins: Bins
    corrected: bool  # word probabilities with the word-boundary correction
    plot_suite: Name  # the suite of the plots and the passage
    passage_chars: Count  # length of the passage
    progression: Names  # models in the order of their curves
    confidence: OpenShare  # of the intervals
    digits: Digits  # significant digits in JSON and CSV files


class Analysis(NamedTuple):
    """`summaries`: by model and suite; `tables`: by name of TABLES and model."""

    summaries: dict[str, dict[str, dict]]
    tables: dict[str, dict[str, pa.Table]]


def analyse_tokens(
    models: list[str],
    suites: dict[str, dict],
    paths: Paths,
    settings: Settings,
    writers: Collection[str] = (),
    kept: Mapping[str, Mapping] | None = None,
) -> None:
    """Write the analysis of the token tables of all models and suites.

    writers: those of `models` whose own writing is analysed, too (see `Paths.generated`). kept: the
    entries of keep_checkpoint, which say how much the models of the progression had read.

    Raises InputError where a table is missing, or a number is out of range.
    """
    _check_suites(list(suites), settings.plot_suite, has_generated=bool(paths.generated))
    tokenizers = {model: load_fast(paths.model_folder / model) for model in models}
    items = {suite: paths.items / f"{suite}.parquet" for suite in suites}
    scored = {suite: models_of_suite(suite, entry, models) for suite, entry in suites.items()}
    rows = _rows_that_count(scored, items, paths.tokens, settings.rows)
    written = _rows_of_writers(models, writers, paths.generated)
    masked = {model for model in models if holds_masked(paths.model_folder / model)}
    analysis = analyse(
        rows | ({GENERATED: written} if written else {}), tokenizers, settings, masked
    )
    accuracies = _metrics_of(settings.progression, paths.metrics)
    amounts = None
    if kept and paths.trained:
        amounts = amounts_read(settings.progression, kept, paths.trained)
    progress = progression(settings.progression, analysis.summaries, accuracies, amounts)
    causal = {}  # {suite: the tokenizers of the causal LMs that are scored on it}
    for suite, names in scored.items():
        causal[suite] = {name: tokenizers[name] for name in names if name not in masked}
    comparisons, scatter = _compare_suites(items, causal, paths.tokens, settings)
    with whole(paths.out) as folder:
        write_tables(analysis, folder)
        write(scatter, SCATTER, folder / "scatter.parquet")
        of_plots = {name: tokenizers[name] for name in scored[settings.plot_suite]}
        shown_passage = _passage(items[settings.plot_suite], of_plots, paths.tokens, settings)
        write(shown_passage, PASSAGE, folder / "passage.parquet")
    write_summaries(analysis, paths.summaries, settings.digits)
    write_json(rounded(comparisons, settings.digits), paths.comparison)
    shown_rows = rows[settings.plot_suite]
    write_plots(analysis, shown_rows, settings.plot_suite, paths.plots, settings, progress)


def _check_suites(suites: list[str], plot_suite: str, *, has_generated: bool) -> None:
    """Raises InputError for a suite with the name GENERATED, and for a `plot_suite` not there."""
    if has_generated and GENERATED in suites:
        raise InputError(f"a suite cannot be called '{GENERATED}': that is what the models write")
    if plot_suite not in suites:
        raise InputError(
            f"params.yaml: analyse_tokens: plot_suite: there is no suite '{plot_suite}'; "
            f"there are {', '.join(suites)}"
        )


def _rows_that_count(
    models: dict[str, list[str]], items: dict[str, Path], tokens: Path, choice: str
) -> dict[str, dict[str, TokenRows]]:
    """{suite: {model: its rows that count}}; `models` by suite; `choice`: gold, target or all."""
    rows: dict[str, dict[str, TokenRows]] = {}
    for suite, of_suite in items.items():
        paths = {model: tokens / model / suite for model in models[suite]}
        rows[suite] = {model: TokenRows(path, of_suite, choice) for model, path in paths.items()}
    return rows


def _rows_of_writers(
    models: list[str], writers: Collection[str], generated: Path | None
) -> dict[str, TokenRows]:
    """{model: all tokens that it wrote}, for those of `models` that write."""
    if not generated:
        return {}
    writing = [model for model in models if model in writers]
    return {model: TokenRows(generated / model / "tokens.parquet") for model in writing}


def _metrics_of(models: list[str], metrics: Path | None) -> dict[str, dict]:
    """{model: its metrics by suite}, from `metrics`/MODEL.json."""
    if not metrics:
        return {}
    return {model: json.loads((metrics / f"{model}.json").read_text("utf-8")) for model in models}


def _compare_suites(
    items: dict[str, Path],
    causal: dict[str, dict[str, Tokenizer]],
    tokens: Path,
    settings: Settings,
) -> tuple[dict[str, dict], pa.Table]:
    """{suite: the comparison of the causal models on it}, and the SCATTER table of all suites.

    causal: by suite and model. Suites whose words are tokenised apart from their contexts are left
    out: their tokens are not those of the text.
    """
    comparisons: dict[str, dict] = {}
    scatter: list[dict] = []
    for suite, path in items.items():
        is_apart = scoring_of(schema_of(path)).get("tokenisation") == "separate"
        if is_apart or not causal[suite]:
            continue
        comparisons[suite], squares = compare_on_same_text(
            path,
            {model: tokens / model / suite for model in causal[suite]},
            causal[suite],
            corrected=settings.corrected,
            confidence=settings.confidence,
        )
        scatter += [{"suite": suite, **square} for square in squares]
        pa.default_memory_pool().release_unused()
    return comparisons, pa.Table.from_pylist(scatter, SCATTER)


def _passage(
    items: Path, tokenizers: dict[str, Tokenizer], tokens: Path, settings: Settings
) -> pa.Table:
    """The PASSAGE table of the plotted suite; `items`: its items."""
    suite = settings.plot_suite
    texts = {model: token_texts(tokenizer) for model, tokenizer in tokenizers.items()}
    token_paths = {model: tokens / model / suite for model in tokenizers}
    first = ItemsInOrder(items).first()
    return passage(first, token_paths, texts, suite, settings.passage_chars)


def analyse(
    rows: dict[str, dict[str, TokenRows]],
    tokenizers: dict[str, Tokenizer],
    settings: Settings,
    masked: Collection[str] = (),
) -> Analysis:
    """The tables and summaries of `rows`, which are by suite and model.

    Bins with common edges are common to the models of a suite; `masked` names the models that are
    masked LMs.
    """
    parts: dict[str, dict[str, list[pa.Table]]] = {}  # by table and model, one for each suite
    for name in TABLES:
        parts[name] = {model: [] for model in tokenizers}
    summaries: dict[str, dict[str, dict]] = {model: {} for model in tokenizers}
    texts = {model: token_texts(tokenizer) for model, tokenizer in tokenizers.items()}
    for suite, by_model in rows.items():
        common = common_edges(list(by_model.values()), settings.n_bins)
        for model, model_rows in by_model.items():
            tables = _tables_of(
                model_rows, texts[model], common, settings, model=model, suite=suite
            )
            error = expected_calibration_error(tables["calibration"].to_pylist())
            figures = summary(model_rows, model in masked)
            summaries[model][suite] = figures | {"expected_calibration_error": error}
            for name, table in tables.items():
                parts[name][model].append(table)
            pa.default_memory_pool().release_unused()
    whole_tables: dict[str, dict[str, pa.Table]] = {}
    for name, parts_by_model in parts.items():
        whole_tables[name] = {
            model: pa.concat_tables(of_suites) for model, of_suites in parts_by_model.items()
        }
    return Analysis(summaries, whole_tables)


def _tables_of(
    rows: TokenRows,
    texts: list[str],
    common: np.ndarray,
    settings: Settings,
    *,
    model: str,
    suite: str,
) -> dict[str, pa.Table]:
    """{name of TABLES: its rows for one model and suite}.

    texts: of the model's token ids; common: the edges of the entropy bins that all models of the
    suite share.
    """
    edges = {"own": common_edges([rows], settings.n_bins), "common": common}
    tables = {
        "by_token": by_token(
            rows, texts, model=model, suite=suite, minimum_count=settings.minimum_count
        ),
        "calibration": calibration(
            rows, model=model, suite=suite, n_bins=settings.calibration_bins
        ),
    }
    tables["entropy_bins"], tables["bin_tokens"] = entropy_bins(
        rows, texts, edges, model=model, suite=suite, n_frequent=settings.n_frequent
    )
    return tables


def write_tables(analysis: Analysis, folder: Path) -> None:
    """Write `folder`/TABLE/MODEL.parquet for every table and model."""
    for name, by_model in analysis.tables.items():
        for model, table in by_model.items():
            write(table, TABLES[name], folder / name / f"{model}.parquet")


def write_summaries(analysis: Analysis, folder: Path, digits: int) -> None:
    """Write `folder`/MODEL.json: {suite: summary}."""
    with whole(folder) as temporary:
        for model, suites in analysis.summaries.items():
            write_json(rounded(suites, digits), temporary / f"{model}.json")


def write_plots(
    analysis: Analysis,
    shown: dict[str, TokenRows],
    suite: str,
    folder: Path,
    settings: Settings,
    progress: dict[str, list[dict]],
) -> None:
    """Write `folder`/PLOT/MODEL.csv for each of PLOTS, and `folder`/progression/SUITE.csv.

    PLOTS are the density of entropy, probability by entropy bin, calibration, and the tokens at
    the ends of the by-token tables, all of one suite, whose rows are `shown`. The curves of
    `progress` are by suite.
    """
    top = 1.1 * max(analysis.summaries[model][suite]["entropy"]["p99"] for model in shown)
    with whole(folder) as temporary:
        (temporary / "progression").mkdir(parents=True)  # also where no models are named for it
        for model, rows in shown.items():
            tables = {name: by_model[model] for name, by_model in analysis.tables.items()}
            lines = {
                "entropy": _density_lines(rows, top),
                "probability_by_entropy": _entropy_bin_lines(tables["entropy_bins"], suite),
                "calibration": _calibration_lines(tables["calibration"], suite),
                "by_token": _extreme_lines(tables["by_token"], suite, settings.n_extremes),
            }
            for name in PLOTS:
                write_csv(rounded(lines[name], settings.digits), temporary / name / f"{model}.csv")
        for curve_suite, curve in progress.items():
            path = temporary / "progression" / f"{curve_suite}.csv"
            write_csv(rounded(curve, settings.digits), path)


def _density_lines(rows: TokenRows, top: float) -> list[dict]:
    """The density of entropy (nats) from 0 to `top`."""
    points = density(rows.values("entropy"), 0.0, top)
    return [{"entropy": entropy, "density": height} for entropy, height in points]


def _entropy_bin_lines(table: pa.Table, suite: str) -> list[dict]:
    """Probability by entropy, in the suite's bins with the model's own edges."""
    lines = []
    for row in table.to_pylist():
        if row["suite"] == suite and row["edges"] == "own":
            lines.append(
                {
                    "entropy": row["entropy_mean"],
                    "probability": row["probability_mean"],
                    "accuracy": row["accuracy"],
                    "n": row["n"],
                }
            )
    return lines


def _calibration_lines(table: pa.Table, suite: str) -> list[dict]:
    """Accuracy by the probability of the first choice, in the suite's bins."""
    lines = []
    for row in table.to_pylist():
        if row["suite"] == suite:
            lines.append(
                {
                    "probability": row["top_probability_mean"],
                    "accuracy": row["accuracy"],
                    "n": row["n"],
                }
            )
    return lines


def _extreme_lines(table: pa.Table, suite: str, n_extremes: int) -> list[dict]:
    """The tokens at the ends of the suite's by-token table, each with a label for the plot."""
    lines = []
    for row in extremes(table, n_extremes):
        if row["suite"] == suite:
            label = f"{row['measure']} {row['side']} {row['token']}"
            lines.append({"label": label, **row})
    return lines
