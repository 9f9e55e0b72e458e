"""A suite folded run by run has the same scores, to the byte, as one folded at once."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from lmcore.errors import InputError
from lmcore.folds import runs
from lmcore.folds.fold import fold_scores
from lmcore.tables import ITEMS, SCORES, TOKENS, read, write
from tests.lmcore.token_tables import items_of, tokens_of

WORDS = ["one", "two", "three", "four", "five"]


def many_items(n_options: int, context: str = "") -> pa.Table:
    """Forty items of texts of one to five words."""
    rng = np.random.default_rng(0)
    options: dict[str, list[tuple[str, str]]] = {}
    for number in range(40):
        texts = []
        for _ in range(n_options):
            chosen = rng.choice(WORDS, rng.integers(1, 6))
            texts.append((context, " " + " ".join(chosen)))
        options[f"g{number % 3}/{number:02d}"] = texts
    return items_of(options)


def sorted_tokens(items: pa.Table, draws: int = 1) -> pa.Table:
    """Random tokens of the items, by item, draw, option and position."""
    rng = np.random.default_rng(1)
    tokens = tokens_of(items, lambda *_: -float(rng.integers(1, 4)), draws=draws)
    item = tokens["item"].cast(pa.string()).to_numpy()
    keys = [tokens[name].to_numpy() for name in ("position", "option", "draw")]
    return tokens.take(pa.array(np.lexsort((*keys, np.unique(item, return_inverse=True)[1]))))


class Folding:
    """A folder in which one suite of one model is folded."""

    def __init__(self, folder: Path, items: pa.Table, kind: str):
        self.folder, self.kind = folder, kind
        self.paths = [folder / name for name in ("items", "tokens", "models", "scores", "places")]
        write(items, ITEMS, folder / "items" / "mine.parquet")
        model = folder / "models" / "one"
        model.mkdir(parents=True)
        (model / "config.json").write_text('{"model_type": "lmcore_dummy", "vocab_size": 50}')
        (model / "tokenizer.json").write_text("{}")

    def write(self, parts: list[pa.Table]) -> None:
        for number, part in enumerate(parts):
            write(part, TOKENS, self.folder / f"tokens/one/mine/part-{number:05d}.parquet")

    def fold(self) -> dict[str, bytes]:
        """{name: bytes} of the files that fold_scores writes."""
        fold_scores(["one"], {"mine": {"kind": self.kind}}, *self.paths, top_k=10)
        files = [file for path in self.paths[3:] for file in path.rglob("*") if file.is_file()]
        return {file.relative_to(self.folder).as_posix(): file.read_bytes() for file in files}


def cut(table: pa.Table, *places: int) -> list[pa.Table]:
    """The table in parts that begin at these rows."""
    return [table.slice(a, b - a) for a, b in pairwise([0, *places, len(table)])]


def small_runs(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(runs, "RUN_ROWS", rows)
    monkeypatch.setattr(runs, "BATCH_ROWS", max(1, rows // 3))
    monkeypatch.setattr(runs, "ITEM_BYTES", 500)


@pytest.mark.parametrize("rows", [1, 20, 100])
@pytest.mark.parametrize(
    ("kind", "n_options", "context", "draws"),
    [
        ("pairs", 2, "", 1),
        ("pairs", 2, "a", 3),
        ("choices", 3, "a b", 1),
        ("choices", 4, "a", 2),
        ("completion", 1, "a", 1),
        ("text", 1, "", 1),
        ("graded", 2, "", 1),
    ],
)
def test_runs_give_the_bytes_of_the_whole(
    tmp_path, monkeypatch, kind: str, n_options: int, context: str, draws: int, rows: int
) -> None:
    items = many_items(n_options, context)
    if kind == "graded":
        names = items["item"].unique().to_pylist()
        ratios = {name: number / 40 for number, name in enumerate(names)}
        scoring = f'{{"bos": "prefix", "ratios": {ratios}}}'.replace("'", '"')
        items = items.replace_schema_metadata({"scoring": scoring})
    folding = Folding(tmp_path, items, kind)
    folding.write(cut(sorted_tokens(items, draws), 7, 90, 91))
    whole = folding.fold()
    assert len(whole) == 1 + (kind == "choices")
    small_runs(monkeypatch, rows)
    assert folding.fold() == whole


def test_a_run_does_not_carry_the_names_of_all_runs_before_it(tmp_path, monkeypatch) -> None:
    """With them, the last of 400 runs cost far more than the first."""
    items = many_items(2)
    folding = Folding(tmp_path, items, "pairs")
    tokens = sorted_tokens(items)
    parts = cut(tokens, *range(10, len(tokens), 10))
    folding.write([pa.Table.from_pylist(part.to_pylist(), part.schema) for part in parts])
    small_runs(monkeypatch, 20)
    paths = folding.paths[0] / "mine.parquet", folding.paths[1] / "one" / "mine"
    found = list(runs.runs_of_items(*paths, ["item", "option", "position"]))
    carried = [len(run.tokens["item"].combine_chunks().dictionary) for run in found]
    assert len(carried) > 5 and max(carried) < 15  # of 40 items


@pytest.mark.parametrize("lost", ["unknown_bytes", "dropped_bytes"])
@pytest.mark.parametrize("kind", ["text", "pairs"])
def test_what_one_run_loses_is_a_metric_of_all(tmp_path, monkeypatch, lost: str, kind: str) -> None:
    items = many_items(1 if kind == "text" else 2)
    folding = Folding(tmp_path, items, kind)
    parts = cut(sorted_tokens(items), 60)
    for name in ("unknown_bytes", "dropped_bytes"):
        values = np.zeros(len(parts[1]), np.int32)
        values[5] = name == lost
        parts[1] = parts[1].append_column(name, pa.array(values))
    folding.write(parts)
    whole = folding.fold()
    small_runs(monkeypatch, 20)
    assert folding.fold() == whole
    metrics = set(read(tmp_path / "scores/one/mine.parquet", SCORES)["metric"].to_pylist())
    assert ("unknown" in metrics) == (lost == "unknown_bytes")
    assert "surprisal_per_word" not in metrics and "surprisal_per_byte" in metrics


def test_runs_of_one_word_contexts_are_not_taken_for_those_of_a_masked_lm(
    tmp_path, monkeypatch
) -> None:
    """The first word of a text can have no row. Then only targets have rows, in some runs."""
    options = {f"{n:02d}": [("a", " b c"), ("a", " b d")] for n in range(20)}
    options |= {f"{n:02d}": [("a b", " b c"), ("a b", " b d")] for n in range(20, 40)}
    items = items_of(options)
    folding = Folding(tmp_path, items, "pairs")
    folding.write([tokens_of(items, lambda *_: -1.0, skip_first=True)])
    whole = folding.fold()
    small_runs(monkeypatch, 20)
    assert folding.fold() == whole


def test_what_is_missing_or_twice_is_named_in_runs_too(tmp_path, monkeypatch) -> None:
    small_runs(monkeypatch, 20)
    items = many_items(2)
    tokens = sorted_tokens(items, draws=2)
    item = np.array(tokens["item"].to_pylist())
    for number, (keep, message) in enumerate(
        [
            (item != "g0/15", "item 'g0/15' option 0 has no tokens in draw 0"),
            (item != "g2/38", "item 'g2/38' option 0 has no tokens in draw 0"),
            ((item != "g1/10") | (tokens["draw"].to_numpy() == 0), "'g1/10' .* in draw 1"),
        ]
    ):
        folding = Folding(tmp_path / str(number), items, "pairs")
        folding.write([tokens.filter(pa.array(keep))])
        with pytest.raises(InputError, match=message):
            folding.fold()
    folding = Folding(tmp_path / "twice", items, "pairs")
    folding.write([tokens, tokens])
    with pytest.raises(InputError, match="item 'g0/00' stand behind those of item 'g2/38'"):
        folding.fold()
    folding = Folding(tmp_path / "unknown", items.filter(pa.array(items_but(items))), "pairs")
    folding.write([tokens])
    with pytest.raises(InputError, match="has tokens of item 'g0/15'"):
        folding.fold()


def items_but(items: pa.Table) -> np.ndarray:
    """Which rows are not those of the item g0/15."""
    return np.array(items["item"].to_pylist()) != "g0/15"
