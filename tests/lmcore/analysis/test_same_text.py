"""Models on the same text.

Two tokenizers of one text by hand, refusals, and the word scores of minicons.
"""

import math
import warnings

import numpy as np
import pyarrow as pa
import pytest

from lmcore.analysis.same_text import (
    compare_on_same_text,
    refuse_different_tokenizers,
    same_tokenizers,
)
from lmcore.analysis.shared_chunks import shared_chunks
from lmcore.errors import InputError
from lmcore.tables import ITEMS, TOKENS, items_table, write
from lmcore.text.tokenizer import load_fast
from tests.lmcore.analysis.random_tokens import save
from tests.lmcore.scored_items import score_items
from tests.lmcore.scoring.conftest import items, save_llama, save_tokenizer
from tests.lmcore.token_tables import items_of, tokens_of

PAIRS = items_of(
    {
        "a": [("", "the old sea"), ("", "the sea old")],
        "b": [("we saw", " the ships"), ("we saw", " it")],
    }
)
SENTENCES = [
    "The cats annoy Tim.",
    "Who should Derek hug after shocking Richard?",
    "One two three four five.",
]


def characters_of(table: pa.Table) -> pa.Table:
    """The same text cut into characters, each of which costs one bit."""
    rows = []
    for row in table.to_pylist():
        for at in range(row["start"], row["end"]):
            rows.append(
                {
                    **row,
                    "position": at,
                    "start": at,
                    "end": at + 1,
                    "next_id": at % 3,
                    "logprob": -math.log(2),
                    "entropy": 0.5,
                }
            )
    return pa.Table.from_pylist(rows, TOKENS)


@pytest.fixture
def tokenizers(tmp_path):
    small, large = (save_tokenizer(tmp_path / name) for name in ("one", "other"))
    large.add_tokens([" whole sentence"])
    return {"words": small, "characters": large}


def test_two_tokenizers_are_compared_per_word_and_per_byte_by_hand(tmp_path, tokenizers) -> None:
    words = tokens_of(PAIRS, lambda draw, before, word: -3 * math.log(2))
    paths = {
        "words": save(words, tmp_path / "w"),
        "characters": save(characters_of(words), tmp_path / "c", 1),
    }
    found, scatter = compare_on_same_text(
        PAIRS, paths, tokenizers, corrected=False, confidence=0.95
    )
    assert "tokens" not in found
    of = found["words"]
    assert (
        of["n_items"],
        of["n_words"],
        of["n_bytes"],
        of["n_words_joined"],
        of["n_words_dropped"],
    ) == (2, 5, 21, 0, 0)
    assert of["models"]["words"] == pytest.approx(
        {"bits_per_byte": 15 / 21, "surprisal_per_word": 3.0, "entropy_per_word": 1.0}
    )
    assert of["models"]["characters"] == pytest.approx(
        {"bits_per_byte": 1.0, "surprisal_per_word": 21 / 5, "entropy_per_word": 21 / 10}
    )
    pair = of["pairs"]["words"]["characters"]
    assert pair["bits_per_byte"]["difference"] == pytest.approx(6 / 21) and pair[
        "second_less_surprised"
    ] == pytest.approx(0.1)
    assert pair["surprisal_per_word"]["low"] < 6 / 5 < pair["surprisal_per_word"]["high"]
    assert sum(row["n"] for row in scatter) == 5 and {row["x"] for row in scatter} == {3}


def test_one_tokenizer_is_compared_token_by_token_and_draws_are_averaged(tmp_path) -> None:
    tokenizer = save_tokenizer(tmp_path / "one")
    one = tokens_of(PAIRS, lambda draw, before, word: -1.0)
    two = tokens_of(PAIRS, lambda draw, before, word: -1.0 - draw, draws=2)
    paths = {"a": save(one, tmp_path / "a"), "b": save(two, tmp_path / "b")}
    found, _ = compare_on_same_text(
        PAIRS, paths, {"a": tokenizer, "b": tokenizer}, corrected=False, confidence=0.95
    )
    pair = found["tokens"]["a"]["b"]
    assert pair["n_tokens"] == 5 and pair["logprob"]["difference"] == pytest.approx(-0.5)
    assert pair["second_more_probable"] == 0.0 and pair["top_1_accuracy"]["difference"] == 0.0
    assert found["words"]["pairs"]["a"]["b"]["surprisal_per_word"]["difference"] == pytest.approx(
        0.5 / math.log(2)
    )


def test_words_without_a_first_token_are_dropped_for_all_models(tmp_path, tokenizers) -> None:
    full, cut = (
        tokens_of(PAIRS, lambda draw, before, word: -1.0, skip_first=skip) for skip in (False, True)
    )
    paths = {
        "words": save(cut, tmp_path / "w"),
        "characters": save(characters_of(full), tmp_path / "c"),
    }
    found, _ = compare_on_same_text(PAIRS, paths, tokenizers, corrected=False, confidence=0.95)
    assert (found["words"]["n_words"], found["words"]["n_words_dropped"]) == (4, 1), (
        "of b only the target counts, whose words are whole"
    )


