import pytest

from lmcore.commands.recipes import maker_of, recipe_of, uses_corpus
from lmcore.errors import InputError
from lmcore.history.artifacts import folder_of
from lmcore.history.experiments import apply
from tests.miniature import ROOT
from tests.yaml_files import read_yaml


@pytest.fixture
def params(tmp_path):
    """A function: params.yaml of the repository with experiments applied to it."""

    def with_experiments(*names: str) -> dict:
        path = tmp_path / "params.yaml"
        path.write_bytes((ROOT / "params.yaml").read_bytes())
        for name in names:
            apply(ROOT / f"experiments/{name}.yaml", path)
        return read_yaml(path)

    return with_experiments


def test_recipe_of_a_trained_model_has_its_corpus_and_training_alone(params):
    recipe = recipe_of("babyllama", params())
    assert list(recipe) == [
        "fetch_sources",
        "prepare_corpus",
        "train_tokenizer",
        "chunk_corpus",
        "trained",
        "train_model",
    ]
    assert list(recipe["fetch_sources"]) == ["gutenberg"]
    assert uses_corpus(recipe)


def test_recipe_of_a_student_has_its_teachers(params):
    values = params("babylm_10m", "babylm_10m_distilled")
    recipe = recipe_of("babyllama_distilled", values)
    assert list(recipe["train_teacher"]) == ["llama_360m", "gpt2_705m"]
    assert list(recipe["distill_model"]) == ["babyllama_distilled"]
    assert folder_of("gpt2_705m", values) == "data/teachers/babyllama_distilled/gpt2_705m"


@pytest.mark.parametrize(
    ("experiment", "model", "section"),
    [
        ("finetuned", "babyllama_finetuned", "finetune_model"),
        ("checkpoints", "babyllama_step_000100", "keep_checkpoint"),
    ],
)
def test_recipe_of_a_model_that_is_made_of_another_has_the_others(
    params, experiment, model, section
):
    values = params(experiment)
    recipe = recipe_of(model, values)
    assert maker_of(model, values) == section
    assert list(recipe[section]) == [model]
    assert list(recipe["trained"]) == ["babyllama"]


def test_recipe_of_what_is_not_trained_has_no_corpus(params):
    assert list(recipe_of("smollm2", params())) == ["import_model"]
    assert not uses_corpus(recipe_of("untrained", params()))


def test_recipe_of_an_unknown_model_is_refused(params):
    with pytest.raises(InputError, match=r"^other: params.yaml makes no such model; it makes"):
        recipe_of("other", params())
