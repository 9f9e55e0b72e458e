"""The pipeline's own models against the peers.

The texts are the samples and, where LMCORE_DATA names a folder of real data, some of these.

lm-eval runs in float64 here, so that all differences are lmcore's own rounding. In float32 its
sums over the tokens of smollm2 differ from the exact ones by up to 1.1e-4, and ours by up to 6e-5.
"""

import json

import pytest

from lmcore.suites.tasks.wikitext import _articles
from tests.agreement.ours import build, by_lmcore, write_source
from tests.agreement.samples import SUITES
from tests.agreement.test_lm_eval import assert_agree
from tests.agreement.test_minicons import TEXTS, assert_same_tokens, rows_of

# the suites for smollm2, which has 135M parameters
SMALL = ["blimp", "blimp_supplement", "swag", "copa", "lambada_openai", "wikitext2"]
CASES = [("babyllama", suite) for suite in SUITES] + [("smollm2", suite) for suite in SMALL]
# {suite: (file in LMCORE_DATA, suffix of the source's file, step from one document to the next)}
REAL = {
    "blimp_filtered": ("blimp_filtered/wh_island.jsonl", "jsonl", 100),
    "blimp_supplement": ("blimp_supplement_filtered/qa_congruence_tricky.jsonl", "jsonl", 20),
    "swag": ("swag/swag_val_first500.jsonl", "jsonl", 60),
    "lambada_openai": ("lambada/lambada_test.jsonl", "jsonl", 600),
    "lambada_standard": ("lambada/lambada_test_plain_text.txt", "txt", 600),
    "wikitext2": ("wikitext2/wiki.test.raw", "parquet", 20),
}


@pytest.mark.parametrize(("name", "suite"), CASES)
def test_lm_eval_gives_trained_models_the_same_sums_and_decisions(
    name, suite, trained, lm, peers, tmp_path
):
    definition, suffix, documents, _ = SUITES[suite]
    assert_agree(*both(trained(name), lm, peers, suite, definition, documents, suffix, tmp_path))


@pytest.mark.parametrize("suite", REAL)
def test_lm_eval_gives_babyllama_the_same_sums_and_decisions_on_real_data(
    suite, trained, lm, peers, data, tmp_path
):
    path, suffix, step = REAL[suite]
    documents = real_documents(suite, (data / path).read_text("utf-8"), suffix, step)
    definition, babyllama = SUITES[suite].definition, trained("babyllama")
    assert_agree(*both(babyllama, lm, peers, suite, definition, documents, suffix, tmp_path))


def real_documents(suite: str, text: str, suffix: str, step: int) -> list[dict]:
    """Every `step`-th document of a file's text, with the columns that the suite's source has."""
    if suite == "wikitext2":
        shortest = sorted(_articles(text), key=len)[:40]
        return [{"page": page} for page in shortest[::step]]
    lines = text.splitlines()[::step]
    if suffix == "txt":
        return [{"text": line} for line in lines]
    documents = [json.loads(line) for line in lines]
    if suite == "swag":
        for document in documents:
            for number, ending in enumerate(document["choices"]):
                document[f"ending{number}"] = ending
    return documents


@pytest.mark.parametrize("name", ["babyllama", "smollm2"])
def test_minicons_gives_trained_models_the_same_tokens(name, trained, peers):
    scorer = peers.minicons(trained(name))
    theirs = scorer.token_score(TEXTS[:5], rank=True, bos_token=True)
    for ours, tokens in zip(rows_of(trained(name), TEXTS[:5], "prefix"), theirs):
        assert_same_tokens(scorer.model, ours, tokens[1:])


def both(model, lm, peers, suite: str, definition: str, documents: list[dict], suffix: str, folder):
    """What lmcore and what lm-eval say of the documents with a model folder."""
    entry = {"convention": "lm_eval", "source": suite}
    items = build(suite, entry, write_source(folder / suite, documents, suffix).parent)
    ours = by_lmcore(model, suite, entry, items)
    return ours, peers.by_lm_eval(lm(model, dtype="float64"), definition, documents)
