"""Characters that a tokenizer loses.

They are counted to the byte, and the tokens beside them stand where their characters are.
"""

import json

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from lmcore.analysis.same_text import compare_on_same_text
from lmcore.api import score
from lmcore.commands.validate import validate
from lmcore.explorations.surprisal import as_lines
from lmcore.folds.by_text import text_stats
from lmcore.folds.metrics import suite_metrics
from lmcore.tables import TOKENS, read, write
from lmcore.text.encoder import TextEncoder
from lmcore.text.token_losses import Losses
from lmcore.text.tokenizer import load_fast
from tests.lmcore.scored_items import score_items
from tests.lmcore.scoring.conftest import items, save_llama
from tests.lmcore.token_tables import fold

WORDS = ["na b naive café naïve ab ba nab"]


def bpe(pre, **options) -> Tokenizer:
    """A BPE that knows only the characters of WORDS."""
    tokenizer = Tokenizer(models.BPE(**options))
    tokenizer.pre_tokenizer = pre
    specials = ["<s>", "</s>", *([options["unk_token"]] if "unk_token" in options else [])]
    trainer = trainers.BpeTrainer(vocab_size=70, special_tokens=specials, show_progress=False)
    tokenizer.train_from_iterator(WORDS, trainer)
    return tokenizer


def save(tokenizer, folder):
    folder.mkdir(exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    names = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(names))
    return folder


def encode(tokenizer, folder, text):
    (found,) = TextEncoder(save(tokenizer, folder), 10_000, "prefix", "suite").encode(items([text]))
    return found


def losses(text):
    """(unknown bytes, dropped bytes) of the target."""
    if text.dropped_bytes is None:
        return 0, 0
    return int(text.unknown_bytes[text.is_target].sum()), int(
        text.dropped_bytes[text.is_target].sum()
    )


BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False)


@pytest.mark.parametrize(
    ("text", "n_dropped"),
    [
        ("naïve café", 0),
        ("naΩb ab", 1),  # one of the two bytes of Ω is also the second byte of é
        ("ŉ", 2),
        ("x\ny b", 3),
        (("na", "Ω ab"), 1),
        (("naΩ", " ab"), 0),
    ],
)
def test_bytes_without_a_token_are_counted_on_their_side(tmp_path, text, n_dropped):
    text = text if text != "ŉ" else "na ŉ"
    tokenizer = bpe(BYTES)
    assert losses(encode(tokenizer, tmp_path, text)) == (0, n_dropped)
    context, target = ("", text) if isinstance(text, str) else text
    pieces = tokenizer.encode(context + target).tokens
    if not context:
        # a character of a byte-level piece is a byte
        assert sum(map(len, pieces)) == len(target.encode()) - n_dropped


def test_tokens_behind_what_was_dropped_stand_where_their_characters_are(tmp_path):
    found = encode(bpe(BYTES), tmp_path, "naΩb ab")
    pieces = ["naΩb ab"[start:end] for start, end in zip(found.starts, found.ends, strict=True)]
    assert pieces == ["na", "Ω", "b", " ab"]
    characters = bpe(pre_tokenizers.Metaspace())
    found = encode(characters, tmp_path, "naΩΩΩb ab")  # nab is one token, with a gap
    pieces = ["naΩΩΩb ab"[start:end] for start, end in zip(found.starts, found.ends, strict=True)]
    assert pieces[-2:] == ["b", " ab"] or pieces == ["naΩΩΩb", " ab"]
    assert losses(found) == (0, 6)


def test_token_behind_what_was_dropped_belongs_to_its_own_side(tmp_path):
    """By the library's offsets, the last b would stand one character earlier, in the context."""
    found = encode(bpe(BYTES), tmp_path, ("naŉ", "b"))
    assert found.is_target.tolist()[-1] and losses(found) == (0, 0)


@pytest.mark.parametrize("fuse", [True, False])
def test_unknown_token_stands_for_its_characters(tmp_path, fuse):
    found = encode(
        bpe(pre_tokenizers.Metaspace(), unk_token="<unk>", fuse_unk=fuse), tmp_path, "naΩΩb ab"
    )
    assert losses(found) == (4, 0)
    assert int((found.unknown_bytes > 0).sum()) == (1 if fuse else 2)


def test_unknown_token_that_the_text_itself_names_is_none(tmp_path):
    found = encode(bpe(pre_tokenizers.Metaspace(), unk_token="<unk>"), tmp_path, "na <unk> ab")
    assert losses(found) == (0, 0) and found.dropped_bytes is None


@pytest.mark.parametrize(
    "model",
    [
        models.WordLevel({"[UNK]": 0, "<s>": 1, "</s>": 2, "ab": 3}, unk_token="[UNK]"),
        models.WordPiece({"[UNK]": 0, "<s>": 1, "</s>": 2, "ab": 3}, unk_token="[UNK]"),
        models.Unigram([("[UNK]", 0.0), ("<s>", 0.0), ("</s>", 0.0), ("ab", -1.0)], unk_id=0),
    ],
)
def test_unknown_words_of_every_model_are_counted(tmp_path, model):
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    found = encode(tokenizer, tmp_path, "ab Ωμέγα ab")
    assert losses(found) == (10, 0)


