"""How a model of params.yaml came to be: which section makes it, and which values its making used.

The values of params.yaml and the name of a model go in. Sections of params.yaml come out, with what
concerns this model alone.
"""

from typing import Any

from lmcore.errors import InputError
from lmcore.history.artifacts import TRAINED

MAKERS = (*TRAINED, "import_model")
CONTROLS = ("untrained", "dummy", "unigram")


def maker_of(name: str, params: dict[str, Any]) -> str:
    """The section of params.yaml that makes the model `name`: one of MAKERS, or make_controls.

    Raises InputError where there is none.
    """
    for section in MAKERS:
        if name in (params.get(section) or {}):
            return section
    if name in CONTROLS:
        return "make_controls"
    made = [model for section in MAKERS for model in params.get(section) or {}]
    raise InputError(
        f"{name}: params.yaml makes no such model; it makes {', '.join([*made, *CONTROLS])}"
    )


def recipe_of(name: str, params: dict[str, Any]) -> dict[str, Any]:
    """The sections of params.yaml that made the model, in their order in the file.

    Of a section whose keys are names only what belongs to this model is in it. A model that is made
    of another one brings that one's recipe. Raises InputError as `maker_of`.
    """
    found: dict[str, Any] = {}
    _add_recipe(name, params, found)
    return {section: found[section] for section in params if section in found}


def uses_corpus(recipe: dict[str, Any]) -> bool:
    """Whether the model of this recipe was trained on the corpus."""
    return "prepare_corpus" in recipe


def _add_recipe(name: str, params: dict[str, Any], found: dict[str, Any]) -> None:
    """Add what `recipe_of` returns to `found`."""
    section = maker_of(name, params)
    if section == "make_controls":
        found[section] = params[section]
        found["train_tokenizer"] = params["train_tokenizer"]
        found["train_model"] = {"shape": params["train_model"]["shape"]}
        return
    entry = params[section][name] or {}
    found.setdefault(section, {})[name] = params[section][name]
    if section in ("trained", "train_teacher", "distill_model"):
        _add_corpus(params, found)
        found["train_model"] = params["train_model"]
        _add_shape({**params["train_model"], **entry}.get("shape"), params, found)
    if section == "distill_model":
        for teacher, of_teacher in (params.get("train_teacher") or {}).items():
            if (of_teacher or {}).get("student") == name:
                _add_recipe(teacher, params, found)
    if section == "finetune_model":
        found["train_model"] = params["train_model"]
        _add_recipe(entry["model"], params, found)
    if section == "keep_checkpoint":
        _add_recipe(entry["model"], params, found)


def _add_corpus(params: dict[str, Any], found: dict[str, Any]) -> None:
    """Add the corpus, its sources, its tokenizer and its chunks."""
    for section in ("prepare_corpus", "train_tokenizer", "chunk_corpus"):
        found[section] = params[section]
    sources = params["prepare_corpus"]["sources"]
    found["fetch_sources"] = {source: params["fetch_sources"][source] for source in sources}


def _add_shape(shape: Any, params: dict[str, Any], found: dict[str, Any]) -> None:
    """Add where a shape comes from that is named in from_config."""
    if isinstance(shape, str) and shape in (params.get("from_config") or {}):
        found.setdefault("from_config", {})[shape] = params["from_config"][shape]
