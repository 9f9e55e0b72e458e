"""The model card of an exported model: README.md in the layout of the Hugging Face hub.

What is known of a model goes in. Markdown comes out, whose front matter the hub reads: library,
language, licence, tags, and the headline metrics as a `model-index`. Language and licence are never
guessed.

Source: the hub's documentation of model cards, and ModelCardData of huggingface_hub.
"""

import io
from typing import Any, NamedTuple

from ruamel.yaml import YAML

from lmcore.commands.recipes import uses_corpus
from lmcore.folds.fold import PSEUDO
from lmcore.models.config import context_length
from lmcore.models.folder import is_masked
from lmcore.shown import for_markdown
from lmcore.suites.declare import subset_words

# The metrics of the card; metrics.json beside it has all
HEADLINES = (
    "accuracy",
    "spearman",
    "eye_tracking",
    "self_paced",
    "bits_per_byte",
    "perplexity",
    "word_perplexity",
)
# What made a model, by the section of params.yaml
MADE = {
    "trained": "was trained from random weights on the corpus below",
    "train_teacher": "was trained from random weights on the corpus below, as a teacher",
    "distill_model": "was trained on the corpus below and on what its teachers say of it",
    "finetune_model": "was trained further from another model, on right endings of a suite's items",
    "keep_checkpoint": "is a step of another model's training",
    "import_model": "was imported, not trained here",
    "make_controls": "was not trained: its weights are random, and it is a control",
}


class Facts(NamedTuple):
    """What the card says of a model."""

    name: str
    section: str  # of params.yaml, that makes it
    recipe: dict[str, Any]  # see lmcore.commands.recipes.recipe_of
    config: dict[str, Any]  # of config.json
    n_parameters: int
    metrics: dict[str, dict[str, Any]]  # suite: metric: value
    intervals: dict[str, dict[str, Any]]  # suite: metric: low, high, n
    confidence: float  # of the intervals
    suites: dict[str, dict | None]  # of params.yaml
    corpus: dict[str, Any]  # metrics/corpus.json
    commit: str
    language: str | None
    license: str | None


class Headline(NamedTuple):
    """One metric of a model on a suite; without an interval `low` and `high` are None."""

    suite: str
    metric: str
    value: float
    low: float | None
    high: float | None
    n_items: int
    subset: str  # which part of a benchmark the suite is; empty for a whole one


def model_card(facts: Facts) -> str:
    """The text of README.md."""
    headlines = headlines_of(facts)
    parts = [
        f"---\n{_front_matter(facts, headlines)}\n---",
        f"# {for_markdown(facts.name)}",
        _summary(facts),
        _usage(facts),
        _data(facts),
        f"## Recipe\n\nWhat params.yaml said when it was made:\n\n```yaml\n"
        f"{_yaml(facts.recipe)}\n```",
        _metrics(facts, headlines),
        f"## Origin\n\nCommit {facts.commit} of the repository that made it, with lmcore. "
        "`dvc repro` makes it again.",
    ]
    return "\n\n".join(parts) + "\n"


def headlines_of(facts: Facts) -> list[Headline]:
    """The headline metrics, suite by suite in the order of params.yaml."""
    headlines = []
    names = [*HEADLINES, *(f"{PSEUDO}{name}" for name in HEADLINES)]
    for suite, entry in facts.suites.items():
        values = facts.metrics.get(suite, {})
        for metric in names:
            if metric not in values:
                continue
            interval = facts.intervals.get(suite, {}).get(metric) or {}
            n_items = values["n_items"]
            headlines.append(
                Headline(
                    suite=suite,
                    metric=metric,
                    value=values[metric],
                    low=interval.get("low"),
                    high=interval.get("high"),
                    n_items=n_items,
                    subset=subset_words(suite, entry, n_items),
                )
            )
    return headlines


def _front_matter(facts: Facts, headlines: list[Headline]) -> str:
    """The YAML that the hub reads, without the lines around it."""
    from huggingface_hub import EvalResult, ModelCardData

    results = []
    for line in headlines:
        arguments: dict[str, float] = {"items": line.n_items}
        if line.low is not None and line.high is not None:
            arguments |= {"confidence": facts.confidence, "low": line.low, "high": line.high}
        results.append(
            EvalResult(
                task_type=_task(facts.config),
                dataset_type=line.suite,
                dataset_name=f"{line.suite} ({line.subset})" if line.subset else line.suite,
                metric_type=line.metric,
                metric_value=line.value,
                metric_args=arguments,
            )
        )
    data = ModelCardData(
        language=facts.language,
        license=facts.license,
        library_name="transformers",
        pipeline_tag=_task(facts.config),
        tags=["lmcore", facts.config["model_type"]],
        base_model=_base_model(facts),
        model_name=facts.name if results else None,
        eval_results=results or None,
    )
    return data.to_yaml().strip()


