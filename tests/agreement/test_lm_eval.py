"""Our log-probs and decisions against lm-eval's own tasks, suite by suite and tokenizer by tokenizer."""

import math

import pytest

from tests.agreement.ours import build, by_lmcore, write_source
from tests.agreement.samples import ENDINGS, PASSAGES, REVIEWS, SUITES

FRIENDLY = ["adds_nothing", "no_bos", "adds_bos", "prefix_space", "words", "added_token", "gpt2"]
DECISIONS = {"acc": "accuracy", "acc_norm": "accuracy_per_char"}


def assert_agree(ours, samples) -> None:
    assert len(ours.logprobs) == len(samples)
    for logprobs, sample in zip(ours.logprobs, samples):
        assert logprobs == pytest.approx(
            sample.logprobs, abs=1e-4, rel=1e-8
        )  # the latter for documents of many thousand nats
    for theirs, name in DECISIONS.items():
        if theirs in samples[0].metrics:
            assert ours.scores[name] == [float(sample.metrics[theirs]) for sample in samples]


def both(suite: str, entry: dict, documents: list[dict], suffix: str, model, folder, theirs):
    entry = {**entry, "source": suite}
    items = build(suite, entry, write_source(folder / suite, documents, suffix).parent)
    return by_lmcore(model, suite, entry, items), theirs


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("name", FRIENDLY)
def test_lm_eval_gives_the_same_sums_and_decisions(suite, name, model, lm, peers, tmp_path):
    _, suffix, documents, entry = SUITES[suite]
    theirs = peers.by_lm_eval(
        lm(name, **bos_once(suite, name)), SUITES[suite].definition, documents
    )
    assert_agree(
        *both(
            suite,
            {**entry, "convention": "lm_eval"},
            documents,
            suffix,
            model(name),
            tmp_path,
            theirs,
        )
    )


def bos_once(suite: str, name: str) -> dict:
    """Of running text lm-eval adds BOS before what has one already (lm-eval #3333), unless it is told not to."""
    return (
        {"add_bos_token": False} if suite == "wikitext2" and name in ("adds_bos", "words") else {}
    )


@pytest.mark.parametrize("suite", ["swag", "lambada_openai", "copa", "blimp"])
@pytest.mark.parametrize("name", ["adds_bos", "appends_eos", "adds_nothing"])
def test_lm_eval_without_special_tokens_is_the_convention_of_babylm2024(
    suite, name, model, lm, peers, tmp_path
):
    _, suffix, documents, entry = SUITES[suite]
    theirs = peers.by_lm_eval(lm(name, add_bos_token=False), SUITES[suite].definition, documents)
    assert_agree(
        *both(
            suite,
            {**entry, "convention": "babylm2024"},
            documents,
            suffix,
            model(name),
            tmp_path,
            theirs,
        )
    )


def test_lm_eval_per_byte_and_mutual_information_decide_alike(model, lm, peers, tmp_path):
    metrics = [{"metric": name} for name in ("acc", "acc_norm", "acc_bytes", "acc_mutual_info")]
    theirs = peers.by_lm_eval(lm("adds_bos"), "swag/swag.yaml", ENDINGS, metric_list=metrics)
    entry = {"convention": "lm_eval", "bos": "prefix", "ending_alone": True}
    ours, _ = both("swag", entry, ENDINGS, "parquet", model("adds_bos"), tmp_path, theirs)
    for theirs_name, name in {
        **DECISIONS,
        "acc_bytes": "accuracy_per_byte",
        "acc_mutual_info": "accuracy_pmi",
    }.items():
        assert ours.scores[name] == [sample.metrics[theirs_name] for sample in theirs]


def test_lm_eval_few_shot_prompt_is_the_same_text(model, lm, peers, tmp_path, monkeypatch):
    monkeypatch.setattr("lmcore.suites.tasks.sst2.N_PUBLISHED", len(REVIEWS))
    monkeypatch.setattr("lmcore.suites.tasks.sst2.MAX_SHOTS", 2)
    items = build(
        "sst2",
        {"shots": 2, "seed": 0, "convention": "lm_eval"},
        write_source(tmp_path / "sst2", REVIEWS, "arrow").parent,
    )
    ours = by_lmcore(model("adds_bos"), "sst2", {"convention": "lm_eval"}, items)
    left = [
        review
        for review in REVIEWS
        if any(
            context.endswith(review["sentence"] + QUESTION)
            for context in items["context"].to_pylist()
        )
    ]
    first = items["context"][0].as_py()
    shots = sorted(
        (review for review in REVIEWS if review not in left),
        key=lambda review: first.index(review["sentence"]),
    )
    few = {"num_fewshot": 2, "fewshot_config": {"sampler": "first_n", "samples": shots}}
    assert len(left) == 2 and {shot["label"] for shot in shots} == {0, 1}
    assert_agree(ours, peers.by_lm_eval(lm("adds_bos"), "glue/sst2/default.yaml", left, **few))