def test_byte_fallback_says_everything(tmp_path):
    vocabulary = {f"<0x{byte:02X}>": byte for byte in range(256)} | {
        "<s>": 256,
        "</s>": 257,
        "a": 258,
        "▁": 259,
    }
    tokenizer = Tokenizer(models.BPE(vocabulary, [], byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    found = encode(tokenizer, tmp_path, "a Ω\na")
    assert len(found.ids) == 1 + 6 and found.dropped_bytes is None
    assert not Losses(tokenizer).drops


@pytest.mark.parametrize(
    "normalizer",
    [normalizers.NFC(), normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents()])],
)
def test_what_a_normaliser_takes_is_not_lost(tmp_path, normalizer):
    tokenizer = Tokenizer(
        models.WordLevel({"[UNK]": 0, "<s>": 1, "</s>": 2, "cafe": 3, "café": 4}, unk_token="[UNK]")
    )
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, pre_tokenizers.Split("-", "removed")
    assert losses(encode(tokenizer, tmp_path, "cafe\u0301")) == (0, 0)


def test_what_a_pre_tokenizer_removes_is_dropped(tmp_path):
    tokenizer = Tokenizer(
        models.WordLevel({"[UNK]": 0, "<s>": 1, "</s>": 2, "ab": 3}, unk_token="[UNK]")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split("—", "removed")]
    )
    assert losses(encode(tokenizer, tmp_path, "ab—ab ab")) == (0, 3)


SETTINGS = {
    "kind": "text",
    "ties": "half",
    "top_k": 10,
    "vocab_size": 300,
    "window": 512,
    "source": "x",
}


def scores(table, tokens):
    return {row["metric"]: row for row in fold(table, tokens, **SETTINGS).to_pylist()}


@pytest.mark.parametrize(
    ("unknown", "n_scored", "counts"), [(None, 14, (None, 9.0)), ("<unk>", 13, (5.0, None))]
)
def test_bits_per_byte_divide_by_what_was_scored(tmp_path, unknown, n_scored, counts):
    """Ωμέγα has ten bytes.

    A tokenizer without an unknown token knows one of them. An unknown token stands for all ten.
    """
    save_llama(tmp_path)
    tokenizer = Tokenizer(
        models.BPE(**({"unk_token": unknown, "fuse_unk": False} if unknown else {}))
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace() if unknown else BYTES
    specials = ["<pad>", "<s>", "</s>", *([unknown] if unknown else [])]
    tokenizer.train_from_iterator(
        ["The cat sat. naïve café"],
        trainers.BpeTrainer(vocab_size=90, special_tokens=specials, show_progress=False),
    )
    save(tokenizer, tmp_path)
    table = items(["The Ωμέγα cat sat.", "The cat"])
    tokens = score_items(tmp_path, table)
    stats = text_stats(table, tokens, "x")
    assert stats.n_bytes[0].tolist() == [n_scored, 7]
    rows = fold(table, tokens, **SETTINGS).to_pylist()
    per_byte = rows_of(rows, "surprisal_per_byte")
    assert [row["weight"] for row in per_byte] == [n_scored, 7]
    assert per_byte[0]["value"] == pytest.approx(
        -stats.logprob[0, 0] / 0.6931471805599453 / n_scored
    )
    assert not rows_of(rows, "surprisal_per_word")
    for name, count in zip(("unknown", "dropped_bytes"), counts, strict=True):
        values = [row["value"] for row in rows_of(rows, name)]
        assert values == ([] if count is None else [count, 0.0])


def rows_of(rows, metric):
    """The rows of one metric."""
    return [row for row in rows if row["metric"] == metric]


def test_suite_that_is_said_whole_has_no_counts_and_no_columns(tmp_path):
    save_llama(tmp_path)
    table = items(["The cats annoy Tim."])
    tokens = score_items(tmp_path, table)
    assert "dropped_bytes" not in tokens.column_names
    assert not {"unknown", "dropped_bytes"} & set(
        scores(table, tokens)
    ) and "surprisal_per_word" in scores(table, tokens)


def test_bos_that_a_text_brings_is_not_among_its_bytes(tmp_path):
    save_llama(tmp_path)
    table = items(["<s>The cats", "The cats"])
    assert text_stats(table, score_items(tmp_path, table), "x").n_bytes[0].tolist() == [8, 8]


def lossy_model(folder):
    """A random Llama with a byte-level tokenizer that knows only the bytes of WORDS."""
    save_llama(folder)
    tokenizer = bpe(BYTES)
    save(tokenizer, folder)
    return folder


def test_words_without_a_token_have_a_row(tmp_path):
    text = "na ŉ café Ω x ba"
    frame = score(lossy_model(tmp_path), [text], by="word")
    assert frame["word"].tolist() == text.split()
    assert [
        text[start:end].strip() for start, end in zip(frame["start"], frame["end"], strict=True)
    ] == text.split()
    assert frame.attrs == {"is_masked": False, "n_bytes": 15, "n_unknown": 0, "n_dropped_bytes": 4}
    splits = bpe(pre_tokenizers.WhitespaceSplit())
    frame = score(save(splits, tmp_path), [text, "ab Ω"], by="word")
    assert (
        frame["word"].tolist() == [*text.split(), "ab", "Ω"]
        and frame["text"].tolist() == [0] * 6 + [1] * 2
    )
    said = frame["surprisal"].notna().tolist()
    assert (
        said
        == [True, False, True, False, False, True, True, False]
        == frame["rank"].notna().tolist()
    )
    lines = list(as_lines(frame, [text, "ab Ω"], "jsonl"))
    assert json.loads(lines[1]) == {
        **{"text": 0, "start": 3, "end": 4, "word": "ŉ"},
        **dict.fromkeys(("probability", "surprisal", "rank", "entropy")),
    }
    assert list(as_lines(frame, [text, "ab Ω"], "table"))[-1].endswith("7 bytes without a token")
    assert "ŉ" in "".join(as_lines(frame, [text, "ab Ω"], "colour"))


def test_first_word_that_nothing_precedes_has_a_row_without_figures(tmp_path):
    save_llama(tmp_path)
    frame = score(tmp_path, ["cats annoy Tim"], by="word", bos="none")
    assert frame["word"].tolist() == ["cats", "annoy", "Tim"]


@pytest.mark.parametrize(
    "normalizer",
    [normalizers.NFC(), normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents()])],
)
def test_word_is_not_cut_where_the_normaliser_strips_an_accent(tmp_path, normalizer):
    folder = lossy_model(tmp_path)
    tokenizer = bpe(BYTES)
    tokenizer.normalizer = normalizer
    text = "na cafe\u0301 nai\u0308ve"
    frame = score(save(tokenizer, folder), [text], by="word")
    assert frame["word"].tolist() == text.split()
    assert frame["end"].tolist()[1] == text.index(" nai") and frame["end"].tolist()[-1] == len(text)


