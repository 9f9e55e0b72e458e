"""The masked LM: what it says of a word, by hand and by transformers, and how it is trained."""

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from transformers import BertForMaskedLM

from lmcore.corpus.documents import DOCUMENTS
from lmcore.errors import InputError
from lmcore.files import sha256
from lmcore.judging.masked_lm import MaskedLM, _chunks, _mask, finetune_judge, pseudo_logprobs
from tests.lmcore.tiny_bert import VOCABULARY, save_bert

PLACES = [
    ("the old man walked to the", " sea", "."),
    ("she gave him a", " sailors", "."),
    ("", "He", ""),
    ("nobody knew the", " Captain", ""),
]
RECIPE = {
    "steps": 200,
    "batch_size": 8,
    "seq_len": 24,
    "mask_share": 0.2,
    "lr": 0.003,
    "warmup_steps": 20,
    "weight_decay": 0.01,
    "accept_loss": 2.0,
    "threads": 1,
    "seed": 0,
}


@pytest.fixture(scope="module")
def sayings(tmp_path_factory) -> Path:
    """A corpus of two sentences, each repeated for a document.

    What surrounds a gap says what is missing.
    """
    folder = tmp_path_factory.mktemp("sayings")
    sentences = ["he read it twice.", "the captain looked at ships."]
    texts = [" ".join([sentences[n % 2]] * 12) for n in range(44)]
    for name, part in {"train": texts[:30], "dev": texts[30:]}.items():
        rows = [{"document": str(n), "group": "all", "text": text} for n, text in enumerate(part)]
        pq.write_table(pa.Table.from_pylist(rows, DOCUMENTS), folder / f"{name}.parquet")
    return folder


@pytest.fixture(scope="module")
def bert(tmp_path_factory) -> Path:
    return save_bert(tmp_path_factory.mktemp("bert"))


def test_pseudo_logprob_of_a_word_is_the_sum_over_its_pieces(tmp_path: Path) -> None:
    """Logits: 2 for sail, 1 for ##or, 0 for all others, wherever the piece stands."""
    judge = MaskedLM(save_bert(tmp_path, bias={"sail": 2.0, "##or": 1.0}))
    total = math.log(math.exp(2) + math.exp(1) + len(VOCABULARY) - 2)
    assert pseudo_logprobs(judge, PLACES, window=32, batch_size=2) == pytest.approx(
        [-total, 3 - 3 * total, -total, -total], abs=1e-5
    )


def test_pseudo_logprob_masks_the_piece_and_the_later_pieces_of_its_word(bert: Path) -> None:
    """sail ##or ##s: three passes, in which one, two and all three of the pieces cannot be seen."""
    model = BertForMaskedLM.from_pretrained(bert).eval()
    ids = [
        VOCABULARY.index(piece)
        for piece in ["[CLS]", "she", "gave", "him", "a", "sail", "##or", "##s", ".", "[SEP]"]
    ]
    expected = 0.0
    for first in (5, 6, 7):
        masked = torch.tensor([[4 if first <= n <= 7 else i for n, i in enumerate(ids)]])
        expected += torch.log_softmax(model(input_ids=masked).logits[0, first], -1)[
            ids[first]
        ].item()
    assert pseudo_logprobs(MaskedLM(bert), [PLACES[1]], window=32, batch_size=8) == pytest.approx(
        [expected], abs=1e-5
    )


def test_pseudo_logprobs_do_not_depend_on_batch_and_order(bert: Path) -> None:
    judge = MaskedLM(bert)
    found = pseudo_logprobs(judge, PLACES, window=32, batch_size=8)
    assert pseudo_logprobs(judge, PLACES[::-1], window=32, batch_size=1)[::-1] == pytest.approx(
        found, abs=1e-5
    )
    assert len({round(value, 4) for value in found}) == len(found)


def test_pseudo_logprob_of_a_long_context_is_that_of_its_end(bert: Path) -> None:
    """Window 8: [CLS], 4 pieces of context, the word, the full stop, [SEP]."""
    judge = MaskedLM(bert)
    long, short = (
        ("the man and the old man walked to the", " sea", "."),
        ("man walked to the", " sea", "."),
    )
    found = pseudo_logprobs(judge, [long, short], window=8, batch_size=2)
    assert found[0] == pytest.approx(found[1], abs=1e-6)
    assert found[0] != pytest.approx(
        pseudo_logprobs(judge, [long], window=32, batch_size=2)[0], abs=1e-4
    )