QUESTION = "\nQuestion: Is this sentence positive or negative?\nAnswer:"


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

    entry = {
        "kind": kind,
        "path": str(write_source(tmp_path, OWN[kind], "jsonl") / "documents.jsonl"),
        "convention": "lm_eval",
    }
    items = build("mine", entry, tmp_path)
    requests = [
        Instance("loglikelihood", {}, (row["context"], row["target"]), 0)
        for row in items.to_pylist()
    ]
    theirs = [logprob for logprob, _ in lm(name).loglikelihood(requests)]
    ours = by_lmcore(model(name), "mine", entry, items).logprobs
    assert [logprob for row in ours for logprob in row] == pytest.approx(theirs, abs=1e-4)


def test_lm_eval_metrics_of_wikitext_are_the_same_numbers(model, lm, peers, tmp_path):
    _, suffix, documents, _ = SUITES["wikitext2"]
    samples = peers.by_lm_eval(lm("adds_nothing"), SUITES["wikitext2"].definition, documents)
    ours, _ = both(
        "wikitext2",
        {"convention": "lm_eval"},
        documents,
        suffix,
        model("adds_nothing"),
        tmp_path,
        samples,
    )
    results = {
        name: [sample.metrics[name] for sample in samples]
        for name in ("word_perplexity", "byte_perplexity", "bits_per_byte")
    }
    rates = {
        name: -sum(logprob for logprob, _ in pairs) / sum(weight for _, weight in pairs)
        for name, pairs in results.items()
    }
    assert ours.metrics["word_perplexity"] == pytest.approx(
        math.exp(rates["word_perplexity"]), rel=1e-5
    )
    assert ours.metrics["byte_perplexity"] == pytest.approx(
        math.exp(rates["byte_perplexity"]), rel=1e-5
    )
    assert ours.metrics["bits_per_byte"] == pytest.approx(
        rates["bits_per_byte"] / math.log(2), rel=1e-6
    )


def test_lm_eval_windows_of_a_long_text_are_the_same(lm, peers, tmp_path):
    from tests.agreement.conftest import save_model

    save_model(tmp_path / "short", "short", max_position_embeddings=64)
    sentences = [
        value
        for suite in SUITES.values()
        for document in suite.documents
        for value in document.values()
        if isinstance(value, str)
    ]
    documents = [{"page": " ".join(sentences[:n])} for n in (1, 9, len(sentences))]
    theirs = peers.by_lm_eval(
        peers.harness(tmp_path / "short"), SUITES["wikitext2"].definition, documents
    )
    ours, _ = both(
        "wikitext2",
        {"convention": "lm_eval"},
        documents,
        "parquet",
        tmp_path / "short",
        tmp_path,
        theirs,
    )
    assert [row[0] for row in ours.logprobs] == pytest.approx(
        [sample.logprobs[0] for sample in theirs], rel=1e-6
    )
    assert ours.metrics["n_windowed"] == 2 and len(ours.tokens) > 9 * 64


def test_lm_eval_cuts_otherwise_where_a_window_ends_within_the_target(peers, tmp_path):
    """As lmcore.suites.conventions says: lm-eval has one window that ends with the target, ours scores the first target tokens in the
    window before. Of 64 positions, so that a window ends at every 64th input.
    """
    from lm_eval.api.instance import Instance

    from tests.agreement.conftest import save_model

    save_model(tmp_path / "short", "short", max_position_embeddings=64)
    theirs, target = peers.harness(tmp_path / "short"), " looked at the ships and the sea."
    words = (PASSAGES[0]["text"] + " ") * 9
    contexts = [words[:n].strip() for n in range(60, 260) if words[n] == " "]
    requests = [Instance("loglikelihood", {}, (context, target), 0) for context in contexts]
    documents = (
        write_source(
            tmp_path, [{"context": context, "target": target} for context in contexts], "jsonl"
        )
        / "documents.jsonl"
    )
    entry = {"kind": "completion", "path": str(documents), "convention": "lm_eval"}
    ours = by_lmcore(tmp_path / "short", "mine", entry, build("mine", entry, tmp_path)).logprobs
    alike, otherwise = [], []
    for context, (logprob, _), (own,) in zip(
        contexts, theirs.loglikelihood(requests), ours, strict=True
    ):
        of_context, of_target = theirs._encode_pair(context, target)
        first, last = (
            len(of_context) - 1,
            len(of_context) + len(of_target) - 2,
        )  # the inputs that predict the target
        (alike if first // 64 == last // 64 else otherwise).append(abs(own - logprob))
    assert len(alike) > 9 and len(otherwise) > 4
    assert max(alike) < 1e-4 and min(otherwise) > 1e-3 and max(otherwise) > 0.1


def test_lm_eval_context_longer_than_the_window_is_cut_alike(peers, tmp_path):
    from tests.agreement.conftest import save_model

    save_model(tmp_path / "short", "short", max_position_embeddings=64)
    documents = [
        {"text": "She looked at the ships. " * n + PASSAGES[1]["text"]} for n in (1, 7, 20)
    ]
    theirs = peers.by_lm_eval(
        peers.harness(tmp_path / "short"), "lambada/lambada_openai.yaml", documents
    )
    ours, _ = both(
        "lambada_openai",
        {"convention": "lm_eval"},
        documents,
        "jsonl",
        tmp_path / "short",
        tmp_path,
        theirs,
    )
    assert_agree(ours, theirs)
    assert ours.metrics["n_windowed"] == 2
