"""The report: one HTML page that needs nothing else.

Metrics, intervals, scores, tokens and loss curves go in. The page holds no date and no path, so the
same input gives the same bytes.
"""

from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from lmcore.files import whole
from lmcore.report.completions import completion_findings, context_validity
from lmcore.report.curves import (
    checkpoints_section,
    loss_section,
    progression_section,
    read_progression,
)
from lmcore.report.entropy import entropy_histograms
from lmcore.report.figures import script
from lmcore.report.formats import formats_section
from lmcore.report.groups import accuracy_by_group
from lmcore.report.items import items_section
from lmcore.report.layout import whole_page
from lmcore.report.results import (
    Results,
    all_metrics,
    definitions,
    read_json,
    read_results,
    results_table,
)
from lmcore.report.seeds import seeds_section
from lmcore.report.signal import signal_section
from lmcore.report.tokens import token_sections
from lmcore.report.writing import writing_section

TITLE = "Small language models, side by side"
SECTIONS = {  # title by anchor; those on tokens have theirs in lmcore.report.tokens
    "results": "Results",
    "signal": "Which suites can tell the models apart",
    "seeds": "How far apart seeds lie",
    "loss": "Loss while training",
    "checkpoints": "Every suite by checkpoint",
    "groups": "Accuracy by group",
    "completions": "The missing word, by frequency and context",
    "validity": "Wrong words that fit",
    "formats": "Which prompt formats make an answer likely",
    "entropy": "Entropy of the predictions",
    "models": "From model to model",
    "items": "Item by item",
    "writing": "What the models write",
    "all": "Every metric",
    "terms": "What the numbers mean",
}
FOOTER = (
    "Made by lmcore. Whether two models differ is a paired question, item by item: where their "
    "ranges overlap the difference may still be certain."
)


@dataclass(frozen=True)
class Inputs:
    """The files that the report is made of."""

    metrics: Path  # MODEL.json
    intervals: Path
    seeds: Path  # the spread of seeds
    signal: Path  # what each suite can tell
    comparisons: Path  # of pairs of models, with verdicts
    trained: Path  # MODEL.json: how far a training went
    curves: dict[str, Path]  # the loss curve of each trained model
    scores: Path  # MODEL/SUITE.parquet
    items: Path  # SUITE.parquet
    tokens: Path  # MODEL/SUITE
    model_folders: Path  # MODEL, of which the tokenizers are read
    findings: Path  # the table of lmcore.analysis.completions
    analysis: Path  # the folder of lmcore.analysis
    validity: Path  # the table of lmcore.judging.context_validity
    progression: Path  # SUITE.csv, curves over models
    explorations: Path  # SUITE/MODEL.csv, what was found of prompts
    generated: Path  # MODEL/generations.parquet
    writing: Path  # MODEL.json, the statistics of `generated`


def write_report(
    models: list[str],
    suites: dict[str, dict],
    inputs: Inputs,
    out: Path,
    *,
    imported: list[str],  # the models that learned from other text than the rest
    judged_suite: str,  # which suite `inputs.validity` is of
    kept: dict[str, dict],  # the checkpoints that became models: the entries of keep_checkpoint
    recipes: dict[str, list[str]] | None,  # models that differ in their seed alone, by name
    writers: list[str],  # the models that wrote `inputs.generated`
    confidence: float,  # of the intervals
) -> None:
    """Write the report to `out`/index.html.

    Raises InputError, naming the file, where a model, a suite or its headline metric is missing, or
    where a loss curve is none.
    """
    results = read_results(models, suites, inputs.metrics, inputs.intervals, confidence)
    names, none = list(suites), Markup("")
    scored = {suite: results.scored(suite) for suite in suites}
    spreads = read_json(inputs.seeds, "compare_models")
    signals = read_json(inputs.signal, "compare_models")
    pairs = read_json(inputs.comparisons, "compare_models")
    groups = [accuracy_by_group(suite, results, inputs.scores) for suite in suites]
    on_suites = {
        "results": results_table(results, pairs),
        "signal": signal_section({suite: signals[suite] for suite in names if suite in signals}),
        "seeds": seeds_section(spreads, names),
        "loss": loss_section(inputs.curves, recipes or {}),
        "checkpoints": checkpoints_section(results, kept, inputs.trained, recipes or {}),
        "groups": none.join(groups),
        "completions": completion_findings(inputs.findings, models, imported, confidence),
        "validity": context_validity(inputs.validity, judged_suite, models, confidence),
        "formats": formats_section(inputs.explorations),
        "entropy": entropy_histograms(models, scored, inputs.items, inputs.tokens),
    }
    on_tokens = token_sections(inputs.analysis, models)
    at_the_end = {
        "models": progression_section(read_progression(inputs.progression)),
        "items": items_section(
            scored,
            results.kinds,
            inputs.items,
            inputs.scores,
            inputs.tokens,
            inputs.model_folders,
        ),
        "writing": writing_section(writers, inputs.generated, inputs.writing),
        "all": none.join(all_metrics(suite, results) for suite in suites),
        "terms": definitions(results),
    }
    sections = _titled(on_suites) | on_tokens | _titled(at_the_end)
    html = whole_page(TITLE, _lead(results), sections, FOOTER, scripts=[script()])
    with whole(out) as folder:
        folder.mkdir()
        (folder / "index.html").write_text(html, "utf-8")


def _lead(results: Results) -> str:
    """What the page is about."""
    return (
        f"{len(results.models)} models on {len(results.kinds)} suites. Every model read every text "
        "teacher-forced, and every figure is folded from what it said of each token. Ranges are "
        f"{100 * results.confidence:g} % intervals over items: they speak of other items of the "
        "same kind, not of another training run; what seeds change has a table of its own."
    )


def _titled(bodies: dict[str, Markup]) -> dict[str, tuple[str, Markup]]:
    """{anchor: (title, body)} of the sections that are not empty."""
    return {anchor: (SECTIONS[anchor], body) for anchor, body in bodies.items() if body}