def test_pseudo_logprob_of_nothing_is_impossible_and_of_too_much_an_error(bert: Path) -> None:
    judge = MaskedLM(bert)
    assert pseudo_logprobs(
        judge, [("the old", "", "."), ("the", " ", ".")], window=32, batch_size=8
    ) == [-math.inf, -math.inf]
    with pytest.raises(InputError, match="the word 'sailors' has more pieces than the window of 4"):
        pseudo_logprobs(judge, [("the", " sailors", ".")], window=4, batch_size=8)


def test_finetune_gets_below_the_frequencies_and_repeats_bit_for_bit(
    bert: Path, sayings: Path, tmp_path: Path
) -> None:
    counts = [
        finetune_judge(bert, sayings, tmp_path / name, **RECIPE) for name in ("first", "second")
    ]
    assert counts[0] == counts[1] and sha256(tmp_path / "first") == sha256(tmp_path / "second")
    assert counts[0]["dev_loss"] < counts[0]["frequency_loss"] - 0.5 < counts[0]["dev_loss_before"]
    assert sorted(path.name for path in (tmp_path / "first").iterdir()) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert (
        MaskedLM(tmp_path / "first")
        .tokenizer.encode("the old man walked to the sea and looked")
        .tokens[1]
        == "the"
    )


def test_finetune_without_steps_keeps_the_weights(bert: Path, corpus: Path, tmp_path: Path) -> None:
    counts = finetune_judge(
        bert, corpus, tmp_path / "out", **{**RECIPE, "steps": 0, "accept_loss": 99}
    )
    assert counts["dev_loss"] == counts["dev_loss_before"]
    before, after = (
        BertForMaskedLM.from_pretrained(path).state_dict() for path in (bert, tmp_path / "out")
    )
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_finetune_that_stays_above_the_bar_fails_and_writes_nothing(
    bert: Path, corpus: Path, tmp_path: Path
) -> None:
    with pytest.raises(
        InputError,
        match=r"dev loss \d\.\d+ nats a masked piece after 1 steps; "
        r"a judge needs at most accept_loss 0\.5",
    ):
        finetune_judge(bert, corpus, tmp_path / "out", **{**RECIPE, "steps": 1, "accept_loss": 0.5})
    assert not (tmp_path / "out").exists()


def test_chunks_are_the_stream_of_pieces_between_specials(bert: Path, corpus: Path) -> None:
    chunks, words = _chunks(MaskedLM(bert), corpus / "dev.parquet", 24)
    assert (
        (chunks[:, 0] == 2).all() and (chunks[:, -1] == 3).all() and (words[:, [0, -1]] == -1).all()
    )
    assert [VOCABULARY[i] for i in chunks[0, 1:8]] == [
        "she",
        "gave",
        "him",
        "a",
        "letter",
        ",",
        "and",
    ]


def test_mask_takes_words_whole_at_the_share_and_never_specials() -> None:
    words = np.tile(np.array([-1, 0, 1, 1, 1, 2, 3, -1]), (2000, 1))
    masked = _mask(words, 0.25, np.random.default_rng(0))
    assert (
        not masked[:, [0, -1]].any()
        and (masked[:, 2] == masked[:, 3]).all()
        and (masked[:, 3] == masked[:, 4]).all()
    )
    assert masked[:, [1, 2, 5, 6]].mean() == pytest.approx(0.25, abs=0.02)
    assert (
        not (masked[:, 1] & masked[:, 2]).all()
        and _mask(words[:1], 0.0, np.random.default_rng(0)).sum() == 1
    )


@pytest.mark.parametrize(
    ("named", "message"), [({"mask_token": ""}, "its tokenizer has no mask token")]
)
def test_masked_lm_that_is_none_is_refused(tmp_path: Path, named: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        MaskedLM(save_bert(tmp_path, **named))
    with pytest.raises(InputError, match=r"no config\.json"):
        MaskedLM(tmp_path / "nowhere")
