"""lmcore in Python: score texts, read the results of a project, and compare two models.

Everything comes as pandas tables. `project` is the folder of params.yaml, where `dvc repro` ran.

    from lmcore.api import compare, load_log, load_metrics, load_scores, load_tokens, score

    score("smollm2", "The cat sat on the mat.", by="word")
    load_tokens("babyllama", "heldout")
    load_scores("babyllama", "minimal_pairs")
    load_metrics()
    compare("untrained", "babyllama", "minimal_pairs")
    load_log("logs/gpt2")
"""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from lmcore.analysis.word_units import WordGrid, joined_words, word_grid, words_of_tokens
from lmcore.comparing.comparison import align, judge, same_bytes
from lmcore.comparing.comparison import compare as compare_sides
from lmcore.comparing.model_pairs import as_json, suite_sides
from lmcore.errors import InputError
from lmcore.files import read_json_object
from lmcore.folds.by_text import text_stats
from lmcore.logs.open import read_logs
from lmcore.models.find import find_model
from lmcore.models.folder import holds_masked
from lmcore.scoring.engine import Engine
from lmcore.tables import SCORES, TOKENS, items_table, read
from lmcore.text.readable import token_texts
from lmcore.text.tokenizer import load_fast

BY = ("token", "word")
TOKEN_BUDGET = 2048  # rows a forward pass
MODELS = Path("data/models")


def score(
    model: str | Path,
    texts: str | list[str],
    *,
    by: str = "token",
    bos: str = "prefix",
    model_folder: Path = MODELS,
) -> pd.DataFrame:
    """How surprising each token or word of the texts is to a model.

    A row has `text` (the text's number), `start` and `end` (characters), `token` or `word`,
    `probability`, `surprisal` (bits), `rank` (from 1; of a word that of its first token) and
    `entropy` (nats). A word is what whitespace separates, with the sums over its tokens, see
    lmcore.analysis.word_units. A word without a scored token has a row with NaN: it has no token,
    or only the first of a text, before which nothing stands.

    `attrs` of the table say what the texts hold: `n_bytes` that were scored, `n_unknown` tokens and
    `n_dropped_bytes` (see lmcore.text.token_losses), and whether the model is a masked LM.

    model: a name in `model_folder`, a folder, or a hub id; by: token or word; bos: as in
    lmcore.text.encoder. A text longer than the model's window is read in windows. Of a random model
    the first draw is shown. Raises InputError naming what cannot be used.
    """
    if by not in BY:
        raise InputError(f"by must be one of {', '.join(BY)}, not {by!r}")
    texts = [texts] if isinstance(texts, str) else list(texts)
    if not texts or not all(texts):
        raise InputError("there is no text to score, or an empty one")
    folder = find_model(str(model), model_folder)
    items = _items(texts, bos)
    table = Engine(folder, {"bos": bos}, "float32", TOKEN_BUDGET).score(items)
    table = table.filter(pc.equal(table["draw"], 0))
    tokens = _token_rows(table, token_texts(load_fast(folder)))
    frame = tokens if by == "token" else words(tokens, texts)
    frame["probability"] = np.exp(frame["logprob"])
    frame["surprisal"] = -frame["logprob"] / math.log(2) + 0.0  # no -0.0
    frame = frame[["text", "start", "end", by, "probability", "surprisal", "rank", "entropy"]]
    stats = text_stats(items, table, folder)
    frame.attrs = {
        "is_masked": holds_masked(folder),
        "n_bytes": int(stats.n_bytes.sum()),
        "n_unknown": int(stats.n_lost("unknown_bytes").sum()),
        "n_dropped_bytes": int(stats.n_lost("dropped_bytes").sum()),
    }
    return frame


def load_tokens(model: str, suite: str, *, project: str | Path = ".") -> pd.DataFrame:
    """What a model says of every token of a suite: the tokens table, see lmcore.tables.

    Log-probs and entropies are in nats, ranks count from 1. Raises InputError where there is no
    such table.
    """
    return read(Path(project) / "data/tokens" / model / suite, TOKENS).to_pandas()


def load_scores(model: str, suite: str, *, project: str | Path = ".") -> pd.DataFrame:
    """A model's value on every item of a suite under every metric: the scores table.

    Raises InputError where there is no such table.
    """
    return read(Path(project) / "data/scores" / model / f"{suite}.parquet", SCORES).to_pandas()


def load_log(path: str | Path, *, answers: str | Path | None = None) -> pd.DataFrame:
    """What lm-eval, lighteval, Inspect or BabyLM logged, or a table with `item` and `value`.

    A row has `model`, `suite` and the columns of a scores table. `path` is a file or a folder, and
    `answers` the folder evaluation_data, which BabyLM predictions need. The formats are in
    docs/compare_logs.md. Raises InputError where no log can be read.
    """
    tables = []
    for evaluation in read_logs(Path(path), None if answers is None else Path(answers)):
        table = evaluation.scores().to_pandas()
        table.insert(0, "suite", evaluation.task)
        table.insert(0, "model", evaluation.model)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def load_metrics(*, project: str | Path = ".") -> pd.DataFrame:
    """Every metric of every model and suite, with its interval.

    A row has `model`, `suite`, `metric`, `value`, `low` and `high`, which are NaN where a
    metric has no interval. Names of conventions are left out. Raises InputError where there is
    no metric.
    """
    folder = Path(project) / "metrics"
    files = sorted((folder / "models").glob("*.json"))
    if not files:
        raise InputError(f"{folder / 'models'}: there are no metrics; run `dvc repro`")
    intervals = read_json_object(folder / "intervals.json", "the intervals of metrics")
    rows = []
    for file in files:
        for suite, metrics in read_json_object(file, "the metrics of a model").items():
            bounds = intervals.get(file.stem, {}).get(suite, {})
            for metric, value in metrics.items():
                if isinstance(value, str):
                    continue
                row = {"model": file.stem, "suite": suite, "metric": metric, "value": float(value)}
                of_metric = bounds.get(metric, {})
                rows.append({**row, "low": of_metric.get("low"), "high": of_metric.get("high")})
    return pd.DataFrame(rows).astype({"low": float, "high": float})


