"""Blends of prompts.

With a weight of 1 the text is that prompt's own generation, token by token. Mixtures and products
are computed by hand.
"""

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from lmcore.commands.main import app
from lmcore.errors import InputError
from lmcore.explorations.blending import WAYS, Blender, blend_embeddings, normalised, weight_study
from lmcore.explorations.strategies import compare_strategies, explore_generation
from lmcore.generating.continuations import generate
from lmcore.generating.sampling import Decoding
from lmcore.models.dummy import DummyConfig, DummyForCausalLM
from lmcore.models.llama import new_llama, save_model
from tests.lmcore.generating.test_generation import SHAPE

PROMPTS = ["The old man", "She gave him a letter, and he read", "Nobody knew"]
SAMPLED = Decoding(temperature=0.9, top_p=0.9)


@pytest.fixture(scope="module")
def llama(tokenizer: Path, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "models" / "llama"
    save_model(new_llama({**SHAPE, "initializer_range": 0.3}, tokenizer, 3), tokenizer, folder)
    return folder


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("align", ["left", "right"])
@pytest.mark.parametrize("decoding", [Decoding(), SAMPLED])
def test_weight_of_one_is_the_prompts_own_generation(
    llama: Path, way: str, align: str, decoding: Decoding
) -> None:
    blender = Blender(llama, PROMPTS)
    for number, prompt in enumerate(PROMPTS):
        entry = {"temperature": decoding.temperature, "top_p": decoding.top_p, "seeds": [5]}
        tokens, texts = generate(llama, [prompt], "prefix", 10, "stop", 1, {"own": entry})
        weights = [float(other == number) * 7 for other in range(len(PROMPTS))]
        found = blender.blend(
            weights, way=way, align=align, max_new_tokens=10, decoding=decoding, seed=5
        )
        assert found.ids == tokens["next_id"].to_pylist()
        assert found.text.strip() == texts["text"][0].as_py().strip()
        assert found.logprobs[number] == pytest.approx(
            sum(tokens["logprob"].to_pylist()) / len(tokens), abs=1e-4
        )


def test_blended_embeddings_by_hand_are_normalised_where_prompts_end() -> None:
    one, two = torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[10.0], [20.0]])
    assert blend_embeddings([one, two], [0.25, 0.75], "left")[:, 0].tolist() == [7.75, 15.5, 3.0]
    assert blend_embeddings([one, two], [0.25, 0.75], "right")[:, 0].tolist() == [1.0, 8.0, 15.75]
    assert blend_embeddings([one], [1.0], "left") is one


def test_mixture_and_product_are_the_means_of_the_distributions(llama: Path) -> None:
    blender = Blender(llama, PROMPTS[:2])
    logprobs = []
    for prompt in blender.prompts:
        with torch.no_grad():
            logits = blender.model(input_ids=torch.tensor([prompt])).logits[0, -1]
        logprobs.append(logits.double().log_softmax(0))
    chosen = [(blender.prompts[0], 0.3), (blender.prompts[1], 0.7)]
    with torch.no_grad():
        mixture = next(blender.distributions(chosen, "mixture", []))[0].double()
        product = next(blender.distributions(chosen, "product", []))[0].double()
    torch.testing.assert_close(
        mixture.exp(), 0.3 * logprobs[0].exp() + 0.7 * logprobs[1].exp(), atol=1e-6, rtol=1e-4
    )
    expected = logprobs[0].exp() ** 0.3 * logprobs[1].exp() ** 0.7
    torch.testing.assert_close(product.exp(), expected / expected.sum(), atol=1e-6, rtol=1e-4)


def test_model_without_cache_or_embeddings_blends_distributions(
    tokenizer: Path, tmp_path: Path
) -> None:
    DummyForCausalLM(DummyConfig(vocab_size=300, seeds=[3])).save_pretrained(tmp_path / "dummy")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "dummy" / name).write_bytes((tokenizer / name).read_bytes())
    blender = Blender(tmp_path / "dummy", PROMPTS[:2])
    assert len(blender.blend([1, 1], way="product", align="left", max_new_tokens=4).ids) == 4
    with pytest.raises(InputError, match="no embeddings to blend"):
        blender.blend([1, 1], way="embeddings", align="left", max_new_tokens=4)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0], "1 weights for 2 prompts"),
        ([1.0, -1.0], "at least 0"),
        ([0.0, 0.0], "one of them must be above 0"),
    ],
)
def test_weights_that_cannot_be_are_refused(weights: list[float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        normalised(weights, 2)
    assert normalised([1.0, 3.0], 2) == [0.25, 0.75]


def test_share_of_a_prompt_grows_from_the_others_generation_to_its_own(llama: Path) -> None:
    rows = weight_study(Blender(llama, PROMPTS[:2]), ["mixture"], 4, "right", 8)
    assert [row["weight"] for row in rows] == [0, 0.25, 0.5, 0.75, 1]
    assert rows[0]["share"] < 0.5 < rows[-1]["share"]
    assert rows[0]["logprob_2"] > rows[0]["logprob_1"]
    assert rows[-1]["logprob_1"] > rows[-1]["logprob_2"]


def test_strategies_repeat_under_one_seed_and_only_greedy_under_another(llama: Path) -> None:
    strategies = {
        "greedy": {},
        "hot": {"temperature": 2.0},
        "typical": {"temperature": 1.5, "typical_p": 0.95},
    }
    settings = {"bos": "prefix", "max_new_tokens": 8, "batch_size": 4, "seed": 0, "digits": 6}
    found, texts = compare_strategies(llama, PROMPTS, strategies, **settings)
    assert all(values["same_again"] == 1 and values["same_alone"] == 1 for values in found.values())
    assert found["greedy"]["same_other_seed"] == 1
    assert found["hot"]["same_other_seed"] < 1
    assert found["typical"]["same_other_seed"] < 1
    assert len(texts) == 9 and found["greedy"]["logprob"] > found["hot"]["logprob"]
    assert compare_strategies(llama, PROMPTS, strategies, **settings)[0] == found


def test_explore_generation_without_models_writes_an_empty_file(
    llama: Path, tmp_path: Path
) -> None:
    settings = {
        "prompts": PROMPTS,
        "strategies": {"greedy": {}},
        "blended": PROMPTS[:2],
        "ways": ["embeddings"],
        "steps": 2,
        "align": "left",
        "bos": "prefix",
        "max_new_tokens": 4,
        "batch_size": 4,
        "threads": 1,
        "seed": 0,
        "digits": 4,
    }
    explore_generation(llama.parent, tmp_path / "none.json", models=[], **settings)
    explore_generation(llama.parent, tmp_path / "some.json", models=["llama"], **settings)
    assert (tmp_path / "none.json").read_text() == "{}\n"
    assert "weight_050" in (tmp_path / "some.json").read_text()


def test_blend_command_reads_weights_until_q(llama: Path) -> None:
    arguments = [
        "blend",
        "llama",
        "--prompt",
        "The old",
        "--prompt",
        "She gave",
        "--max-new-tokens",
        "3",
        "--interactive",
    ]
    result = CliRunner().invoke(
        app, [*arguments, "--data", str(llama.parents[1])], input="1 0\n1\n0.5,0.5\nq\n"
    )
    assert result.exit_code == 0 and result.stdout.count("nats a token after") == 4
    assert "error: 1 weights for 2 prompts" in result.stderr
