"""Everything the token tables say, of any number of models and suites: items, tokens and tokenizers go in, tables and plots come out.

Masked LMs say something else of a token than causal ones, so they have no part in the comparisons on the same text.
What models wrote themselves counts as one more suite, `generated`, in all but the comparisons on the same text.

`out`: by_token/MODEL.parquet, entropy_bins/, bin_tokens/, calibration/ likewise, scatter.parquet, passage.parquet. For git and DVC: a
summary a model, the comparison on the same text, and one CSV a model and plot. The same input gives the same bytes.
"""

import json
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Literal, NamedTuple

import pyarrow as pa
from tokenizers import Tokenizer

from lmcore.analysis.by_token import BY_TOKEN, by_token, extremes
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
from lmcore.analysis.progression import progression as curves
from lmcore.analysis.rows import TokenRows
from lmcore.analysis.same_text import SCATTER, compare_on_same_text
from lmcore.analysis.summary import density, summary
from lmcore.errors import InputError
from lmcore.files import rounded, whole, write_csv, write_json
from lmcore.models.folder import holds_masked
from lmcore.params.ranges import Bins, Count, Digits, Name, Names, OpenShare
from lmcore.tables import ITEMS, read, write
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


class Settings(NamedTuple):
    """The numbers one may change; see params.yaml."""

    rows: str
    minimum_count: int
    n_extremes: int
    n_bins: int
    n_frequent: int
    calibration_bins: int
    digits: int


class Analysis(NamedTuple):
    """`summaries`: by model and suite; `tables`: by name of TABLES and model."""

    summaries: dict[str, dict[str, dict]]
    tables: dict[str, dict[str, pa.Table]]


def analyse_tokens(
    models: list[str],
    suites: Iterable[str],
    *,
    items: Path,
    tokens: Path,
    model_folder: Path,
    out: Path,
    summaries: Path,
    comparison: Path,
    plots: Path,
    metrics: Path | None = None,
    generated: Path | None = None,
    writers: Iterable[str] = (),
    rows: Literal["gold", "target", "all"],
    minimum_count: Count,
    n_extremes: Count,
    n_bins: Bins,
    n_frequent: Count,
    calibration_bins: Bins,
    corrected: bool,
    plot_suite: Name,
    passage_chars: Count,
    progression: Names,
    confidence: OpenShare,
    digits: Digits,
) -> None:
    """Write the analysis of `tokens`/MODEL/SUITE for all models and suites.

    rows: which tokens count (lmcore.analysis.rows); corrected: word probabilities with the word-boundary correction; plot_suite: the
    suite of plots and passage; progression: models in the order of their curves, of which `metrics`/MODEL.json has accuracies; writers:
    models of `models` whose own writing is `generated`/MODEL/tokens.parquet. Raises InputError where a table is missing, or a number is
    out of range.
    """
    suites = list(suites)
    if generated and GENERATED in suites:
        raise InputError(f"a suite cannot be called '{GENERATED}': that is what the models write")
    if plot_suite not in suites:
        raise InputError(
            f"params.yaml: analyse_tokens: plot_suite: there is no suite '{plot_suite}'; there are {', '.join(suites)}"
        )
    settings = Settings(
        rows, minimum_count, n_extremes, n_bins, n_frequent, calibration_bins, digits
    )
    tokenizers = {model: load_fast(model_folder / model) for model in models}
    tables = {suite: read(items / f"{suite}.parquet", ITEMS) for suite in suites}
    counted = {
        suite: {model: TokenRows(tokens / model / suite, tables[suite], rows) for model in models}
        for suite in suites
    }
    written = {
        model: TokenRows(generated / model / "tokens.parquet")
        for model in models
        if generated and model in writers
    }
    masked = {model for model in models if holds_masked(model_folder / model)}
    found = analyse(
        counted | ({GENERATED: written} if written else {}), tokenizers, settings, masked
    )
    accuracies = {
        model: json.loads((metrics / f"{model}.json").read_text("utf-8"))
        for model in progression
        if metrics
    }
    progress = curves(progression, found.summaries, accuracies)
    compared, scatter = {}, []
    for suite in suites:
        paths = {model: tokens / model / suite for model in models if model not in masked}
        compared[suite], squares = compare_on_same_text(
            tables[suite], paths, tokenizers, corrected=corrected, confidence=confidence
        )
        scatter += [{"suite": suite, **row} for row in squares]
        pa.default_memory_pool().release_unused()
    shown = {
        model: TokenRows(tokens / model / plot_suite, tables[plot_suite], rows) for model in models
    }
    with whole(out) as folder:
        write_tables(found, folder)
        write(pa.Table.from_pylist(scatter, SCATTER), SCATTER, folder / "scatter.parquet")
        texts = {model: token_texts(tokenizer) for model, tokenizer in tokenizers.items()}
        paths = {model: tokens / model / plot_suite for model in models}
        write(
            passage(tables[plot_suite], paths, texts, plot_suite, passage_chars),
            PASSAGE,
            folder / "passage.parquet",
        )
    write_summaries(found, summaries, digits)
    write_json(rounded(compared, digits), comparison)
    write_plots(found, shown, plot_suite, plots, settings, progress)


