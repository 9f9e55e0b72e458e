"""Filtered BLiMP and the supplement, whole, under both of lm-eval's conventions: every sum, decision and mean. `make agreement`."""

import json

import numpy as np
import pytest

from tests.agreement.ours import build, by_lmcore

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
    documents = {
        path.stem: [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        for path in sorted((data / folder).glob("*.jsonl"))
    }
    lm = peers.harness(
        trained("babyllama"), **({} if convention == "lm_eval" else {"add_bos_token": False})
    )
    samples, printed = peers.blimp_group(lm, documents)

    groups = [item.split("/")[1] for item in ours.items["item"].to_pylist()[::2]]
    theirs = [sample for group in sorted(samples) for sample in samples[group]]
    assert (
        len(theirs) == n_items
        and len(samples) == n_groups
        and groups == [group for group in sorted(samples) for _ in samples[group]]
    )
    sums = np.array([sample.logprobs for sample in theirs])
    np.testing.assert_allclose(ours.logprobs, sums, atol=1e-4)
    near = (
        np.abs(sums[:, 0] - sums[:, 1]) < 1e-4
    )  # float32 sums cannot tell these apart; all others must be decided alike
    wrong = np.array(ours.scores["accuracy"]) != np.array(
        [sample.metrics["acc"] for sample in theirs]
    )
    assert not (wrong & ~near).any()
    accuracy = ours.metrics["accuracy"]
    with capsys.disabled():
        print(
            f"\n{suite} under {convention}: ours {accuracy:.6f}, lm-eval prints {printed}; largest difference of a sum "
            f"{np.abs(np.array(ours.logprobs) - sums).max():.1e}, decisions that differ {wrong.sum()}, pairs closer than 1e-4 {near.sum()}"
        )
    assert f"{accuracy:.4f}" == printed
