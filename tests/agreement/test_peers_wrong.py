"""Where a peer is wrong, lmcore does not follow it.

Each test shows what the peer does, and that lmcore gives what the definition says. The measure is
the model's own log-softmax over the ids that the text should have, added up by hand.
"""

import pyarrow as pa
import pytest
import torch

from lmcore.errors import InputError
from lmcore.models.load import load_model
from lmcore.tables import items_table
from tests.agreement.ours import build, by_lmcore, write_source
from tests.agreement.samples import PASSAGES, SUITES
from tests.lmcore.scored_items import score_items


def item_of(context: str, target: str, bos: str) -> pa.Table:
    """The items table of one text."""
    row = {
        "item": "i",
        "option": 0,
        "variant": "",
        "group": "g",
        "context": context,
        "target": target,
        "gold": True,
    }
    return items_table([row], {"bos": bos})


def scored(model, context: str, target: str, bos: str) -> tuple[float, list[int]]:
    """The log-prob and the ids of a target, as lmcore's engine gives them."""
    tokens = score_items(model, item_of(context, target, bos)).to_pylist()
    targets = [token for token in tokens if token["is_target"]]
    return sum(token["logprob"] for token in targets), [token["next_id"] for token in targets]


def by_hand(model, context_ids: list[int], target_ids: list[int]) -> float:
    """log p(target | context) in nats: the model's own logits, with the log-softmax in float64."""
    ids = torch.tensor([context_ids + target_ids])
    with torch.inference_mode():
        logprobs = torch.log_softmax(load_model(model)(input_ids=ids).logits[0].double(), -1)
    return sum(
        logprobs[len(context_ids) - 1 + i, token].item() for i, token in enumerate(target_ids)
    )


def requests(*pairs: tuple[str, str]) -> list:
    """lm-eval's requests for the log-probs of (context, target)."""
    from lm_eval.api.instance import Instance

    return [Instance("loglikelihood", {}, pair, number) for number, pair in enumerate(pairs)]


def test_lm_eval_scores_the_eos_that_the_tokenizer_appends_instead_of_the_word(
    model, lm, peers, tmp_path
):
    folder, theirs = model("appends_eos"), lm("appends_eos")
    context, target = PASSAGES[0]["text"].rsplit(" ", 1)
    context_ids, target_ids = theirs._encode_pair(context, " " + target)
    # the context ends with </s>, and of the target only </s> is new
    assert context_ids[-1] == 2
    assert target_ids[-1] == 2
    plain = lm("adds_bos")  # the same model and vocabulary; this tokenizer appends nothing
    right_context, right_target = plain._encode_pair(context, " " + target)
    logprob, ids = scored(folder, context, " " + target, "tokenizer")
    assert ids == right_target
    assert 2 not in ids
    assert logprob == pytest.approx(by_hand(folder, right_context, right_target), abs=1e-4)
    their_logprob, _ = theirs.loglikelihood(requests((context, " " + target)))[0]
    assert their_logprob != pytest.approx(logprob, abs=0.1)


@pytest.mark.parametrize("suite", ["swag", "lambada_openai", "copa", "piqa"])
def test_ours_is_the_same_with_and_without_an_appended_eos(suite, model, tmp_path):
    entry = {"convention": "lm_eval", "source": suite}
    folder = write_source(tmp_path / suite, SUITES[suite].documents, SUITES[suite].suffix)
    items = build(suite, entry, folder.parent)
    appended = by_lmcore(model("appends_eos"), suite, entry, items)
    plain = by_lmcore(model("adds_bos"), suite, entry, items)
    assert appended.logprobs == plain.logprobs
    assert appended.scores == plain.scores


def test_lm_eval_crashes_where_a_token_spans_the_end_of_the_context(model, lm):
    folder, theirs = model("adds_nothing"), lm("adds_nothing")
    whole, before = theirs.tok_encode("The captain"), theirs.tok_encode("The")
    assert len(whole) == len(before) + 1  # " captain" is one token
    assert theirs._encode_pair("The capt", "ain")[1] == []
    with pytest.raises(AssertionError):
        theirs.loglikelihood(requests(("The capt", "ain")))
    logprob, ids = scored(folder, "The capt", "ain", "prefix")
    assert ids == whole[-1:]  # the token that ends in the target is the target's
    assert logprob == pytest.approx(by_hand(folder, [1, *before], ids), abs=1e-4)


