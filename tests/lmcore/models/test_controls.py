import numpy as np
import pytest
import torch
from scipy.stats import kstest

from lmcore.files import sha256
from lmcore.models.controls import make_controls
from lmcore.models.dummy import DummyConfig, DummyForCausalLM
from lmcore.models.load import load_model, load_tokenizer
from lmcore.text.chunks import chunk_corpus, read_chunks
from tests.lmcore.training.test_loop import SHAPE


@pytest.fixture(scope="module")
def controls(corpus, tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("controls")
    chunk_corpus(corpus, tokenizer, folder / "chunks", seq_len=16, boundaries="<s>", on_lost="fail")
    for name in ("models", "again"):
        make_controls(
            SHAPE,
            tokenizer,
            folder / "chunks" / "train",
            folder / name,
            untrained_seed=0,
            dummy_seeds=[0, 1],
        )
    return folder


@pytest.fixture
def dummy():
    return DummyForCausalLM(DummyConfig(vocab_size=500, seeds=[0, 1]))


def test_make_controls_twice_give_equal_bytes(controls):
    assert sha256(controls / "models") == sha256(controls / "again")


@pytest.mark.parametrize("name", ["untrained", "dummy", "unigram"])
def test_controls_load_with_their_tokenizer(controls, name):
    model, tokenizer = (
        load_model(controls / "models" / name),
        load_tokenizer(controls / "models" / name),
    )
    ids = tokenizer("The old man", return_tensors="pt").input_ids
    assert (
        model(input_ids=ids).logits.shape == (1, ids.shape[1], len(tokenizer))
        and not model.training
    )


def test_unigram_is_the_smoothed_frequency_everywhere(controls):
    counts = np.bincount(read_chunks(controls / "chunks" / "train").ravel(), minlength=300) + 1
    logits = load_model(controls / "models" / "unigram")(
        input_ids=torch.tensor([[5, 6, 7]])
    ).logits.detach()
    torch.testing.assert_close(
        logits[0, 2].exp().double(), torch.from_numpy(counts / counts.sum()), rtol=1e-5, atol=0
    )
    assert torch.equal(logits[0, 0], logits[0, 2])


def test_untrained_is_close_to_uniform(controls):
    logits = load_model(controls / "models" / "untrained")(input_ids=torch.arange(12)[None]).logits
    assert logits.log_softmax(-1).mean().item() == pytest.approx(-np.log(300), abs=0.02)


def test_dummy_depends_on_the_prefix_alone(dummy):
    ids = torch.randint(0, 500, (4, 9), generator=torch.manual_seed(0))
    whole = dummy(input_ids=ids).logits
    assert torch.equal(dummy(input_ids=ids[2:3, :5]).logits, whole[2:3, :5])
    changed = ids.clone()
    changed[:, 4] += 1
    after = dummy(input_ids=changed).logits
    assert (
        torch.equal(after[:, :4], whole[:, :4])
        and not (after[:, 4:] == whole[:, 4:]).any(dim=-1).all()
    )


def test_dummy_padding_on_either_side_changes_nothing(dummy):
    ids = torch.randint(0, 500, (2, 6))
    left = torch.cat([torch.zeros(2, 3, dtype=torch.long), ids], 1)
    mask = torch.cat([torch.zeros(2, 3), torch.ones(2, 6)], 1).long()
    assert torch.equal(
        dummy(input_ids=left, attention_mask=mask).logits[:, 3:], dummy(input_ids=ids).logits
    )


def test_dummy_logits_are_standard_normal_and_differ_by_seed(dummy):
    ids = torch.randint(0, 500, (8, 25), generator=torch.manual_seed(1))
    first = dummy(input_ids=ids).logits
    assert kstest(first.flatten().numpy(), "norm").pvalue > 0.001
    dummy.draw = 1
    second = dummy(input_ids=ids).logits
    assert abs(np.corrcoef(first.flatten(), second.flatten())[0, 1]) < 0.02
