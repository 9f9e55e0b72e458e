"""Our log-probs and decisions against lm-eval's own tasks.

Every suite is compared with every tokenizer.
"""

import itertools
import math

import pytest

from lmcore.suites.declare import TASKS
from tests.agreement.ours import build, by_lmcore, write_source
from tests.agreement.samples import ENDINGS, PASSAGES, REVIEWS, SUITES

FRIENDLY = ["adds_nothing", "no_bos", "adds_bos", "prefix_space", "words", "added_token", "gpt2"]
DECISIONS = {"acc": "accuracy", "acc_norm": "accuracy_per_char"}  # {lm-eval's metric: ours}


def assert_agree(ours, samples) -> None:
    """Assert that the sums are the same within 1e-4 nats, and the decisions the same."""
    assert len(ours.logprobs) == len(samples)
    for logprobs, sample in zip(ours.logprobs, samples):
        # the relative tolerance is for documents of many thousand nats
        assert logprobs == pytest.approx(sample.logprobs, abs=1e-4, rel=1e-8)
    for theirs, name in DECISIONS.items():
        if theirs in samples[0].metrics:
            assert ours.scores[name] == [float(sample.metrics[theirs]) for sample in samples]


def both(suite: str, entry: dict, documents: list[dict], suffix: str, model, folder, theirs):
    """What lmcore says of the documents with this model folder, and `theirs` as it came."""
    entry = {**entry, "source": suite}
    items = build(suite, entry, write_source(folder / suite, documents, suffix).parent)
    return by_lmcore(model, suite, entry, items), theirs


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("name", FRIENDLY)
def test_lm_eval_gives_the_same_sums_and_decisions(suite, name, model, lm, peers, tmp_path):
    _, suffix, documents, entry = SUITES[suite]
    scorer = lm(name, **bos_once(suite, name))
    theirs = peers.by_lm_eval(scorer, SUITES[suite].definition, documents)
    entry = {**entry, "convention": "lm_eval"}
    assert_agree(*both(suite, entry, documents, suffix, model(name), tmp_path, theirs))


def bos_once(suite: str, name: str) -> dict:
    """Options of lm-eval's model with which a text begins with one BOS.

    To running text that has a BOS already, lm-eval adds another one (lm-eval #3333) unless it is
    told not to.
    """
    adds_second = suite == "wikitext2" and name in ("adds_bos", "words")
    return {"add_bos_token": False} if adds_second else {}


@pytest.mark.parametrize("suite", ["swag", "lambada_openai", "copa", "blimp"])
@pytest.mark.parametrize("name", ["adds_bos", "appends_eos", "adds_nothing"])
def test_lm_eval_without_special_tokens_is_the_convention_of_babylm2024(
    suite, name, model, lm, peers, tmp_path
):
    _, suffix, documents, entry = SUITES[suite]
    theirs = peers.by_lm_eval(lm(name, add_bos_token=False), SUITES[suite].definition, documents)
    entry = {**entry, "convention": "babylm2024"}
    assert_agree(*both(suite, entry, documents, suffix, model(name), tmp_path, theirs))


def test_lm_eval_per_byte_and_mutual_information_decide_alike(model, lm, peers, tmp_path):
    metrics = [{"metric": name} for name in ("acc", "acc_norm", "acc_bytes", "acc_mutual_info")]
    theirs = peers.by_lm_eval(lm("adds_bos"), "swag/swag.yaml", ENDINGS, metric_list=metrics)
    entry = {"convention": "lm_eval", "bos": "prefix", "ending_alone": True}
    ours, _ = both("swag", entry, ENDINGS, "parquet", model("adds_bos"), tmp_path, theirs)
    further = {"acc_bytes": "accuracy_per_byte", "acc_mutual_info": "accuracy_pmi"}
    for their_name, our_name in {**DECISIONS, **further}.items():
        assert ours.scores[our_name] == [sample.metrics[their_name] for sample in theirs]


def apart_and_asked(items, documents: list[dict]) -> tuple[list[dict], list[dict]]:
    """The documents that are no items, and the others, by the numbers in the items' ids."""
    numbers = {int(item.split("/")[1]) for item in items["item"].to_pylist()}
    apart = [document for n, document in enumerate(documents) if n not in numbers]
    return apart, [documents[n] for n in sorted(numbers)]


