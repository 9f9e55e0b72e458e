"""The pipeline's own models against the peers, on the samples and, where LMCORE_DATA says, on some of the real data.

lm-eval runs in float64 here, so that what differs is our own rounding: in float32 its sums over smollm2's tokens are up to 1.1e-4 from
the exact ones, ours up to 6e-5.
"""

import json

import pytest

from lmcore.suites.tasks.wikitext import _articles
from tests.agreement.ours import build, by_lmcore, write_source
from tests.agreement.samples import SUITES
from tests.agreement.test_lm_eval import assert_agree
from tests.agreement.test_minicons import TEXTS, assert_same_tokens, rows_of

SMALL = [
    "blimp",
    "blimp_supplement",
    "swag",
    "copa",
    "lambada_openai",
    "wikitext2",
]  # what a model of 135M parameters is asked


@pytest.mark.parametrize(
    ("name", "suite"),
    [("babyllama", suite) for suite in SUITES] + [("smollm2", suite) for suite in SMALL],
)
def test_lm_eval_gives_trained_models_the_same_sums_and_decisions(
    name, suite, trained, lm, peers, tmp_path
):
    definition, suffix, documents, _ = SUITES[suite]
    assert_agree(*both(trained(name), lm, peers, suite, definition, documents, suffix, tmp_path))


REAL = {
    "blimp_filtered": ("blimp_filtered/wh_island.jsonl", "jsonl", 100),
    "blimp_supplement": ("blimp_supplement_filtered/qa_congruence_tricky.jsonl", "jsonl", 20),
    "swag": ("swag/swag_val_first500.jsonl", "jsonl", 60),
    "lambada_openai": ("lambada/lambada_test.jsonl", "jsonl", 600),
    "lambada_standard": ("lambada/lambada_test_plain_text.txt", "txt", 600),
    "wikitext2": ("wikitext2/wiki.test.raw", "parquet", 20),
}


@pytest.mark.parametrize("suite", REAL)
def test_lm_eval_gives_babyllama_the_same_sums_and_decisions_on_real_data(
    suite, trained, lm, peers, data, tmp_path
):
    path, suffix, step = REAL[suite]
    text = (data / path).read_text("utf-8")
    if suite == "wikitext2":
        documents = [{"page": page} for page in sorted(_articles(text), key=len)[:40:step]]
    elif suffix == "txt":
        documents = [{"text": line} for line in text.splitlines()[::step]]
    else:
        documents = [json.loads(line) for line in text.splitlines()[::step]]
    if suite == "swag":
        documents = [
            {
                **document,
                **{f"ending{n}": ending for n, ending in enumerate(document.pop("choices"))},
            }
            for document in documents
        ]
    assert_agree(
        *both(
            trained("babyllama"),
            lm,
            peers,
            suite,
            SUITES[suite].definition,
            documents,
            suffix,
            tmp_path,
        )
    )


@pytest.mark.parametrize("name", ["babyllama", "smollm2"])
def test_minicons_gives_trained_models_the_same_tokens(name, trained, peers):
    scorer = peers.minicons(trained(name))
    theirs = scorer.token_score(TEXTS[:5], rank=True, bos_token=True)
    for ours, tokens in zip(rows_of(trained(name), TEXTS[:5], "prefix"), theirs):
        assert_same_tokens(scorer.model, ours, tokens[1:])


def both(model, lm, peers, suite: str, definition: str, documents: list[dict], suffix: str, folder):
    entry = {"convention": "lm_eval", "source": suite}
    items = build(suite, entry, write_source(folder / suite, documents, suffix).parent)
    return by_lmcore(model, suite, entry, items), peers.by_lm_eval(
        lm(model, dtype="float64"), definition, documents
    )
