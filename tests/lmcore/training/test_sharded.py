"""Models that are split over two ranks: what sharded_on_ranks trains, and what is refused."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import GPT2Config, GPT2LMHeadModel

from lmcore.errors import InputError
from lmcore.kept_files import find
from lmcore.models.llama import new_llama
from lmcore.training import ranks
from lmcore.training.checkpoints import step_path
from lmcore.training.optimizers import make_optimizer
from lmcore.training.settings import Settings, check_settings
from lmcore.training.sharded import Sharded
from tests.lmcore.training.conftest import bigrams
from tests.lmcore.training.sharded_on_ranks import KEPT
from tests.lmcore.training.test_loop import MUON, OPTIONS, SHAPE, run


def train_on_ranks(tokenizer: Path, folder: Path, *arguments: str) -> str:
    """The log of sharded_on_ranks, which works in `folder` and may be killed once."""
    np.save(folder / "chunks.npy", bigrams())
    command = [
        *(sys.executable, "-m", "torch.distributed.run"),
        *("--standalone", "--nproc-per-node=2", "--max-restarts=1"),
        *("-m", "tests.lmcore.training.sharded_on_ranks"),
        *map(str, (tokenizer, folder / "chunks.npy", folder, *arguments)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    assert "Warning" not in done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def trained(tokenizer, tmp_path_factory) -> Path:
    """The folder of all trainings, which no one has killed."""
    folder = tmp_path_factory.mktemp("sharded")
    log = train_on_ranks(tokenizer, folder)
    assert log.count("going on after step 3") == 2
    return folder


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "weights.safetensors")


def state_bytes(folder: Path) -> bytes:
    """The last checkpoint: weights, the optimiser's state and the curve."""
    (path,) = (folder / "work").glob("state_*.safetensors")
    return path.read_bytes()


def assert_close(one: Path, other: Path, weights: float, curve: float) -> None:
    """Weights and curves differ by at most so much."""
    ours, theirs = weights_of(one), weights_of(other)
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, theirs[name], atol=weights, rtol=0)
    rows, other_rows = (json.loads((each / "curve.json").read_text()) for each in (one, other))
    assert [row["step"] for row in rows] == [3, 6, 7]
    for row, other_row in zip(rows, other_rows, strict=True):
        assert row == pytest.approx(other_row, abs=curve)


@pytest.mark.parametrize(
    ("name", "weights", "curve"),
    [
        # Llama's own pass and that of transformers round differently
        ("adamw", 1e-6, 1e-6),
        # Newton and Schulz's steps in bfloat16 magnify that
        ("muon", 1e-3, 1e-4),
        ("gpt2", 1e-3, 1e-3),
        # the same kernels
        ("bf16", 1e-6, 1e-6),
        ("taught", 1e-6, 1e-6),
    ],
)
def test_train_sharded_ends_where_two_whole_models_do(trained, name, weights, curve):
    """Both optimisers, tied and untied heads, teachers, and ranks without rows or passes."""
    assert_close(trained / name, trained / f"{name}_whole", weights, curve)


def test_train_sharded_stopped_and_resumed_ends_in_the_same_bytes(trained):
    stopped, undisturbed = trained / "stopped", trained / "undisturbed"
    assert state_bytes(stopped) == state_bytes(undisturbed)
    kept = [find(step_path(folder / "work", KEPT)) for folder in (stopped, undisturbed)]
    assert kept[0].read_bytes() == kept[1].read_bytes()
    assert_close(stopped, undisturbed, 0, 0)


def test_train_sharded_is_resumed_by_a_model_that_is_not_split(trained):
    assert_close(trained / "by_turns", trained / "adamw_whole", 1e-6, 1e-6)


def test_train_sharded_writes_the_tensors_that_a_whole_model_does(trained):
    ours, theirs = (
        load_file(next((trained / name / "work").glob("state_*.safetensors")))
        for name in ("undisturbed", "muon_whole")
    )
    assert {name: (tensor.shape, tensor.dtype) for name, tensor in ours.items()} == {
        name: (tensor.shape, tensor.dtype) for name, tensor in theirs.items()
    }


def test_train_sharded_holds_half_of_weights_and_state_on_each_rank(trained):
    n_weights = sum(tensor.numel() for tensor in weights_of(trained / "adamw").values())
    for rank in ("rank0", "rank1"):
        held = json.loads((trained / "adamw" / f"{rank}.json").read_text())
        assert held == {"weights": n_weights // 2, "state": n_weights}  # two moments
        whole = json.loads((trained / "adamw_whole" / f"{rank}.json").read_text())
        assert whole == {"weights": n_weights, "state": 2 * n_weights}


@pytest.mark.hosts
def test_train_sharded_killed_without_warning_ends_in_the_same_bytes(tokenizer, trained, tmp_path):
    log = train_on_ranks(tokenizer, tmp_path, "killed")
    assert log.count("going on after step 3") == 1
    assert state_bytes(tmp_path / "killed") == state_bytes(trained / "undisturbed")


def test_muon_of_split_matrices_is_torchs_own(tokenizer):
    """The two round a sum differently."""
    models = [new_llama(SHAPE, tokenizer, 0) for _ in range(2)]
    for model, sharded in zip(models, (True, False), strict=True):
        torch.manual_seed(0)
        optimizer = make_optimizer(model, Settings(**{**OPTIONS, **MUON, "sharded": sharded}))
        for _ in range(3):
            for parameter in model.parameters():
                parameter.grad = torch.randn_like(parameter)
            optimizer.step()
    for one, other in zip(*(model.parameters() for model in models), strict=True):
        torch.testing.assert_close(one, other, atol=1e-7, rtol=1e-6)


def test_train_sharded_in_one_process_is_refused(tokenizer, chunks, tmp_path):
    with pytest.raises(InputError, match=r"sharded true .* expected a world_size of 2 or more"):
        run(tokenizer, chunks, tmp_path, sharded=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"compile": True}, "sharded true .* expected compile false, not true"),
        ({"precision": "fp16"}, "sharded true .* expected precision bf16 or fp32, not fp16"),
    ],
)
def test_train_sharded_with_what_it_cannot_do_is_refused(monkeypatch, options, message):
    monkeypatch.setattr(ranks, "size", lambda: 2)
    settings = Settings(**{**OPTIONS, **options, "sharded": True})
    with pytest.raises(InputError, match=message):
        check_settings(settings, torch.device("cuda"))


def test_sharded_model_without_layers_is_refused():
    config = GPT2Config(vocab_size=30, n_positions=16, n_embd=8, n_layer=0, n_head=2)
    with pytest.raises(InputError, match="its layers; expected some in this gpt2"):
        Sharded(GPT2LMHeadModel(config), torch.device("cpu"), torch.float32)