def test_lm_eval_puts_bos_before_running_text_that_has_one(model, lm, peers, tmp_path):
    _, suffix, documents, _ = SUITES["wikitext2"]
    entry = {"convention": "lm_eval", "source": "wikitext2"}
    folder = model("adds_bos")
    sources = write_source(tmp_path / "wikitext2", documents, suffix).parent
    items = build("wikitext2", entry, sources)
    ours = by_lmcore(folder, "wikitext2", entry, items)
    theirs = peers.by_lm_eval(lm("adds_bos"), SUITES["wikitext2"].definition, documents)
    for number, text in enumerate(items["target"].to_pylist()):
        ids = lm("adds_bos").tok_encode(text)
        # lm-eval adds the prefix token to ids that begin with it, and so scores <s> after <s>
        assert ids[0] == 1
        with_second_bos, right = by_hand(folder, [1], ids), by_hand(folder, ids[:1], ids[1:])
        assert theirs[number].logprobs[0] == pytest.approx(with_second_bos, abs=1e-3)
        assert ours.logprobs[number][0] == pytest.approx(right, abs=1e-3)


def test_lm_eval_cache_of_logits_mixes_up_windows_of_a_text_that_repeats_itself(peers, tmp_path):
    from lm_eval.api.instance import Instance

    from tests.agreement.conftest import save_model

    save_model(tmp_path / "short", "short", max_position_embeddings=64)
    texts = [SUITES["wikitext2"].documents[0]["page"].strip() * n for n in (1, 3)]
    instances = [Instance("loglikelihood_rolling", {}, (text,), 0) for text in texts]
    with_cache = peers.harness(tmp_path / "short", logits_cache=True)
    without_cache = peers.harness(tmp_path / "short", logits_cache=False)
    one_by_one = [with_cache.loglikelihood_rolling([instance])[0] for instance in instances]
    together = with_cache.loglikelihood_rolling(instances)  # lm-eval's default, in one batch
    uncached = without_cache.loglikelihood_rolling(instances)
    ours = [scored(tmp_path / "short", "", text, "prefix")[0] for text in texts]
    assert ours == pytest.approx(uncached, rel=1e-6)
    assert ours == pytest.approx(one_by_one, rel=1e-6)
    assert together != pytest.approx(uncached, abs=0.1)


def test_lm_eval_fails_out_of_range_at_an_id_beyond_the_vocabulary(model, lm):
    text = "The cats<|endoftext|>"
    with pytest.raises((IndexError, RuntimeError), match="out of"):
        lm("added_token").loglikelihood(requests(("", text)))
    message = (
        r"item 'i' option 0: token 400 '<\|endoftext\|>' is not in the model's vocabulary; "
        "its ids are below 400"
    )
    with pytest.raises(InputError, match=message):
        scored(model("added_token"), "", text, "prefix")


def test_peers_count_a_tie_as_a_win_because_the_good_sentence_comes_first(
    model, lm, peers, tmp_path
):
    identical = [SUITES["blimp"].documents[-1]] * 2
    theirs = peers.by_lm_eval(lm("adds_nothing"), "blimp/_template_yaml", identical)
    assert [sample.metrics["acc"] for sample in theirs] == [1.0, 1.0]
    sources = write_source(tmp_path / "blimp", identical, "jsonl").parent
    for entry, value in (({"convention": "lm_eval"}, 1.0), ({}, 0.5), ({"ties": "loss"}, 0.0)):
        ours = by_lmcore(model("adds_nothing"), "blimp", entry, build("blimp", entry, sources))
        assert ours.scores["accuracy"] == [value, value]
        assert ours.metrics["n_ties"] == 2


def test_minicons_reports_the_first_token_as_zero_where_it_has_no_probability(model, peers):
    scorer = peers.minicons(model("adds_nothing"))
    text = "The cats annoy Tim."
    assert scorer.token_score([text])[0][0][1] == 0.0
    tokens = score_items(model("adds_nothing"), item_of("", text, "none"))
    assert tokens["position"][0].as_py() == 1
    assert max(tokens["logprob"].to_pylist()) < 0