def compare(
    a: str,
    b: str,
    suite: str,
    metric: str = "accuracy",
    *,
    project: str | Path = ".",
    confidence: float = 0.95,
    interval: str = "student",
    resamples: int = 10_000,
    seed: int = 0,
) -> pd.Series:
    """Model `b` against model `a` on the items of a suite, paired item by item.

    Holds `difference` (b - a) with `low` and `high`, `p`, `verdict`, `claim` (what the verdict is
    about), effect sizes and counts: see lmcore.comparing.comparison and docs/statistics.md. What
    cannot be computed is absent. interval: student, or percentile or bca (bootstrap with
    `resamples`, drawn by `seed`). Raises InputError for a model, suite or metric that is not there,
    and where the two models were not scored on the same items.
    """
    scores = Path(project) / "data/scores"
    sides, metric_of = suite_sides(suite, [a, b], {}, scores, [metric])
    if metric_of[a] != metric_of[b]:
        raise InputError(
            f"{suite}: {a} has {metric_of[a]} and {b} has {metric_of[b]};"
            " a causal and a masked LM cannot be compared"
        )
    name = metric_of[a]
    side_a, side_b, _ = align(sides[a], sides[b], common=False, what=f"{a} and {b} on {suite}")
    side_a, side_b = same_bytes(side_a, side_b, name)
    comparison = compare_sides(
        side_a,
        side_b,
        name,
        confidence=confidence,
        interval=interval,
        resamples=resamples,
        seed=seed,
    )
    judged = judge([comparison], correction="holm", confidence=confidence, power=0.8, margin={})
    return pd.Series(as_json(judged[0]))


def words(tokens: pd.DataFrame, texts: list[str]) -> pd.DataFrame:
    """The tokens' rows summed over words; a token that reaches into a second word joins the two."""
    grid = word_grid(texts)
    text, starts, ends = (tokens[name].to_numpy() for name in ("text", "start", "end"))
    first, last = words_of_tokens(grid, text, starts, ends)
    joined = joined_words(len(grid.starts), first, last)
    unit = (np.cumsum(~joined) - 1)[first]
    sums = (
        tokens.assign(unit=unit)
        .groupby("unit", sort=True)
        .agg(
            start=("start", "min"),
            end=("end", "max"),
            logprob=("logprob", "sum"),
            rank=("rank", "first"),
            entropy=("entropy", "sum"),
        )
    )
    frame = _spelled(grid, np.flatnonzero(~joined), texts)
    of_tokens = sums.reindex(frame.index)
    frame["start"] = np.fmin(frame["start"], of_tokens["start"]).astype(np.int64)
    frame["end"] = np.fmax(frame["end"], of_tokens["end"]).astype(np.int64)
    frame[["logprob", "entropy"]] = of_tokens[["logprob", "entropy"]]
    rank_type = "Int64" if of_tokens["rank"].isna().any() else np.int64
    frame["rank"] = of_tokens["rank"].astype(rank_type)
    return frame


def _items(texts: list[str], bos: str) -> pa.Table:
    row = {"option": 0, "variant": "", "group": "all", "context": "", "gold": True}
    rows = [{**row, "item": f"{number:08d}", "target": text} for number, text in enumerate(texts)]
    return items_table(rows, {"bos": bos}, "texts")


def _token_rows(table: pa.Table, names: list[str]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "text": np.array(table["item"].to_pylist()).astype(np.int64),
            "start": table["start"].to_numpy(),
            "end": table["end"].to_numpy(),
            "token": [names[number] for number in table["next_id"].to_pylist()],
            "logprob": table["logprob"].to_numpy().astype(np.float64),
            "rank": table["rank"].to_numpy(),
            "entropy": table["entropy"].to_numpy().astype(np.float64),
        }
    )


def _spelled(grid: WordGrid, heads: np.ndarray, texts: list[str]) -> pd.DataFrame:
    """The words that begin with the words `heads`, as they stand in the text.

    Columns: text, word, start and end. A head stands for several words where these are joined.
    """
    text, starts = grid.text_of_word[heads], grid.starts[heads]
    is_followed = np.append(text[1:] == text[:-1], False)
    lengths = [len(texts[number]) for number in text]
    stops = np.where(is_followed, np.append(starts[1:], 0), lengths)
    spelled = []
    for number, start, stop in zip(text, starts, stops, strict=True):
        spelled.append(texts[number][start:stop].rstrip())
    ends = starts + [len(word) for word in spelled]
    return pd.DataFrame({"text": text, "word": spelled, "start": starts, "end": ends})
