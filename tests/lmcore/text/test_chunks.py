import json

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from lmcore.corpus.documents import read_documents
from lmcore.errors import InputError
from lmcore.files import sha256
from lmcore.text.chunks import chunk_corpus, read_chunks, read_words
from lmcore.text.tokenizer import load_fast, save_tokenizer
from tests.lmcore.text.test_tokenizer import without_alphabet


@pytest.mark.parametrize("boundaries", ["<s>", None])
def test_chunks_and_tail_are_a_partition_of_the_stream(corpus, tokenizer, tmp_path, boundaries):
    counts = chunk_corpus(
        corpus, tokenizer, tmp_path / "c", seq_len=16, boundaries=boundaries, on_lost="fail"
    )
    fast = load_fast(tokenizer)
    for split in ("train", "dev"):
        stream = []
        documents = read_documents(corpus / f"{split}.parquet")
        for row in documents:
            stream += [1] * (boundaries is not None) + fast.encode(row["text"]).ids
        chunks = read_chunks(tmp_path / "c" / split)
        tail = json.loads((tmp_path / "c" / "tails.json").read_text())[split]
        assert chunks.dtype == np.int32 and chunks.shape[1] == 16
        assert chunks.ravel().tolist() + tail == stream
        assert counts[split] == {
            "tokens": len(stream),
            "chunks": len(chunks),
            "tail_tokens": len(tail),
            "lost_characters": 0,
            "words": sum(len(row["text"].split()) for row in documents),
        }
    assert json.loads((tmp_path / "c/counts.json").read_text()) == counts
    assert read_words(tmp_path / "c") == counts["train"]["words"] > 0


def test_read_words_of_chunks_without_counts_is_refused(tmp_path):
    (tmp_path / "counts.json").write_text('{"train": {"tokens": 3}}')
    with pytest.raises(InputError, match="no number of words in the train split; run the stage"):
        read_words(tmp_path)


def test_chunk_corpus_one_or_many_threads_give_equal_bytes(
    corpus, tokenizer, tmp_path, monkeypatch
):
    for name, parallel in (("a", "true"), ("b", "false")):
        monkeypatch.setenv("TOKENIZERS_PARALLELISM", parallel)
        chunk_corpus(
            corpus, tokenizer, tmp_path / name, seq_len=16, boundaries="<s>", on_lost="fail"
        )
    assert sha256(tmp_path / "a") == sha256(tmp_path / "b")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seq_len": 100_000}, "fewer than one chunk of seq_len 100000"),
        (
            {"boundaries": "<bos>"},
            "boundaries must be a token of the tokenizer or null, not '<bos>'",
        ),
        ({"on_lost": "ignore"}, "unknown on_lost 'ignore'"),
    ],
)
def test_chunk_corpus_bad_input_is_named_and_nothing_written(
    corpus, tokenizer, tmp_path, change, message
):
    with pytest.raises(InputError, match=message):
        chunk_corpus(
            corpus,
            tokenizer,
            tmp_path / "c",
            **{"seq_len": 16, "boundaries": "<s>", "on_lost": "fail", **change},
        )
    assert not (tmp_path / "c").exists()


def test_chunk_corpus_lost_characters_fail_by_name_or_are_counted(corpus, tmp_path):
    (tmp_path / "t").mkdir()
    save_tokenizer(without_alphabet(), tmp_path / "t")
    with pytest.raises(
        InputError, match="document 'book/txt/00000': the tokenizer cannot represent"
    ):
        chunk_corpus(
            corpus, tmp_path / "t", tmp_path / "c", seq_len=16, boundaries=None, on_lost="fail"
        )
    counts = chunk_corpus(
        corpus, tmp_path / "t", tmp_path / "c", seq_len=16, boundaries=None, on_lost="count"
    )
    assert counts["train"]["lost_characters"] > 100


@pytest.mark.parametrize("change", ["truncation", "padding"])
def test_chunk_corpus_takes_whole_documents_whatever_the_tokenizer_cuts(
    corpus, tokenizer, tmp_path, change
):
    """After a call with max_length, transformers writes truncation or padding to tokenizer.json."""
    settings = {"seq_len": 16, "boundaries": "<s>", "on_lost": "fail"}
    expected = chunk_corpus(corpus, tokenizer, tmp_path / "a", **settings)
    fast = load_fast(tokenizer)
    fast.enable_truncation(5) if change == "truncation" else fast.enable_padding(
        pad_token="<pad>", length=5000
    )
    (tmp_path / "t").mkdir()
    save_tokenizer(fast, tmp_path / "t")
    assert chunk_corpus(corpus, tmp_path / "t", tmp_path / "b", **settings) == expected
    assert np.array_equal(
        read_chunks(tmp_path / "a" / "train"), read_chunks(tmp_path / "b" / "train")
    )


def test_chunk_corpus_counts_what_an_unknown_token_stands_for(corpus, tmp_path):
    words = Tokenizer(models.WordLevel({"<unk>": 0, "the": 1}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    (tmp_path / "t").mkdir()
    save_tokenizer(words, tmp_path / "t")
    with pytest.raises(
        InputError, match="document 'book/txt/00000': the tokenizer cannot represent"
    ):
        chunk_corpus(
            corpus, tmp_path / "t", tmp_path / "c", seq_len=16, boundaries=None, on_lost="fail"
        )
    assert (
        chunk_corpus(
            corpus, tmp_path / "t", tmp_path / "c", seq_len=16, boundaries=None, on_lost="count"
        )["train"]["lost_characters"]
        > 100
    )


def test_chunk_corpus_text_that_cannot_be_encoded_is_named(corpus, tmp_path):
    words = Tokenizer(models.WordLevel({"the": 0}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    (tmp_path / "t").mkdir()
    save_tokenizer(words, tmp_path / "t")
    with pytest.raises(
        InputError,
        match="document 'book/txt/00000': the tokenizer cannot encode the text: WordLevel error",
    ):
        chunk_corpus(
            corpus, tmp_path / "t", tmp_path / "c", seq_len=16, boundaries=None, on_lost="count"
        )
