"""The whole analysis on a small suite.

Its files, that the same input gives the same files, and that its numbers are those of the metrics.
"""

import csv
import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from lmcore.analysis.analyse import PLOTS, Paths, Settings, analyse_tokens
from lmcore.analysis.entropy_bins import ENTROPY_BINS
from lmcore.analysis.passage import PASSAGE
from lmcore.errors import InputError
from lmcore.files import sha256
from lmcore.tables import ITEMS, TOKENS, read, write
from tests.lmcore.analysis.random_tokens import save
from tests.lmcore.scoring.conftest import save_tokenizer
from tests.lmcore.token_tables import fold, items_of, tokens_of

WORDS = "the old man saw the sea and the ship saw the man"
TEXTS = items_of({f"t/{number}": [("", WORDS[number:])] for number in (0, 4, 8)})
SETTINGS = Settings(
    rows="gold",
    minimum_count=2,
    n_extremes=2,
    n_bins=3,
    n_frequent=2,
    calibration_bins=5,
    corrected=False,
    plot_suite="texts",
    passage_chars=20,
    progression=["b", "a"],
    confidence=0.95,
    digits=6,
)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Two models' tokens of two suites, as the stages leave them."""
    for suite in ("texts", "more"):
        write(TEXTS, ITEMS, tmp_path / "items" / f"{suite}.parquet")
        for model, factor in (("a", 1), ("b", 2)):
            tokens = tokens_of(
                TEXTS,
                lambda draw, before, word, factor=factor: (
                    -factor * len(word) / 4 - len(before) / 20
                ),
            )
            save(tokens, tmp_path / "tokens" / model / suite, 2)
            save_tokenizer(tmp_path / "models" / model)
    return tmp_path


def run(
    folders: Path, name: str, *, generated: Path | None = None, writers=(), kept=None, **changes
) -> Path:
    """Analyse both models on both suites into the folder `name`; `changes` of SETTINGS."""
    paths = Paths(
        items=folders / "items",
        tokens=folders / "tokens",
        model_folder=folders / "models",
        out=folders / name / "analysis",
        summaries=folders / name / "summaries",
        comparison=folders / name / "comparison.json",
        plots=folders / name / "plots",
        generated=generated,
        trained=folders / "train",
    )
    suites = changes.pop("suites", {"texts": {}, "more": {}})
    settings = replace(SETTINGS, **changes)
    analyse_tokens(["a", "b"], suites, paths, settings, writers, kept)
    return folders / name


def test_analysis_writes_every_file_and_the_same_bytes_again(folders: Path) -> None:
    one = run(folders, "one")
    files = {path.relative_to(one).as_posix() for path in one.rglob("*") if path.is_file()}
    tables = {
        f"analysis/{table}/{model}.parquet"
        for table in ("by_token", "entropy_bins", "bin_tokens", "calibration")
        for model in "ab"
    }
    plots = {f"plots/{plot}/{model}.csv" for plot in PLOTS for model in "ab"} | {
        f"plots/progression/{s}.csv" for s in ("texts", "more")
    }
    assert files == tables | plots | {
        "analysis/passage.parquet",
        "analysis/scatter.parquet",
        "comparison.json",
        "summaries/a.json",
        "summaries/b.json",
    }
    assert sha256(one) == sha256(run(folders, "two"))


def test_a_suite_of_one_model_is_analysed_for_that_model_alone(folders: Path) -> None:
    shutil.rmtree(folders / "tokens" / "b" / "more")
    found = run(folders, "one", suites={"texts": {}, "more": {"models": ["a"]}})
    assert list(json.loads((found / "summaries" / "a.json").read_text())) == ["more", "texts"]
    assert list(json.loads((found / "summaries" / "b.json").read_text())) == ["texts"]


def test_analysis_agrees_with_the_fold_of_the_same_tokens(folders: Path) -> None:
    found = json.loads((run(folders, "one") / "summaries/a.json").read_text())["texts"]
    tokens = read(folders / "tokens/a/texts", TOKENS)
    scores = fold(
        TEXTS, tokens, kind="text", ties="half", top_k=10, vocab_size=300, window=512, source="t"
    ).to_pylist()
    for metric in ("logprob", "surprisal_per_byte", "surprisal_per_word"):
        rows = [row for row in scores if row["metric"] == metric]
        mean = sum(row["value"] * row["weight"] for row in rows) / sum(
            row["weight"] for row in rows
        )
        if metric == "logprob":
            assert found["logprob_mean"] == pytest.approx(mean, rel=1e-5) and found[
                "perplexity"
            ] == pytest.approx(math.exp(-mean), rel=1e-5)
            continue
        comparison = json.loads((folders / "one/comparison.json").read_text())
        compared = comparison["texts"]["words"]["models"]["a"]
        name = {"surprisal_per_byte": "bits_per_byte"}.get(metric, metric)
        assert compared[name] == pytest.approx(mean, rel=1e-5)