def analyse(
    rows: dict[str, dict[str, TokenRows]],
    tokenizers: dict[str, Tokenizer],
    settings: Settings,
    masked: Collection[str] = (),
) -> Analysis:
    """The tables and summaries of `rows` (by suite and model); bins with common edges are common to the models of a suite; `masked`: the
    models that are masked LMs.
    """
    tables: dict[str, dict[str, list[pa.Table]]] = {
        name: {model: [] for model in tokenizers} for name in TABLES
    }
    summaries: dict[str, dict[str, dict]] = {model: {} for model in tokenizers}
    texts = {model: token_texts(tokenizer) for model, tokenizer in tokenizers.items()}
    for suite, by_model in rows.items():
        common = common_edges(list(by_model.values()), settings.n_bins)
        for model, part in by_model.items():
            where = {"model": model, "suite": suite}
            edges = {"own": common_edges([part], settings.n_bins), "common": common}
            found = {
                "by_token": by_token(
                    part, texts[model], **where, minimum_count=settings.minimum_count
                ),
                "calibration": calibration(part, **where, n_bins=settings.calibration_bins),
            }
            found["entropy_bins"], found["bin_tokens"] = entropy_bins(
                part, texts[model], edges, **where, n_frequent=settings.n_frequent
            )
            error = expected_calibration_error(found["calibration"].to_pylist())
            summaries[model][suite] = summary(part, model in masked) | {
                "expected_calibration_error": error
            }
            for name, table in found.items():
                tables[name][model].append(table)
            pa.default_memory_pool().release_unused()
    return Analysis(
        summaries,
        {
            name: {model: pa.concat_tables(parts) for model, parts in of.items()}
            for name, of in tables.items()
        },
    )


def write_tables(found: Analysis, folder: Path) -> None:
    """`folder`/TABLE/MODEL.parquet for every table and model."""
    for name, by_model in found.tables.items():
        for model, table in by_model.items():
            write(table, TABLES[name], folder / name / f"{model}.parquet")


def write_summaries(found: Analysis, folder: Path, digits: int) -> None:
    """`folder`/MODEL.json: {suite: summary}."""
    with whole(folder) as temporary:
        for model, suites in found.summaries.items():
            write_json(rounded(suites, digits), temporary / f"{model}.json")


def write_plots(
    found: Analysis,
    shown: dict[str, TokenRows],
    suite: str,
    folder: Path,
    settings: Settings,
    progress: dict[str, list[dict]],
) -> None:
    """`folder`/PLOT/MODEL.csv for each of PLOTS: density of entropy, probability by entropy bin, calibration and the tokens at the ends of
    the by-token tables, all of one suite (`shown`); `folder`/progression/SUITE.csv.
    """
    top = max(summaries[suite]["entropy"]["p99"] for summaries in found.summaries.values()) * 1.1
    with whole(folder) as temporary:
        (temporary / "progression").mkdir(parents=True)  # also where no models are named for it
        for model, rows in shown.items():
            bins = [
                row
                for row in found.tables["entropy_bins"][model].to_pylist()
                if row["suite"] == suite and row["edges"] == "own"
            ]
            confidence = [
                row
                for row in found.tables["calibration"][model].to_pylist()
                if row["suite"] == suite
            ]
            lines = {
                "entropy": [
                    {"entropy": x, "density": y}
                    for x, y in density(rows.column("entropy"), 0.0, top)
                ],
                "probability_by_entropy": [
                    {
                        "entropy": row["entropy_mean"],
                        "probability": row["probability_mean"],
                        "accuracy": row["accuracy"],
                        "n": row["n"],
                    }
                    for row in bins
                ],
                "calibration": [
                    {
                        "probability": row["top_probability_mean"],
                        "accuracy": row["accuracy"],
                        "n": row["n"],
                    }
                    for row in confidence
                ],
                "by_token": [
                    {"label": f"{row['measure']} {row['side']} {row['token']}", **row}
                    for row in extremes(found.tables["by_token"][model], settings.n_extremes)
                    if row["suite"] == suite
                ],
            }
            for name in PLOTS:
                write_csv(rounded(lines[name], settings.digits), temporary / name / f"{model}.csv")
        for of_suite, rows_of_suite in progress.items():
            write_csv(
                rounded(rows_of_suite, settings.digits),
                temporary / "progression" / f"{of_suite}.csv",
            )
