"""What must not change a bit of the results does not, and all results are close to float64."""

import functools

import numpy as np
import pytest
import torch

from lmcore.models.load import load_model
from lmcore.scoring.engine import Engine
from lmcore.scoring.extract import one_thread
from tests.lmcore.scoring.conftest import TEXTS, items, save_llama

LONG = " ".join(TEXTS[:3] * 12)  # more than 256 tokens
SUITE = [
    *TEXTS,
    *TEXTS,
    ("Who should Derek", " hug"),
    ("The", " cats annoy Tim."),
    LONG + " cats.",
    LONG + " Tim.",
    LONG,
    LONG[:200],
]
KERNELS = ["onednn", "torch"]


@pytest.fixture(autouse=True)
def single_thread():
    with one_thread():
        yield


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A Llama whose sizes are not multiples of the kernels' blocks."""
    path = tmp_path_factory.mktemp("odd")
    save_llama(
        path,
        hidden_size=72,
        intermediate_size=100,
        num_attention_heads=6,
        num_key_value_heads=2,
        head_dim=12,
    )
    return path


@functools.cache
def expected(path, kernel: str):
    return engine(path, kernel).score(items(SUITE))


def engine(path, kernel: str, token_budget: int = 1024, **options) -> Engine:
    return Engine(path, {"bos": "prefix"}, "float32", token_budget, kernel=kernel, **options)


@pytest.mark.parametrize("kernel", KERNELS[:1])
@pytest.mark.parametrize(
    "options",
    [
        {"token_budget": 1},
        {"token_budget": 50},
        {"share_prefixes": False},
        {"share_prefixes": False, "token_budget": 300},
        {"chunk_rows": 1},
        {"chunk_rows": 7},
    ],
)
def test_rows_are_bitwise_independent_of_what_shares_a_pass(model, kernel, options):
    assert engine(model, kernel, **options).score(items(SUITE)) == expected(model, kernel)


@pytest.mark.parametrize("kernel", KERNELS[:1])
def test_rows_are_bitwise_independent_of_threads(model, kernel):
    torch.set_num_threads(2)
    assert engine(model, kernel).score(items(SUITE)) == expected(model, kernel)


@pytest.mark.parametrize("kernel", KERNELS[:1])
def test_an_item_alone_is_bitwise_what_it_is_among_others(model, kernel):
    among = expected(model, kernel)
    for number, text in enumerate(SUITE):
        alone = engine(model, kernel).score(items([text]))
        mask = [item == f"i/{number:04d}" for item in among["item"].to_pylist()]
        for name in ("logprob", "entropy", "rank", "top_id", "top_logprob"):
            assert among.filter(mask)[name].to_pylist() == alone[name].to_pylist()


@pytest.mark.parametrize("kernel", KERNELS[:1])
def test_optional_columns_leave_the_others_bitwise_as_they_are(model, kernel):
    scoring = {"bos": "prefix", "top_k": 4, "bow": True}
    table = Engine(model, scoring, "float32", 1024, kernel=kernel).score(items(SUITE))
    assert table.select(expected(model, kernel).column_names) == expected(model, kernel)
    again = Engine(model, scoring, "float32", 90, chunk_rows=16, kernel=kernel).score(items(SUITE))
    assert again == table


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("shape", ["odd", "even"])
def test_statistics_agree_with_float64(model, llama, kernel, shape):
    path = model if shape == "odd" else llama
    table = engine(path, kernel).score(items(SUITE))
    reference = load_model(path).double()
    errors, n_near = [], 0
    for item in dict.fromkeys(table["item"].to_pylist()):
        rows = [row for row in table.to_pylist() if row["item"] == item]
        ids = torch.tensor([[rows[0]["current_id"]] + [row["next_id"] for row in rows]])
        with torch.inference_mode():
            exact = torch.log_softmax(reference(input_ids=ids).logits[0], -1)
        assert exact.dtype == torch.float64
        for row, logprobs in zip(rows, exact):
            own = logprobs[row["next_id"]]
            errors.append(abs(row["logprob"] - own.item()))
            assert row["entropy"] == pytest.approx(
                -(logprobs.exp() * logprobs).sum().item(), abs=1e-4
            )
            near = ((logprobs - own).abs() < 1e-5).sum().item() - 1
            n_near += near > 0
            if not near:
                assert row["rank"] == 1 + int((logprobs > own).sum())
    assert np.quantile(errors, 0.99) < 1e-4
    assert n_near < 0.05 * len(errors)


def test_kernels_agree_with_each_other(model):
    for name in ("logprob", "entropy", "top_logprob"):
        np.testing.assert_allclose(
            expected(model, "torch")[name], expected(model, "onednn")[name], atol=1e-4
        )