def test_passage_is_the_beginning_of_the_first_text_under_each_model(folders: Path) -> None:
    rows = read(run(folders, "one") / "analysis/passage.parquet", PASSAGE).to_pylist()
    for model in "ab":
        own = [row for row in rows if row["model"] == model]
        assert "".join(row["text"] for row in own) == "the old man saw the sea"
        assert own[1]["surprisal"] == pytest.approx(
            (3 * (1 + (model == "b")) / 4 + 0.05) / math.log(2), rel=1e-5
        )


def test_progression_is_in_the_order_that_was_asked_for(folders: Path) -> None:
    rows = list(
        csv.DictReader(
            (run(folders, "one") / "plots/progression/texts.csv").read_text().splitlines()
        )
    )
    assert [(row["place"], row["model"]) for row in rows] == [("1", "b"), ("2", "a")]
    assert float(rows[0]["loss"]) > float(rows[1]["loss"]) and float(rows[0]["accuracy"]) == 1.0


def test_progression_of_checkpoints_says_how_many_words_they_had_read(folders: Path) -> None:
    kept = {"b": {"model": "a", "words": 5_000}}
    (folders / "train").mkdir()
    (folders / "train/a.json").write_text('{"steps": 7, "words": 9000}')
    text = (run(folders, "one", kept=kept) / "plots/progression/more.csv").read_text()
    rows = list(csv.DictReader(text.splitlines()))
    assert [(row["model"], row["words"]) for row in rows] == [("b", "5000"), ("a", "9000")]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"plot_suite": "none"}, "there is no suite 'none'"),
        ({"progression": ["c"]}, "there is no model 'c'"),
        ({"rows": "x"}, "rows must be"),
    ],
)
def test_analysis_of_what_is_not_there_is_refused_and_leaves_nothing(
    folders: Path, changes: dict, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        run(folders, "one", **changes)
    assert not (folders / "one").exists()


def test_analysis_counts_what_a_model_wrote_as_a_suite_of_its_own(folders: Path) -> None:
    tokens = read(folders / "tokens/a/texts", TOKENS)
    write(tokens, TOKENS, folders / "generated/a/tokens.parquet")
    one = run(folders, "one", generated=folders / "generated", writers=["a"], progression=[])
    found = json.loads((one / "summaries/a.json").read_text())
    assert (
        found["generated"]["n_tokens"] == len(tokens) and found["generated"]["entropy"]["mean"] > 0
    )
    assert "generated" not in json.loads((one / "summaries/b.json").read_text())
    assert "generated" in set(
        read(one / "analysis/entropy_bins/a.parquet", ENTROPY_BINS)["suite"].to_pylist()
    )
    assert list((one / "plots/progression").iterdir()) == []
    write(TEXTS, ITEMS, folders / "items/generated.parquet")
    with pytest.raises(InputError, match="cannot be called 'generated'"):
        analyse_tokens(
            ["a"],
            ["generated"],
            Paths(*[folders] * 7, generated=folders),
            replace(SETTINGS, plot_suite="generated"),
        )


def test_suite_tokenised_apart_from_its_contexts_is_not_compared_by_word(folders: Path) -> None:
    """Its tokens are not those of the text, so no word would have a probability."""
    options = {f"t/{number}": [("the old", "man")] for number in range(3)}
    apart = items_of(options, scoring={"bos": "prefix", "tokenisation": "separate"})
    write(apart, ITEMS, folders / "items" / "more.parquet")
    for model in ("a", "b"):
        shutil.rmtree(folders / "tokens" / model / "more")
        tokens = tokens_of(apart, lambda draw, before, word: -1.5)
        save(tokens, folders / "tokens" / model / "more", 1)
    compared = json.loads((run(folders, "one") / "comparison.json").read_text("utf-8"))
    assert list(compared) == ["texts"]
