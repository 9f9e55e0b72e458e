"""When a model finds the missing word: items, scores and the training corpus go in, results by the word's frequency and by the length of
its context come out, the two findings of studies of LAMBADA.

- Frequency: how often the target's word stands in the train split of the corpus, whatever its case; a target of several words counts as
  its rarest. Unseen words are a bin of their own, the others fall into bins evenly spaced on a log scale.
- Context length: words between whitespace, so that it does not depend on a tokenizer; the bins hold about as many items each, and items of
  one length are never parted.
- The draws of a random model are averaged within each item. Shares have Wilson's interval (of averaged draws it is too wide, never too
  narrow), other means Student's; of a single item these are left out.
"""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lmcore.corpus.documents import read_documents
from lmcore.corpus.words import frequency, word_counts
from lmcore.errors import InputError
from lmcore.files import whole, write_csv
from lmcore.folds.fold import PSEUDO
from lmcore.params.ranges import Bins, OpenShare
from lmcore.statistics.stats import interval, ratio, wilson
from lmcore.suites.declare import kind_of
from lmcore.tables import ITEMS, SCORES, read, write

FREQUENCY, CONTEXT_LENGTH = "frequency", "context_length"
FINDINGS = pa.schema(
    {
        "suite": pa.string(),
        "by": pa.string(),  # frequency (of the target in the corpus) or context_length (words)
        "bin_low": pa.int64(),  # both ends belong to the bin
        "bin_high": pa.int64(),
        "model": pa.string(),
        "metric": pa.string(),
        "n": pa.int64(),  # items
        "value": pa.float64(),
        "low": pa.float64(),  # of the interval
        "high": pa.float64(),
    }
)
METRICS = ["accuracy", "target_logprob", "target_probability"]  # and success_at_k
Edges = list[tuple[int, int]]


def analyse_completions(
    models: list[str],
    suites: dict[str, dict],
    items: Path,
    scores: Path,
    corpus: Path,
    out: Path,
    plots: Path,
    *,
    per_decade: Bins,
    context_bins: Bins,
    confidence: OpenShare,
) -> None:
    """Write the FINDINGS of all completion suites to the file `out`, and to the folder `plots` as BY/SUITE/MODEL.csv, one row a bin.

    `per_decade` is the number of frequency bins between 1 and 10, `context_bins` the greatest number of bins of context length. Raises
    InputError where scores are missing or are those of other items.
    """
    if per_decade < 1 or context_bins < 1:
        raise InputError(
            f"analyse_completions: per_decade and context_bins must be at least 1, not {per_decade} and {context_bins}"
        )
    names = [suite for suite, entry in suites.items() if kind_of(suite, entry) == "completion"]
    counts = (
        word_counts([row["text"] for row in read_documents(corpus / "train.parquet")])
        if names
        else Counter()
    )
    rows: list[dict] = []
    for suite in names:
        table = read(items / f"{suite}.parquet", ITEMS)
        measures = {
            FREQUENCY: np.array(
                [frequency(target, counts) for target in table["target"].to_pylist()]
            ),
            CONTEXT_LENGTH: np.array(
                [len(context.split()) for context in table["context"].to_pylist()]
            ),
        }
        bins = {
            FREQUENCY: frequency_bins(int(measures[FREQUENCY].max()), per_decade),
            CONTEXT_LENGTH: length_bins(measures[CONTEXT_LENGTH], context_bins),
        }
        for model in models:
            source = scores / model / f"{suite}.parquet"
            values = _item_values(read(source, SCORES), table, source)
            for by, sizes in measures.items():
                found = by_bin(values, sizes, bins[by], confidence)
                rows += [{"suite": suite, "by": by, "model": model, **row} for row in found]
    with whole(plots) as folder:
        folder.mkdir()
        _write_plots(rows, folder)
    write(pa.Table.from_pylist(rows, FINDINGS), FINDINGS, out)