ANSWERED = [suite for suite in SUITES if TASKS[suite].kind in ("choices", "completion")]
ANSWERED.remove("lambada_standard")  # of one document alone


@pytest.mark.parametrize("suite", ANSWERED)
@pytest.mark.parametrize("name", ["adds_bos", "no_bos", "words"])
def test_lm_eval_worked_example_is_the_same_text(suite, name, model, lm, peers, tmp_path):
    definition, suffix, documents, entry = SUITES[suite]
    entry = {**entry, "convention": "lm_eval", "source": suite, "shots": 1}
    items = build(suite, entry, write_source(tmp_path / suite, documents, suffix).parent)
    apart, asked = apart_and_asked(items, documents)
    assert len(apart) == 1
    samples = peers.processed(definition, apart)
    few = {"num_fewshot": 1, "fewshot_config": {"sampler": "first_n", "samples": samples}}
    theirs = peers.by_lm_eval(lm(name), definition, asked, **few)
    assert_agree(by_lmcore(model(name), suite, entry, items), theirs)


def test_lm_eval_few_shot_prompt_of_reviews_is_the_same_text(model, lm, peers, tmp_path):
    entry = {"shots": 2, "convention": "lm_eval"}
    items = build("sst2", entry, write_source(tmp_path / "sst2", REVIEWS, "arrow").parent)
    ours = by_lmcore(model("adds_bos"), "sst2", entry, items)
    apart, asked = apart_and_asked(items, REVIEWS)
    first_context = items["context"][0].as_py()
    apart.sort(key=lambda review: first_context.index(review["sentence"]))
    few = {"num_fewshot": 2, "fewshot_config": {"sampler": "first_n", "samples": apart}}
    assert {shot["label"] for shot in apart} == {0, 1}
    assert_agree(ours, peers.by_lm_eval(lm("adds_bos"), "glue/sst2/default.yaml", asked, **few))


OWN = {
    "pairs": [{"good": "She sings.", "bad": "She sing.", "context": "Who sings?"}],
    "choices": [
        {"context": ["So Ann", "So Eve"], "options": ["won the café.", "won the café."], "gold": 1}
    ],
    "completion": [
        {"context": "He looked at the", "target": "sea and the  ships."},
        {"context": "so\n", "target": "naïve"},
    ],
    "text": [{"text": "Once upon a time.\n\nThe end "}, {"text": " é"}],
}


@pytest.mark.parametrize("kind", OWN)
@pytest.mark.parametrize("name", FRIENDLY)
def test_lm_eval_gives_the_same_sums_for_suites_of_ones_own(kind, name, model, lm, tmp_path):
    from lm_eval.api.instance import Instance

    path = write_source(tmp_path, OWN[kind], "jsonl") / "documents.jsonl"
    entry = {"kind": kind, "path": str(path), "convention": "lm_eval"}
    items = build("mine", entry, tmp_path)
    texts = [(row["context"], row["target"]) for row in items.to_pylist()]
    requests = [Instance("loglikelihood", {}, text, 0) for text in texts]
    theirs = [logprob for logprob, _ in lm(name).loglikelihood(requests)]
    ours = by_lmcore(model(name), "mine", entry, items).logprobs
    assert list(itertools.chain(*ours)) == pytest.approx(theirs, abs=1e-4)


def test_lm_eval_metrics_of_wikitext_are_the_same_numbers(model, lm, peers, tmp_path):
    _, suffix, documents, _ = SUITES["wikitext2"]
    samples = peers.by_lm_eval(lm("adds_nothing"), SUITES["wikitext2"].definition, documents)
    entry, folder = {"convention": "lm_eval"}, model("adds_nothing")
    ours, _ = both("wikitext2", entry, documents, suffix, folder, tmp_path, samples)

    def rate(name: str) -> float:
        """Nats per word or byte, of all documents."""
        pairs = [sample.metrics[name] for sample in samples]
        return -sum(logprob for logprob, _ in pairs) / sum(weight for _, weight in pairs)

    per_word, per_byte = math.exp(rate("word_perplexity")), math.exp(rate("byte_perplexity"))
    bits_per_byte = rate("bits_per_byte") / math.log(2)
    assert ours.metrics["word_perplexity"] == pytest.approx(per_word, rel=1e-5)
    assert ours.metrics["byte_perplexity"] == pytest.approx(per_byte, rel=1e-5)
    assert ours.metrics["bits_per_byte"] == pytest.approx(bits_per_byte, rel=1e-6)


