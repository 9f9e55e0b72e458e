"""The explorations in the pipeline.

Items and token tables of suites go in, what each exploration finds comes out, by model. The task of
a suite decides how it is explored, and whether it is.

A finding is more than a mean over items: how formats rank, what a trigger adds, which pairs a model
knows by heart. Means over items are in the suite's own metrics.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lmcore.errors import InputError
from lmcore.explorations import domains, formats, memorisation, prompting
from lmcore.explorations.findings import Findings, Said
from lmcore.files import rounded, whole, write_csv, write_json
from lmcore.folds.by_text import text_stats
from lmcore.models.folder import holds_masked
from lmcore.params.ranges import Digits, Names, OpenShare, Positive, Resamples, Seed
from lmcore.params.scored import is_scored
from lmcore.suites.declare import classes_of, kind_of, task_of
from lmcore.tables import ITEMS, TOKENS, read
from lmcore.text.readable import token_texts
from lmcore.text.tokenizer import load_fast

# by the name of the task
EXPLORATIONS: dict[str, Callable[[Said, dict], Findings]] = {
    "cloze": memorisation.cloze,
    "domains": domains.find,
    "formats": formats.find,
    "memorisation": memorisation.pairs,
    "passages": memorisation.passages,
    "prompting": prompting.find,
}


def explore_suites(
    suites: dict[str, dict],
    items: Path,
    tokens: Path,
    model_folder: Path,
    out: Path,
    metrics: Path,
    details: Path,
    plots: Path,
    *,
    models: Names,
    flagged_ratio: Positive,
    confidence: OpenShare,
    resamples: Resamples,
    seed: Seed,
    digits: Digits,
) -> None:
    """Write what the suites of EXPLORATIONS show of `models`.

    - `metrics`/MODEL.json: {suite: {part: {metric: value}}};
    - `details`: what is of a whole suite, {model: {suite: …}};
    - `out`/MODEL/SUITE.csv: item by item;
    - `plots`/SUITE/MODEL.csv,

    flagged_ratio: of two probabilities, above which a pair is flagged; resamples: of bootstraps and
    sign flips. Raises InputError for a masked LM.
    """
    chosen = {}
    for suite, entry in suites.items():
        if task_of(suite, entry) in EXPLORATIONS:
            chosen[suite] = entry or {}
    settings = {
        "threshold": flagged_ratio,
        "confidence": confidence,
        "resamples": resamples,
        "seed": seed,
    }
    all_details: dict[str, dict] = {}
    with whole(out) as tables, whole(metrics) as means, whole(plots) as drawn:
        for folder in (tables, means, drawn):
            folder.mkdir()
        for model in models:
            pieces = _pieces(model, model_folder)
            values: dict[str, dict] = {}
            for suite, entry in chosen.items():
                if not is_scored(entry, model):
                    continue
                said = _read_said(suite, entry, items, tokens / model / suite, pieces, settings)
                findings = EXPLORATIONS[task_of(suite, entry)](said, entry)
                values[suite] = findings.metrics
                all_details.setdefault(model, {})[suite] = findings.details
                table = tables / model / f"{suite}.csv"
                _write_tables(findings, table, drawn / suite, model, digits)
            write_json(rounded(values, digits), means / f"{model}.json")
    write_json(rounded(all_details, digits), details)


def _pieces(model: str, model_folder: Path) -> list[str]:
    """The texts of the model's token ids. Raises InputError for a masked LM."""
    if holds_masked(model_folder / model):
        raise InputError(
            f"explore_suites: models: '{model}' is a masked LM, which says nothing of contexts; "
            "expected causal LMs"
        )
    return token_texts(load_fast(model_folder / model))


def _read_said(
    suite: str, entry: dict, items: Path, source: Path, pieces: list[str], settings: dict[str, Any]
) -> Said:
    """What a model said of a suite; `source` holds its tokens, `settings` the other fields."""
    table, tokens = read(items / f"{suite}.parquet", ITEMS), read(source, TOKENS)
    return Said(
        texts=text_stats(table, tokens, source),
        tokens=tokens,
        pieces=pieces,
        classes=classes_of(suite, entry, kind_of(suite, entry)),
        **settings,
    )


def _write_tables(findings: Findings, table: Path, plots: Path, model: str, digits: int) -> None:
    """Write the file `table`, and to the folder `plots` what is drawn."""
    if findings.table:
        write_csv(rounded(findings.table, digits), table)
    if findings.plot:
        write_csv(rounded(findings.plot, digits), plots / f"{model}.csv")
