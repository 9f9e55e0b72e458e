import json
import subprocess
import sys

import numpy as np
import pytest

from lmcore.errors import InputError
from lmcore.training import ranks
from tests.lmcore.training.test_loop import GROWTH, MUON, run


@pytest.mark.parametrize("options", [{}, {**MUON, "seq_len_warmup": GROWTH}])
def test_two_ranks_of_which_one_is_killed_give_the_curve_of_one(
    tokenizer, chunks, tmp_path, options
):
    np.save(tmp_path / "chunks.npy", chunks)
    torchrun = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        "--max-restarts=1",
    ]
    arguments = [str(tokenizer), str(tmp_path / "chunks.npy"), str(tmp_path), "12"]
    arguments.append(json.dumps(options))
    done = subprocess.run(
        [*torchrun, "-m", "tests.lmcore.training.train_on_ranks", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "step 5/18" in done.stdout and done.stdout.count("step 10/18") == 1, (
        "it began anew instead of going on from the checkpoint"
    )
    _, alone = run(tokenizer, chunks, tmp_path / "alone", **options)
    together = json.loads((tmp_path / "curve.json").read_text())
    assert [row["step"] for row in together] == [row["step"] for row in alone]
    for row, other in zip(together, alone, strict=True):
        assert row == pytest.approx(other, abs=1e-3)


def test_launch_under_another_number_of_processes_is_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(InputError, match="world_size is 2, but torchrun started 4"):
        ranks.launch(2, "stages.train_model", "babyllama")


def test_launch_of_one_rank_goes_on_in_this_process(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    ranks.launch(1, "stages.train_model", "babyllama")
    assert ranks.is_first() and ranks.size() == 1


def test_restarts_on_several_machines_without_a_store_of_their_own_are_refused(monkeypatch):
    started = {"WORLD_SIZE": "2", "GROUP_WORLD_SIZE": "2", "TORCHELASTIC_MAX_RESTARTS": "3"}
    for name, value in started.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "True")
    with pytest.raises(InputError, match="set TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1"):
        ranks.launch(2, "stages.train_model", "babyllama")
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "False")
    ranks.launch(2, "stages.train_model", "babyllama")