def test_words_that_a_model_does_not_say_are_left_out_for_all(tmp_path):
    """Of the five words, one tokenizer drops the Ω and another does not know it.

    Such a tokenizer would pay too little for this word.
    """
    text = "na Ω b ab ba"
    table = items([text])
    folders = {
        "drops": lossy_model(tmp_path / "a"),
        "whole": tmp_path / "b",
        "unknown": lossy_model(tmp_path / "c"),
    }
    save_llama(folders["whole"])
    save(bpe(pre_tokenizers.Metaspace(), unk_token="<unk>"), folders["unknown"])
    tokens = {}
    for name, folder in folders.items():
        tokens[name] = tmp_path / f"{name}.parquet"
        write(score_items(folder, table), TOKENS, tokens[name])
    tokenizers = {name: load_fast(folder) for name, folder in folders.items()}
    found, _ = compare_on_same_text(table, tokens, tokenizers, corrected=False, confidence=0.95)
    assert (
        found["words"]["n_words"],
        found["words"]["n_words_dropped"],
        found["words"]["n_bytes"],
    ) == (4, 1, len("na b ab ba"))


def test_parts_with_and_without_losses_are_read_as_one(tmp_path):
    folder = lossy_model(tmp_path / "m")
    for number, text in enumerate(["na b", "na Ω b"]):
        write(
            score_items(folder, items([text])),
            TOKENS,
            tmp_path / "t" / f"part-0000{number}.parquet",
        )
    for columns in (None, ["position"]):
        table = read(tmp_path / "t", TOKENS, columns)
        assert table["dropped_bytes"].to_pylist() == [0, 0, 0, 0, 1, 0]
    write(score_items(folder, items(["na b"])), TOKENS, tmp_path / "u" / "part-00000.parquet")
    assert "dropped_bytes" not in read(tmp_path / "u", TOKENS).column_names


def test_validate_says_what_the_tokenizer_does_not_say(tmp_path):
    page = validate(items(["na b", "na ŉ b"]), lossy_model(tmp_path), None)
    assert "texts with bytes without a token (2 in all): 1: i/0001 option 0" in page
    assert (
        "texts with unknown tokens, which stand for characters without saying which (0 in all): 0"
        in page
    )


def test_metrics_count_what_a_tokenizer_does_not_say(tmp_path):
    table = items(["na b", "na ŉ b"])
    tokens = score_items(lossy_model(tmp_path), table)
    values, _ = suite_metrics(fold(table, tokens, **SETTINGS), 0.95)
    assert values["n_dropped_bytes"] == 2 and "n_unknown" not in values
    whole, _ = suite_metrics(
        fold(items(["na b"]), score_items(tmp_path, items(["na b"])), **SETTINGS), 0.95
    )
    assert "n_dropped_bytes" not in whole
