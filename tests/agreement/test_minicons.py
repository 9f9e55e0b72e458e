"""Every token's log-prob and rank against minicons.

The pipeline of BabyLM 2025 computes the same numbers as minicons.
"""

import pytest
import torch

from lmcore.models.load import load_model
from lmcore.tables import items_table
from tests.agreement.ours import build, by_lmcore, write_source
from tests.agreement.samples import DIALOGUE, ENDINGS, PAIRS, PASSAGES, SUITES
from tests.lmcore.scored_items import score_items

TEXTS = [pair["sentence_good"] for pair in PAIRS + DIALOGUE] + [
    passage["text"] for passage in PASSAGES
]
MODELS = ["adds_nothing", "adds_bos", "prefix_space", "words", "added_token", "gpt2"]


def rows_of(folder, texts: list[str], bos: str, **scoring) -> list[list[dict]]:
    """The rows of the tokens table that the engine gives, text by text."""
    row = {"option": 0, "variant": "", "group": "g", "context": "", "gold": True}
    rows = [{**row, "item": f"i/{n:04d}", "target": text} for n, text in enumerate(texts)]
    items = items_table(rows, {"bos": bos, **scoring})
    rows_by_item: dict[str, list[dict]] = {row["item"]: [] for row in rows}
    for token in score_items(folder, items).to_pylist():
        rows_by_item[token["item"]].append(token)
    return list(rows_by_item.values())


def assert_same_tokens(model, ours: list[dict], theirs: list[tuple[str, float, int]]) -> None:
    """Assert that log-probs and ranks are the same.

    `theirs` are (token, log-prob, rank), and begin with the first scored token. A rank may differ
    by the number of other logits that are within 1e-4 of the token's.
    """
    assert len(ours) == len(theirs)
    ids = [ours[0]["current_id"], *(row["next_id"] for row in ours)]
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([ids])).logits[0].double()
    for row, (_, logprob, rank), distribution in zip(ours, theirs, logits):
        assert row["logprob"] == pytest.approx(logprob, abs=1e-4)
        near = int(((distribution - distribution[row["next_id"]]).abs() < 1e-4).sum()) - 1
        assert abs(row["rank"] - rank) <= near
        assert row["rank"] == rank or near


@pytest.mark.parametrize("name", MODELS)
def test_minicons_gives_every_token_the_same_logprob_and_rank(name, model, peers):
    folder = model(name)
    adds_bos = name in ("adds_bos", "words")
    scorer = peers.minicons(folder)
    # where the tokenizer adds <s>, with `bos_token` it would stand there twice
    theirs = scorer.token_score(TEXTS, rank=True, bos_token=not adds_bos)
    for ours, tokens in zip(rows_of(folder, TEXTS, "prefix"), theirs):
        assert tokens[0][0] == "<s>"
        assert_same_tokens(scorer.model, ours, tokens[1:])


@pytest.mark.parametrize(
    "name", ["adds_nothing", "no_bos", "adds_bos", "prefix_space", "words", "gpt2"]
)
def test_minicons_default_is_the_convention_of_babylm2025(name, model, peers, tmp_path):
    """The sentence stands as it is, with the tokenizer's own special tokens.

    Its first token is scored only where a BOS precedes it.
    """
    entry = {"convention": "babylm2025", "source": "blimp"}
    documents = SUITES["blimp"].documents
    items = build("blimp", entry, write_source(tmp_path / "blimp", documents, "jsonl").parent)
    ours = by_lmcore(model(name), "blimp", entry, items)
    scorer = peers.minicons(model(name))
    for logprobs, pair in zip(ours.logprobs, documents):
        sentences = [pair["sentence_good"], pair["sentence_bad"]]
        theirs = scorer.sequence_score(sentences, reduction=lambda scores: scores.sum().item())
        assert logprobs == pytest.approx(theirs, abs=1e-4)


def test_minicons_conditional_score_is_that_of_an_ending_after_its_context(model, peers, tmp_path):
    entry = {"source": "swag"}
    items = build("swag", entry, write_source(tmp_path / "swag", ENDINGS, "parquet").parent)
    ours = by_lmcore(model("adds_nothing"), "swag", entry, items)
    scorer = peers.minicons(model("adds_nothing"))
    for logprobs, document in zip(ours.logprobs, ENDINGS):
        endings = [document[f"ending{number}"] for number in range(4)]
        contexts = [document["startphrase"]] * 4
        theirs = scorer.conditional_score(
            contexts, endings, reduction=lambda scores: scores.sum().item(), bos_token=True
        )
        assert logprobs == pytest.approx(theirs, abs=1e-4)


def test_minicons_must_be_told_to_switch_dropout_off_and_we_do_it(model, tmp_path):
    assert not load_model(model("gpt2")).training
    one, two = (rows_of(model("gpt2"), TEXTS[:2], "prefix") for _ in range(2))
    assert one == two


@pytest.mark.parametrize("way", ["within_word_l2r", "original"])
@pytest.mark.parametrize("name", ["bert", "roberta"])
def test_minicons_gives_every_token_of_a_masked_lm_the_same_logprob_and_rank(
    name, way, data, peers
):
    folder = data / "tiny_models" / name
    # minicons cuts off what the model does not see at once
    texts = [text for text in TEXTS if len(text) < 400]
    theirs = peers.masked_tokens(folder, texts, way)
    for ours, tokens in zip(rows_of(folder, texts, "none", masked=way), theirs, strict=True):
        logprobs, ranks = zip(*tokens, strict=True)
        assert [row["logprob"] for row in ours] == pytest.approx(list(logprobs), abs=1e-4)
        assert [row["rank"] for row in ours] == list(ranks)
