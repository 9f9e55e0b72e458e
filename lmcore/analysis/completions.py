"""When a model finds the missing word: the two findings of studies of LAMBADA.

Items, scores and the training corpus go in; results by the frequency of the missing word and by the
length of its context come out.

- Frequency is how often the target's word stands in the train split of the corpus, whatever its
  case; a target of several words counts as its rarest. Unseen words have a bin of their own. The
  others fall into bins that are evenly spaced on a log scale.
- Context length is the number of words between whitespace, so that it does not depend on a
  tokenizer. The bins hold about as many items each, and items of one length are never parted.
- The draws of a random model are averaged within each item. Shares have Wilson's interval (of
  averaged draws it is too wide, never too narrow), other means have Student's. A mean of a single
  item has no interval and is left out.
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
from lmcore.params.scored import models_of_suite
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
    """Write the FINDINGS of all completion suites to the file `out`, and their plots.

    The folder `plots` gets BY/SUITE/MODEL.csv, with one row for each bin.

    per_decade: the number of frequency bins between 1 and 10; context_bins: the greatest number of
    bins of context length.

    Raises InputError where scores are missing or are those of other items.
    """
    if per_decade < 1 or context_bins < 1:
        raise InputError(
            "analyse_completions: per_decade and context_bins must be at least 1, "
            f"not {per_decade} and {context_bins}"
        )
    names = [suite for suite, entry in suites.items() if kind_of(suite, entry) == "completion"]
    counts = _training_words(corpus) if names else Counter()
    rows: list[dict] = []
    for suite in names:
        table = read(items / f"{suite}.parquet", ITEMS)
        measures = _measures(table, counts)
        bins = {
            FREQUENCY: frequency_bins(int(measures[FREQUENCY].max()), per_decade),
            CONTEXT_LENGTH: length_bins(measures[CONTEXT_LENGTH], context_bins),
        }
        for model in models_of_suite(suite, suites[suite], models):
            source = scores / model / f"{suite}.parquet"
            values = _item_values(read(source, SCORES), table, source)
            labels = {"suite": suite, "model": model}
            rows += [labels | row for row in _rows_of_bins(values, measures, bins, confidence)]
    with whole(plots) as folder:
        folder.mkdir()
        _write_plots(rows, folder)
    write(pa.Table.from_pylist(rows, FINDINGS), FINDINGS, out)


def _training_words(corpus: Path) -> Counter:
    """How often each word stands in the train split of the corpus."""
    return word_counts([row["text"] for row in read_documents(corpus / "train.parquet")])


def _measures(items: pa.Table, counts: Counter) -> dict[str, np.ndarray]:
    """{what the bins are made of: (items,) its value of each item}."""
    targets, contexts = items["target"].to_pylist(), items["context"].to_pylist()
    return {
        FREQUENCY: np.array([frequency(target, counts) for target in targets]),
        CONTEXT_LENGTH: np.array([len(context.split()) for context in contexts]),
    }


def _rows_of_bins(
    values: dict[str, np.ndarray],
    measures: dict[str, np.ndarray],
    bins: dict[str, Edges],
    confidence: float,
) -> list[dict]:
    """The rows of `by_bin` for every measure, with its name in `by`."""
    rows = []
    for by, sizes in measures.items():
        rows += [{"by": by, **row} for row in by_bin(values, sizes, bins[by], confidence)]
    return rows


def by_bin(
    values: dict[str, np.ndarray], sizes: np.ndarray, bins: Edges, confidence: float
) -> list[dict]:
    """The mean with its interval, for each bin that holds items and each metric.

    values: {metric: (items,)}; sizes: (items,), what the bins are made of. Log-probs are means, all
    other metrics are shares or probabilities.
    """
    rows = []
    for low, high in bins:
        is_in_bin = (low <= sizes) & (sizes <= high)
        n = int(is_in_bin.sum())
        if not n:
            continue
        for metric in sorted(values):
            values_in_bin = values[metric][is_in_bin]
            bounds = _bounds(metric, values_in_bin, confidence)
            if bounds is None:
                continue
            rows.append(
                {
                    "bin_low": low,
                    "bin_high": high,
                    "metric": metric,
                    "n": n,
                    "value": float(values_in_bin.mean()),
                    "low": bounds[0],
                    "high": bounds[1],
                }
            )
    return rows


def _bounds(metric: str, values: np.ndarray, confidence: float) -> tuple[float, float] | None:
    """The interval of the mean of `values`, or None where a single value has none."""
    n = len(values)
    if metric == "accuracy" or metric.startswith("success_at_"):
        return wilson(float(values.sum()), n, confidence)
    bounds = interval(ratio(values, np.ones(n)), confidence)
    if bounds is not None and metric.endswith("target_probability"):
        return max(0.0, bounds[0]), min(1.0, bounds[1])
    return bounds


def frequency_bins(largest: int, per_decade: int) -> Edges:
    """0, then bins that begin at the powers of 10 ** (1 / per_decade).

    The last bin is the one that holds `largest`.
    """
    starts, step = [0], 0
    while starts[-1] <= largest:
        start = round(10 ** (step / per_decade))
        if start > starts[-1]:
            starts.append(start)
        step += 1
    return [(low, following - 1) for low, following in pairwise(starts)]


def length_bins(lengths: np.ndarray, n_bins: int) -> Edges:
    """At most `n_bins` bins over the range of `lengths`, which hold about as many items each.

    lengths: (items,).
    """
    ordered = np.sort(lengths)
    starts = sorted({int(ordered[len(ordered) * k // n_bins]) for k in range(n_bins)})
    return list(zip(starts, [following - 1 for following in starts[1:]] + [int(ordered[-1])]))


def bin_label(by: str, low: int, high: int) -> str:
    """What the page calls a bin."""
    if by == FREQUENCY and high == 0:
        return "unseen"
    return f"{low:,}" if low == high else f"{low:,}–{high:,}"


def _item_values(scores: pa.Table, items: pa.Table, source: Path) -> dict[str, np.ndarray]:
    """{metric: (items,) its means over draws}, in the order of `items`.

    A masked LM has its pseudo_ metrics. Raises InputError, naming `source`, for scores of other
    items.
    """
    scored = set(pc.unique(scores["metric"]).to_pylist())
    metrics = [PSEUDO + metric if PSEUDO + metric in scored else metric for metric in METRICS]
    is_wanted = pc.or_(
        pc.is_in(scores["metric"], pa.array(metrics)),
        pc.starts_with(scores["metric"], "success_at_"),
    )
    groups = scores.filter(is_wanted).group_by(
        ["metric", "item", "content_hash"], use_threads=False
    )
    means = groups.aggregate([("value", "mean")])
    by_metric: dict[str, dict] = {metric: {} for metric in metrics}
    for row in means.to_pylist():
        values = by_metric.setdefault(row["metric"], {})
        values[row["item"], row["content_hash"]] = row["value_mean"]
    keys = list(zip(items["item"].to_pylist(), items["content_hash"].to_pylist(), strict=True))
    in_order: dict[str, np.ndarray] = {}
    for metric, values in by_metric.items():
        if values.keys() != set(keys):
            raise InputError(
                f"{source}: its '{metric}' is not that of the suite's items as they are now; "
                "run the stage fold_scores"
            )
        in_order[metric] = np.array([values[key] for key in keys])
    return in_order


def _write_plots(rows: list[dict], folder: Path) -> None:
    """Write CSV files of bins by metrics; a plot orders bins by their names, so these sort."""
    files: dict[Path, dict[tuple[int, int], dict]] = {}
    for row in rows:
        lines = files.setdefault(folder / row["by"] / row["suite"] / f"{row['model']}.csv", {})
        line = lines.setdefault((row["bin_low"], row["bin_high"]), {"bin": "", "n": row["n"]})
        line[row["metric"]] = f"{row['value']:.6g}"
        line[f"{row['metric']}_low"] = f"{row['low']:.6g}"
        line[f"{row['metric']}_high"] = f"{row['high']:.6g}"
    for path, lines in files.items():
        n_digits = len(str(max(lines)[1])) if path.parts[-3] == CONTEXT_LENGTH else 0
        for (low, high), line in lines.items():
            line["bin"] = f"{low:0{n_digits}d}-{high:0{n_digits}d}" if high else "0"
        write_csv(list(lines.values()), path)