def test_lm_eval_windows_of_a_long_text_are_the_same(lm, peers, tmp_path):
    from tests.agreement.conftest import save_model

    save_model(tmp_path / "short", "short", max_position_embeddings=64)
    sentences = []
    for suite in SUITES.values():
        for document in suite.documents:
            sentences += [value for value in document.values() if isinstance(value, str)]
    documents = [{"page": " ".join(sentences[:n])} for n in (1, 9, len(sentences))]
    scorer = peers.harness(tmp_path / "short")
    theirs = peers.by_lm_eval(scorer, SUITES["wikitext2"].definition, documents)
    entry, folder = {"convention": "lm_eval"}, tmp_path / "short"
    ours, _ = both("wikitext2", entry, documents, "parquet", folder, tmp_path, theirs)
    their_logprobs = [sample.logprobs[0] for sample in theirs]
    assert [row[0] for row in ours.logprobs] == pytest.approx(their_logprobs, rel=1e-6)
    assert ours.metrics["n_windowed"] == 2
    assert len(ours.tokens) > 9 * 64


def test_lm_eval_cuts_otherwise_where_a_window_ends_within_the_target(peers, tmp_path):
    """The difference that lmcore.suites.conventions describes.

    lm-eval has one window that ends with the target. lmcore scores the first tokens of the target
    in the window before. The model has 64 positions, so a window ends at every 64th input.
    """
    from lm_eval.api.instance import Instance

    from tests.agreement.conftest import save_model

    save_model(tmp_path / "short", "short", max_position_embeddings=64)
    scorer, target = peers.harness(tmp_path / "short"), " looked at the ships and the sea."
    words = (PASSAGES[0]["text"] + " ") * 9
    contexts = [words[:n].strip() for n in range(60, 260) if words[n] == " "]
    requests = [Instance("loglikelihood", {}, (context, target), 0) for context in contexts]
    documents = [{"context": context, "target": target} for context in contexts]
    path = write_source(tmp_path, documents, "jsonl") / "documents.jsonl"
    entry = {"kind": "completion", "path": str(path), "convention": "lm_eval"}
    ours = by_lmcore(tmp_path / "short", "mine", entry, build("mine", entry, tmp_path)).logprobs
    theirs = [logprob for logprob, _ in scorer.loglikelihood(requests)]
    within, across = [], []  # differences where the target lies in one window, and in two
    for context, their_logprob, (our_logprob,) in zip(contexts, theirs, ours, strict=True):
        context_ids, target_ids = scorer._encode_pair(context, target)
        # the inputs that predict the target
        first, last = len(context_ids) - 1, len(context_ids) + len(target_ids) - 2
        differences = within if first // 64 == last // 64 else across
        differences.append(abs(our_logprob - their_logprob))
    assert len(within) > 9
    assert len(across) > 4
    assert max(within) < 1e-4
    assert min(across) > 1e-3
    assert max(across) > 0.1


def test_lm_eval_context_longer_than_the_window_is_cut_alike(peers, tmp_path):
    from tests.agreement.conftest import save_model

    save_model(tmp_path / "short", "short", max_position_embeddings=64)
    documents = [
        {"text": "She looked at the ships. " * n + PASSAGES[1]["text"]} for n in (1, 7, 20)
    ]
    scorer = peers.harness(tmp_path / "short")
    theirs = peers.by_lm_eval(scorer, "lambada/lambada_openai.yaml", documents)
    entry, folder = {"convention": "lm_eval"}, tmp_path / "short"
    ours, _ = both("lambada_openai", entry, documents, "jsonl", folder, tmp_path, theirs)
    assert_agree(ours, theirs)
    assert ours.metrics["n_windowed"] == 2