def by_bin(
    values: dict[str, np.ndarray], sizes: np.ndarray, bins: Edges, confidence: float
) -> list[dict]:
    """For each bin that holds items, and each metric, the mean with its interval.

    values: {metric: (items,)}; sizes: (items,), what the bins are made of. Log-probs are means, all other metrics shares or probabilities.
    """
    rows = []
    for low, high in bins:
        chosen = (low <= sizes) & (sizes <= high)
        n = int(chosen.sum())
        for metric in sorted(values) if n else ():
            part = values[metric][chosen]
            if metric == "accuracy" or metric.startswith("success_at_"):
                bounds = wilson(float(part.sum()), n, confidence)
            elif (found := interval(ratio(part, np.ones(n)), confidence)) is None:
                continue
            else:
                bounds = (
                    (max(0.0, found[0]), min(1.0, found[1]))
                    if metric.endswith("target_probability")
                    else found
                )
            row = {"bin_low": low, "bin_high": high, "metric": metric, "n": n}
            rows.append({**row, "value": float(part.mean()), "low": bounds[0], "high": bounds[1]})
    return rows


def frequency_bins(largest: int, per_decade: int) -> Edges:
    """0, then bins that begin at the powers of 10 ** (1 / per_decade), up to the one that holds `largest`."""
    starts, step = [0], 0
    while starts[-1] <= largest:
        start = round(10 ** (step / per_decade))
        if start > starts[-1]:
            starts.append(start)
        step += 1
    return [(low, following - 1) for low, following in pairwise(starts)]


def length_bins(lengths: np.ndarray, n_bins: int) -> Edges:
    """At most `n_bins` bins over the range of `lengths` (items,) that hold about as many items each."""
    ordered = np.sort(lengths)
    starts = sorted({int(ordered[len(ordered) * k // n_bins]) for k in range(n_bins)})
    return list(zip(starts, [following - 1 for following in starts[1:]] + [int(ordered[-1])]))


def bin_label(by: str, low: int, high: int) -> str:
    """What the page calls a bin."""
    if by == FREQUENCY and high == 0:
        return "unseen"
    return f"{low:,}" if low == high else f"{low:,}–{high:,}"


def _item_values(scores: pa.Table, items: pa.Table, source: Path) -> dict[str, np.ndarray]:
    """{metric: (items,)} in the order of `items`, means over draws; a masked LM has its pseudo_ metrics."""
    there = set(pc.unique(scores["metric"]).to_pylist())
    metrics = [PSEUDO + metric if PSEUDO + metric in there else metric for metric in METRICS]
    wanted = pc.or_(
        pc.is_in(scores["metric"], pa.array(metrics)),
        pc.starts_with(scores["metric"], "success_at_"),
    )
    means = (
        scores.filter(wanted)
        .group_by(["metric", "item", "content_hash"], use_threads=False)
        .aggregate([("value", "mean")])
    )
    by_metric: dict[str, dict] = {metric: {} for metric in metrics}
    for row in means.to_pylist():
        by_metric.setdefault(row["metric"], {})[row["item"], row["content_hash"]] = row[
            "value_mean"
        ]
    keys = list(zip(items["item"].to_pylist(), items["content_hash"].to_pylist(), strict=True))
    for metric, values in by_metric.items():
        if values.keys() != set(keys):
            raise InputError(
                f"{source}: its '{metric}' is not that of the suite's items as they are now; run the stage fold_scores"
            )
    return {metric: np.array([values[key] for key in keys]) for metric, values in by_metric.items()}


def _write_plots(rows: list[dict], folder: Path) -> None:
    """CSV of bins by metrics; the bins' names sort as the bins do, for a plot knows no other order."""
    files: dict[Path, dict[tuple[int, int], dict]] = {}
    for row in rows:
        lines = files.setdefault(folder / row["by"] / row["suite"] / f"{row['model']}.csv", {})
        line = lines.setdefault((row["bin_low"], row["bin_high"]), {"bin": "", "n": row["n"]})
        line |= {
            f"{row['metric']}{end}": f"{row[of]:.6g}"
            for end, of in (("", "value"), ("_low", "low"), ("_high", "high"))
        }
    for path, lines in files.items():
        n_digits = len(str(max(lines)[1])) if path.parts[-3] == CONTEXT_LENGTH else 0
        for (low, high), line in lines.items():
            line["bin"] = f"{low:0{n_digits}d}-{high:0{n_digits}d}" if high else "0"
        write_csv(list(lines.values()), path)