def _task(config: dict[str, Any]) -> str:
    return "fill-mask" if is_masked(config) else "text-generation"


def _base_model(facts: Facts) -> str | None:
    """The model on the hub that this one is, or is made of; None where there is none."""
    for entry in facts.recipe.get("import_model", {}).values():
        if entry["provider"] == "hub":
            return entry["location"]
    return None


def _summary(facts: Facts) -> str:
    architecture = (facts.config.get("architectures") or [facts.config["model_type"]])[0]
    return (
        f"A {for_markdown(architecture)} of {facts.n_parameters:,} parameters, with a vocabulary "
        f"of {facts.config['vocab_size']:,} tokens and a window of "
        f"{context_length(facts.config):,}. It {MADE[facts.section]}."
    )


def _usage(facts: Facts) -> str:
    """The code that loads the model and uses it once."""
    if is_masked(facts.config):
        auto, use = "AutoModelForMaskedLM", ["print(model(ids).logits.shape)"]
    else:
        auto = "AutoModelForCausalLM"
        use = ["print(tokenizer.decode(model.generate(ids, max_new_tokens=20)[0]))"]
    code = [
        f"from transformers import {auto}, AutoTokenizer",
        "",
        'place = "."  # this folder, or its name on the hub',
        "tokenizer = AutoTokenizer.from_pretrained(place)",
        f"model = {auto}.from_pretrained(place)",
        'ids = tokenizer("The old man looked at", return_tensors="pt")["input_ids"]',
        *use,
    ]
    return "## Use\n\n```python\n" + "\n".join(code) + "\n```"


def _data(facts: Facts) -> str:
    """What the model was trained on, as far as it is known here."""
    lines = ["## Data", ""]
    imported = facts.recipe.get("import_model", {})
    for name, entry in imported.items():
        pin = entry.get("revision") or entry.get("sha256") or "not pinned"
        lines.append(
            f"{for_markdown(name)} was imported from {entry['provider']} "
            f"{for_markdown(entry['location'], code=True)} ({for_markdown(pin)}). On what it was "
            "trained there is not known here."
        )
    if facts.section == "finetune_model":
        own = facts.recipe["finetune_model"][facts.name]
        lines.append(
            f"It was trained on items of {for_markdown(str(own['items']), code=True)} that no "
            "suite evaluates."
        )
    if uses_corpus(facts.recipe):
        lines += _corpus(facts)
    elif facts.section == "make_controls":
        lines.append("None.")
    return "\n".join(lines)


def _corpus(facts: Facts) -> list[str]:
    """The sources of the corpus, its cleaning, and its size."""
    prepare = facts.recipe["prepare_corpus"]
    lines = ["The corpus is made of", ""]
    for name, entry in facts.recipe["fetch_sources"].items():
        pin = entry.get("revision") or entry.get("sha256") or "not pinned"
        lines.append(
            f"- {for_markdown(name)}: {entry['provider']} "
            f"{for_markdown(entry['location'], code=True)} ({for_markdown(pin)})"
        )
    lines += ["", f"Cleaning: {prepare['cleaning']}. Documents and words of its splits:", ""]
    rows = [["split", "documents", "words"]]
    for split in ("train", "dev", "test"):
        counts = facts.corpus[split]
        rows.append([split, f"{counts['documents']:,}", f"{counts['words']:,}"])
    lines.append(_table(rows))
    dropped = [f"{n:,} {reason}" for reason, n in facts.corpus.get("dropped", {}).items() if n]
    if dropped:
        lines += ["", f"Dropped: {for_markdown(', '.join(dropped))}."]
    return lines


def _metrics(facts: Facts, headlines: list[Headline]) -> str:
    """The headline metrics with their intervals, as a table."""
    if not headlines:
        return "## Metrics\n\nIt was not scored."
    rows = [["suite", "metric", "value", f"{facts.confidence:.0%} interval", "items"]]
    for line in headlines:
        interval = "" if line.low is None else f"{line.low:.4g} to {line.high:.4g}"
        suite = for_markdown(f"{line.suite} ({line.subset})" if line.subset else line.suite)
        metric = for_markdown(line.metric, code=True)
        rows.append([suite, metric, f"{line.value:.4g}", interval, f"{line.n_items:,}"])
    return (
        f"## Metrics\n\n{_table(rows)}\n\nIntervals are over items; another training seed is not "
        "in them. `metrics.json` has all metrics."
    )


def _table(rows: list[list[str]]) -> str:
    """A Markdown table; the first row is its header."""
    ruled = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return "\n".join(f"| {' | '.join(row)} |" for row in ruled)


def _yaml(values: Any) -> str:
    """Plain values as YAML."""
    yaml = YAML()
    yaml.width = 100
    stream = io.StringIO()
    yaml.dump(values, stream)
    return stream.getvalue().strip()