def test_token_by_token_of_two_tokenizers_is_refused_with_the_reason(tokenizers) -> None:
    with pytest.raises(
        InputError,
        match=r"words and characters cannot be compared token by token: "
        r"their tokenizers \(300 and 301 entries\)",
    ):
        refuse_different_tokenizers(tokenizers)
    refuse_different_tokenizers({"a": tokenizers["words"], "b": tokenizers["words"]})
    assert same_tokenizers(tokenizers | {"third": tokenizers["words"]}) == [
        ["words", "third"],
        ["characters"],
    ]


def test_correction_without_its_columns_says_what_to_set(tmp_path, tokenizers) -> None:
    words = tokens_of(PAIRS, lambda draw, before, word: -1.0)
    with pytest.raises(InputError, match="column 'bow_logprob' is missing"):
        compare_on_same_text(
            PAIRS,
            {"words": save(words, tmp_path / "w")},
            tokenizers,
            corrected=True,
            confidence=0.95,
        )


@pytest.fixture(scope="module")
def scorer(tmp_path_factory):
    """A model folder, and minicons with it."""
    minicons = pytest.importorskip(
        "minicons.scorer", reason="the agreement with minicons needs `pip install minicons`"
    )
    folder = tmp_path_factory.mktemp("minicons") / "llama"
    save_llama(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return folder, minicons.IncrementalLMScorer(str(folder), "cpu")


def spaces_alone(tokenizer, vocab_size: int) -> np.ndarray:
    return np.array([tokenizer.id_to_token(number).startswith("Ġ") for number in range(vocab_size)])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("corrected", [False, True])
def test_word_scores_are_those_of_minicons(scorer, corrected: bool, tmp_path, monkeypatch) -> None:
    """The correction of minicons counts only the tokens with a leading space as word beginnings.

    Ours also counts other whitespace and the end of the text.
    """
    folder, model = scorer
    monkeypatch.setattr("lmcore.scoring.engine.word_beginnings", spaces_alone)
    table = items(SENTENCES, {"bos": "prefix", "bow": True})
    theirs = model.word_score_tokenized(
        SENTENCES, bos_token=True, tokenize_function=str.split, bow_correction=corrected
    )
    path = save(score_items(folder, table), tmp_path / "tokens")
    (shared,) = shared_chunks(
        table, {"m": path}, same_tokenizers({"m": load_fast(folder)}), corrected=corrected
    )
    expected = [score for words in theirs for word, score in words if word != "<s>"]
    np.testing.assert_allclose(-shared.words["m"].surprisal * math.log(2), expected, atol=2e-4)


def test_items_of_random_lengths_give_the_same_in_chunks(tmp_path, monkeypatch) -> None:
    tokenizer = save_tokenizer(tmp_path / "one")
    rows = [
        {
            "item": f"i/{n:02d}",
            "option": 0,
            "variant": "",
            "group": "g",
            "context": "",
            "target": "a b c " * (n + 1),
            "gold": True,
        }
        for n in range(6)
    ]
    table = items_table(rows, {"bos": "prefix"})
    rng = np.random.default_rng(0)
    tables = [tokens_of(table, lambda draw, before, word: -float(rng.random())) for _ in range(2)]
    whole = {name: save(tokens, tmp_path / name) for name, tokens in zip("ab", tables)}
    one, _ = compare_on_same_text(
        table, whole, {"a": tokenizer, "b": tokenizer}, corrected=False, confidence=0.95
    )
    monkeypatch.setattr("lmcore.analysis.shared_chunks.CHUNK_ROWS", 1)
    parts = {}
    for name, tokens in zip("ab", tables):
        for number in range(6):
            item = tokens.filter(
                pa.compute.equal(tokens["item"].cast(pa.string()), f"i/{number:02d}")
            )
            save(item, tmp_path / f"{name}-{number}")
            (tmp_path / f"{name}-parts").mkdir(exist_ok=True)
            (tmp_path / f"{name}-{number}" / "part-00000.parquet").rename(
                tmp_path / f"{name}-parts" / f"part-{number:05d}.parquet"
            )
        parts[name] = tmp_path / f"{name}-parts"
    many, _ = compare_on_same_text(
        table, parts, {"a": tokenizer, "b": tokenizer}, corrected=False, confidence=0.95
    )
    assert many["tokens"]["a"]["b"]["logprob"] == pytest.approx(one["tokens"]["a"]["b"]["logprob"])
    assert many["words"]["models"]["a"] == pytest.approx(one["words"]["models"]["a"])


@pytest.mark.parametrize("n_parts", [1, 4, 9])
def test_a_text_in_several_shards_stays_together(tmp_path, monkeypatch, n_parts: int) -> None:
    monkeypatch.setattr("lmcore.analysis.shared_chunks.CHUNK_ROWS", 1)
    table = items_of({"a": [("", "one two three four five six")], "b": [("", "one two")]})
    write(table, ITEMS, tmp_path / "items.parquet")
    tokens = tokens_of(table, lambda draw, before, word: -float(len(word)))
    tokenizer = {"m": save_tokenizer(tmp_path / "one")}
    paths = {"m": save(tokens, tmp_path / "m", n_parts)}
    settings = {"corrected": False, "confidence": 0.95}
    found, _ = compare_on_same_text(tmp_path / "items.parquet", paths, tokenizer, **settings)
    words = found["words"]
    assert words["n_words"] == 8 and words["n_items"] == 2
    n_letters = len("onetwothreefourfivesixonetwo")
    expected = n_letters / math.log(2) / 8
    assert words["models"]["m"]["surprisal_per_word"] == pytest.approx(expected)
