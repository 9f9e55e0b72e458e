"""The explorations in the pipeline: items and token tables of suites go in, what each exploration finds comes out, by model.

Which suites are explored follows from their tasks. A finding is more than a mean over items: how formats rank, what a trigger adds, which
pairs a model knows by heart; means over items are in the suite's own metrics.
"""

from collections.abc import Callable
from pathlib import Path

from lmcore.errors import InputError
from lmcore.explorations import domains, formats, memorisation, prompting
from lmcore.explorations.findings import Findings, Said
from lmcore.files import rounded, whole, write_csv, write_json
from lmcore.folds.by_text import text_stats
from lmcore.models.folder import holds_masked
from lmcore.params.ranges import Digits, Names, OpenShare, Positive, Resamples, Seed
from lmcore.suites.declare import classes_of, kind_of, task_of
from lmcore.tables import ITEMS, TOKENS, read
from lmcore.text.readable import token_texts
from lmcore.text.tokenizer import load_fast

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
    chosen = {
        suite: entry or {}
        for suite, entry in suites.items()
        if task_of(suite, entry) in EXPLORATIONS
    }
    all_details: dict[str, dict] = {}
    with whole(out) as tables, whole(metrics) as means, whole(plots) as drawn:
        for folder in (tables, means, drawn):
            folder.mkdir()
        for model in models:
            values: dict[str, dict] = {}
            if holds_masked(model_folder / model):
                raise InputError(
                    f"explore_suites: models: '{model}' is a masked LM, which says nothing of contexts; expected causal LMs"
                )
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
                for rows, path in (
                    (found.table, tables / model / f"{suite}.csv"),
                    (found.plot, drawn / suite / f"{model}.csv"),
                ):
                    if rows:
                        write_csv(rounded(rows, digits), path)
                for name, figure in found.figures.items():
                    (drawn / suite / f"{model}_{name}.svg").write_text(figure, "utf-8")
            write_json(rounded(values, digits), means / f"{model}.json")
    write_json(rounded(all_details, digits), details)
