import shutil
from pathlib import Path

import pytest

from lmcore.errors import InputError
from lmcore.history.experiments import ENTRIES, apply
from tests.yaml_files import read_yaml

ROOT = Path(__file__).parents[3]
PARAMS = """models:   # what is scored
  - a
suites:
  one: {}  # the first
train_model:
  lr: 0.002   # peak
  betas:
    - 0.9
"""


@pytest.fixture
def params(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(PARAMS)
    return path


def test_apply_merges_key_by_key_and_keeps_comments(params, tmp_path):
    (tmp_path / "x.yaml").write_text(
        "train_model: {lr: 0.001, betas: [0.8]}\n"
        "suites: {two: {limit: 3}, one: null}\n"
        "models: [a]\n"
    )
    assert apply(tmp_path / "x.yaml", params) == [
        "train_model.lr",
        "train_model.betas",
        "suites.two",
        "suites.one",
    ]
    assert read_yaml(params) == {
        "models": ["a"],
        "suites": {"two": {"limit": 3}},
        "train_model": {"lr": 0.001, "betas": [0.8]},
    }
    assert "# peak" in params.read_text() and "# what is scored" in params.read_text()


def test_apply_null_removes_an_entry_that_is_null_and_says_so(tmp_path):
    params = tmp_path / "params.yaml"
    params.write_text("suites:\n  one:\n  two: {}\nfetch_judges:\n  a: {url: x}\n  b: {url: y}\n")
    (tmp_path / "x.yaml").write_text("suites: {one: null}\nfetch_judges: {a: null, c: null}\n")
    assert apply(tmp_path / "x.yaml", params) == ["suites.one", "fetch_judges.a"]
    assert read_yaml(params) == {"suites": {"two": {}}, "fetch_judges": {"b": {"url": "y"}}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trian_model: {}", "'trian_model' is no section"),
        ("- 1", "expected a mapping of sections, not "),
        ("a: [", "not a readable YAML"),
    ],
)
def test_apply_bad_file_is_named_and_params_stay(params, tmp_path, text, message):
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(InputError, match=f"x.yaml: .*{message}"):
        apply(tmp_path / "x.yaml", params)
    assert params.read_text() == PARAMS


@pytest.mark.parametrize(
    "path", sorted((ROOT / "experiments").glob("*.yaml")), ids=lambda path: path.stem
)
def test_every_shipped_experiment_applies(path, tmp_path):
    params = tmp_path / "params.yaml"
    shutil.copy(ROOT / "params.yaml", params)
    before = without_removed(params.read_text(), path)
    assert apply(path, params)
    assert {line.split("#")[-1] for line in before.splitlines() if "#" in line} <= {
        line.split("#")[-1] for line in params.read_text().splitlines()
    }


def without_removed(text: str, experiment: Path) -> str:
    """params.yaml without the entries that an experiment removes, line by line."""
    for section, entries in read_yaml(experiment).items():
        for name, change in (entries if section in ENTRIES else {}).items():
            if change is None:
                lines = text.splitlines(keepends=True)
                start = lines.index(next(line for line in lines if line.startswith(f"  {name}:")))
                end = start + 1
                while lines[end].startswith("    "):
                    end += 1
                above = start
                while lines[above - 1].startswith("  #"):
                    above -= 1
                # a comment above the first entry is the section's
                start = start if lines[above - 1].startswith(f"{section}:") else above
                text = "".join(lines[:start] + lines[end:])
    return text


def test_a_removed_entry_takes_its_own_comments_along_and_no_others(tmp_path):
    path, experiment = tmp_path / "params.yaml", tmp_path / "x.yaml"
    path.write_text(
        "suites:\n  # what is scored\n  one:\n    a: 1\n    # of one\n  # of two\n  two: {}\n"
        "  # of three\n  three: {}  # last\n\n# of the section\nmodels: []\n"
    )
    experiment.write_text("suites: {one: null, three: null}\n")
    assert apply(experiment, path) == ["suites.one", "suites.three"]
    assert path.read_text() == (
        "suites:\n  # what is scored\n  # of two\n  two: {}\n\n# of the section\nmodels: []\n"
    )
    experiment.write_text("suites: {two: null}\n")
    apply(experiment, path)
    assert (
        read_yaml(path) == {"suites": {}, "models": []} and "# of the section" in path.read_text()
    )


def keys_below_comments(text: str) -> dict[str, str]:
    """{a comment of whole lines: the key below it}."""
    found, comment = {}, ""
    for line in text.splitlines():
        if line.strip().startswith("#"):
            comment += line.strip() + "\n"
        elif line.strip():
            if comment:
                found[comment] = line.partition(":")[0].strip()
            comment = ""
    return found


@pytest.mark.parametrize(
    "experiment", sorted(ROOT.glob("experiments/*.yaml")), ids=lambda e: e.stem
)
def test_apply_leaves_each_comment_of_our_params_above_its_key(experiment, tmp_path):
    path = Path(shutil.copy(ROOT / "params.yaml", tmp_path))
    before = keys_below_comments(without_removed(path.read_text("utf-8"), experiment))
    apply(experiment, path)
    assert before.items() <= keys_below_comments(path.read_text("utf-8")).items()
