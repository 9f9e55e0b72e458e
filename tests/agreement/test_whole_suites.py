"""Filtered BLiMP and the supplement as a whole, under both conventions of lm-eval.

Every sum, every decision and the mean must agree. `make agreement` runs these tests.
"""

import json

import numpy as np
import pytest

from tests.agreement.ours import build, by_lmcore

# {suite: (its folder in LMCORE_DATA, number of items, number of groups)}
FOLDERS = {
    "blimp_filtered": ("blimp_filtered", 59_875, 67),
    "blimp_supplement": ("blimp_supplement_filtered", 5_218, 5),
}


@pytest.mark.agreement
@pytest.mark.parametrize("suite", FOLDERS)
@pytest.mark.parametrize("convention", ["lm_eval", "babylm2024"])
def test_lm_eval_prints_the_same_macro_accuracy_of_the_whole_suite(
    suite, convention, trained, data, peers, tmp_path, capsys
):
    folder, n_items, n_groups = FOLDERS[suite]
    (tmp_path / suite).symlink_to(data / folder)
    entry = {"convention": convention}
    ours = by_lmcore(trained("babyllama"), suite, entry, build(suite, entry, tmp_path))
    documents = {}
    for path in sorted((data / folder).glob("*.jsonl")):
        lines = path.read_text("utf-8").splitlines()
        documents[path.stem] = [json.loads(line) for line in lines]
    options = {} if convention == "lm_eval" else {"add_bos_token": False}
    lm = peers.harness(trained("babyllama"), **options)
    samples, printed = peers.blimp_group(lm, documents)

    our_groups = [item.split("/")[1] for item in ours.items["item"].to_pylist()[::2]]
    theirs, their_groups = [], []
    for group in sorted(samples):
        theirs += samples[group]
        their_groups += [group] * len(samples[group])
    assert len(theirs) == n_items
    assert len(samples) == n_groups
    assert our_groups == their_groups
    sums = np.array([sample.logprobs for sample in theirs])
    np.testing.assert_allclose(ours.logprobs, sums, atol=1e-4)
    # float32 sums cannot tell the options of these pairs apart; all others must be decided alike
    near = np.abs(sums[:, 0] - sums[:, 1]) < 1e-4
    their_decisions = np.array([sample.metrics["acc"] for sample in theirs])
    differ = np.array(ours.scores["accuracy"]) != their_decisions
    assert not (differ & ~near).any()
    accuracy = ours.metrics["accuracy"]
    largest = np.abs(np.array(ours.logprobs) - sums).max()
    with capsys.disabled():
        print(
            f"\n{suite} under {convention}: ours {accuracy:.6f}, lm-eval prints {printed}; "
            f"largest difference of a sum {largest:.1e}, "
            f"decisions that differ {differ.sum()}, pairs closer than 1e-4 {near.sum()}"
        )
    assert f"{accuracy:.4f}" == printed
