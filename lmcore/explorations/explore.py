"""The explorations in the pipeline: items and token tables of suites go in, what each exploration finds comes out, by model.

Which suites are explored follows from their tasks. A finding is more than a mean over items: how formats rank, what a trigger adds, which
pairs a model knows by heart; means over items are in the suite's own metrics.
"""

import csv
from collections.abc import Callable
from pathlib import Path

from lmcore.corpus import read_documents
from lmcore.errors import InputError
from lmcore.explorations import domains, formats, memorisation, prompting
from lmcore.explorations.findings import Findings, Said
from lmcore.files import whole, write_json
from lmcore.leakage import overlap
from lmcore.metrics import rounded
from lmcore.models.load import holds_masked
from lmcore.ranges import Count, Digits, Names, OpenShare, Positive, Resamples, Seed
from lmcore.tables import ITEMS, TOKENS, read
from lmcore.tasks.suite import classes_of, kind_of, task_of
from lmcore.text_stats import text_stats
from lmcore.token_text import token_texts
from lmcore.tokenizer import load_fast

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
    """Write what the suites of EXPLORATIONS show of `models`: `metrics`/MODEL.json {suite: {part: {metric: value}}}; `details`, what is of
    a whole suite, {model: {suite: …}}; `out`/MODEL/SUITE.csv item by item; `plots`/SUITE/MODEL.csv, and figures beside it as SVG.

    flagged_ratio: of two probabilities, above which a pair is flagged; resamples: of bootstraps and sign flips.
    """
    chosen = {suite: entry or {} for suite, entry in suites.items() if task_of(suite, entry) in EXPLORATIONS}
    all_details: dict[str, dict] = {}
    with whole(out) as tables, whole(metrics) as means, whole(plots) as drawn:
        for folder in (tables, means, drawn):
            folder.mkdir()
        for model in models:
            values: dict[str, dict] = {}
            if holds_masked(model_folder / model):
                raise InputError(f"explore_suites: models: '{model}' is a masked LM, which says nothing of contexts; expected causal LMs")
            pieces = token_texts(load_fast(model_folder / model))
            for suite, entry in chosen.items():
                table = read(items / f"{suite}.parquet", ITEMS)
                source = tokens / model / suite
                of_tokens = read(source, TOKENS)
                said = Said(
                    texts=text_stats(table, of_tokens, source),
                    tokens=of_tokens,
                    pieces=pieces,
                    classes=classes_of(suite, entry, kind_of(suite, entry)),
                    threshold=flagged_ratio,
                    confidence=confidence,
                    resamples=resamples,
                    seed=seed,
                )
                found = EXPLORATIONS[task_of(suite, entry)](said, entry)
                values[suite] = found.metrics
                all_details.setdefault(model, {})[suite] = found.details
                _write_csv(found.table, tables / model / f"{suite}.csv", digits)
                _write_csv(found.plot, drawn / suite / f"{model}.csv", digits)
                for name, figure in found.figures.items():
                    (drawn / suite / f"{model}_{name}.svg").write_text(figure, "utf-8")
            write_json(rounded(values, digits), means / f"{model}.json")
    write_json(rounded(all_details, digits), details)


def count_overlap(suites: list[str], items: Path, corpus: Path, out: Path, *, n: Count) -> None:
    """Write {suite: lmcore.leakage.overlap} of the train split of `corpus` and every suite, in runs of `n` words."""
    tables = {suite: read(items / f"{suite}.parquet", ITEMS) for suite in suites}
    documents = (row["text"] for row in read_documents(corpus / "train.parquet"))
    write_json(rounded(overlap(documents, tables, n), 6), out)


def _write_csv(rows: list[dict], path: Path, digits: int) -> None:
    if not rows:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: f"{value:.{digits}g}" if isinstance(value, float) else value for key, value in row.items()} for row in rows)
