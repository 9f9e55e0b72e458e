"""The page that sets our models beside published ones on filtered BLiMP and the supplement.

Metrics and scores go in. Markdown comes out.

Every figure is a mean over paradigms, in per cent, with the interval of that mean over items. The
interval says nothing about how the model would have come out with another training seed.
"""

import json
from pathlib import Path

import numpy as np

from lmcore.errors import InputError
from lmcore.files import whole
from lmcore.folds.scores import Scores
from lmcore.shown import for_markdown

SUITES = ("blimp_filtered", "blimp_supplement")
SUBTASKS = {
    "hypernym": "hypernym",
    "qa_congruence_easy": "QA easy",
    "qa_congruence_tricky": "QA tricky",
    "subject_aux_inversion": "subj-aux",
    "turn_taking": "turn-taking",
}
# Rows under HEADER, which may end early. Sources: the README of babylm/evaluation-pipeline-2024
# (the first row) and of -2025 (the last two).
PUBLISHED = [
    [
        "babyllama-10m-2024, baseline of the BabyLM challenge, distilled",
        "58.3M",
        "69.8",
        "59.5",
        "49.6",
        "54.7",
        "41.2",
        "86.0",
        "66.1",
    ],
    ["a reproduction of it without teachers, chunks of 256", "58.3M", "66.56", "55.52"],
    ["the same reproduction's dummy, random logits", "–", "51.04", "51.35"],
    ["GPT-BERT, causal focus, 2025 baseline", "–", "71.66", "63.21"],
    ["GPT-2 small, 2025 baseline", "–", "67.29", "59.09"],
]
HEADER = ["model", "parameters", "BLiMP filtered", "supplement", *SUBTASKS.values()]


def write_results(
    metrics: Path,
    intervals: Path,
    scores: Path,
    model_folder: Path,
    out: Path,
    *,
    date: str,
    commit: str,
) -> list[str]:
    """Write the page to `out`, and return the models on it.

    `metrics` is a folder of MODEL.json; the models on the page are those that have both SUITES.
    `intervals` is the file of intervals, `scores` holds MODEL/SUITE.parquet, and `model_folder`
    holds the models.

    Raises InputError where no model has both suites, or where their conventions differ.
    """
    metrics_by_model = _read_metrics(metrics)
    convention = _convention(metrics_by_model, metrics)
    intervals_by_model = json.loads(intervals.read_text("utf-8"))
    rows = []
    for model, suites in metrics_by_model.items():
        subtasks = _group_means(scores / model / f"{SUITES[1]}.parquet")
        means = [
            _mean(suites[suite]["accuracy"], intervals_by_model[model][suite]["accuracy"])
            for suite in SUITES
        ]
        subtask_cells = [f"{100 * subtasks[group]:.1f}" for group in SUBTASKS]
        parameters = _parameters(model_folder / model)
        rows.append([for_markdown(model), parameters, *means, *subtask_cells])
    baselines = []
    for model, suites in metrics_by_model.items():
        cells = [f"{100 * suites[suite]['length_baseline']:.2f}" for suite in SUITES]
        baselines.append([for_markdown(model), *cells])
    text = PAGE.format(
        date=date,
        commit=for_markdown(commit, code=True),
        convention=for_markdown(convention, code=True),
        ours=_table(HEADER, rows),
        baselines=_table(["tokenizer of", "BLiMP filtered", "supplement"], baselines),
        published=_table(HEADER, [row + [""] * (len(HEADER) - len(row)) for row in PUBLISHED]),
    )
    with whole(out) as path:
        path.write_text(text, "utf-8")
    return list(metrics_by_model)


def _read_metrics(folder: Path) -> dict[str, dict]:
    """{model: {suite: {metric: value}}} of the models that have both SUITES."""
    metrics = {}
    for path in sorted(folder.glob("*.json")):
        suites = json.loads(path.read_text("utf-8"))
        if set(SUITES) <= set(suites):
            metrics[path.stem] = suites
    return metrics


def _convention(metrics_by_model: dict[str, dict], folder: Path) -> str:
    """The convention that all models follow on both suites.

    Raises InputError, which names the `folder` of metrics, where there is none or more than one.
    """
    conventions: set[str] = set()
    for suites in metrics_by_model.values():
        conventions |= {suites[suite]["convention"] for suite in SUITES}
    if len(conventions) == 1:
        return conventions.pop()
    problem = f"no model has {' and '.join(SUITES)}"
    if conventions:
        names = ", ".join(sorted(conventions))
        problem = f"the suites follow different conventions ({names})"
    raise InputError(f"{folder}: {problem}; run the pipeline with experiments/results.yaml")


def _mean(value: float, interval: dict) -> str:
    """A share in per cent, ± half its interval."""
    return f"{100 * value:.2f} ± {50 * (interval['high'] - interval['low']):.2f}"


def _group_means(path: Path) -> dict[str, float]:
    """{group: accuracy}. Raises InputError where the groups are not those of the supplement."""
    scores = Scores(path)
    accuracy, names = scores.columns("accuracy"), scores.groups
    if names != sorted(SUBTASKS):
        raise InputError(f"{path}: groups are {', '.join(names)}; expected {', '.join(SUBTASKS)}")
    return {
        name: float(np.mean(accuracy["values"][accuracy["groups"] == number]))
        for number, name in enumerate(names)
    }


def _parameters(folder: Path) -> str:
    """The number of weights in a model folder, in words for the page.

    It is read from the headers of the folder's files.
    """
    from safetensors import safe_open

    total = 0
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "np") as file:
            names = file.keys()
            for name in names:
                total += int(np.prod(file.get_slice(name).get_shape()))
    return f"{total / 1e6:.1f}M" if total >= 1e5 else f"{total:,}"


def _table(header: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown, with all columns but the first aligned to the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


# A backslash at the end of a line goes on with the same line of the page
PAGE = """# Results on real benchmarks

Of {date}, commit {commit}, convention {convention}. Means over paradigms in per cent, \
± half their interval over items; another
training seed would move them more. 50 is chance only for a model that is blind to length: \
see below.

{ours}

`dummy` has random logits (the mean of its draws), `untrained` random weights, \
`unigram` knows how often each token occurs, `smollm2` is
SmolLM2-135M-Instruct in 4 bits, trained on 2T tokens.

## What length alone would give

The accuracy to expect of random logits, from the token counts of each tokenizer: \
every token costs about log V, so the sentence with
fewer of them wins.

{baselines}

## Published

On the same data, by the pipelines of the BabyLM challenge of 2024 and 2025; the 10M-word track.

{published}

## How to run it again

```bash
lmcore use experiments/results.yaml     # adds the two suites to params.yaml
LMCORE_DATA=FOLDER dvc repro            \
# FOLDER holds blimp_filtered/ and blimp_supplement_filtered/ as JSONL
lmcore results                          # writes this page from data/scores
```
"""
