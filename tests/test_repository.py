"""The repository keeps its own rules.

Names agree, lmcore imports nothing of the stages, and what the README names is there.
"""

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.yaml_files import read_yaml

# the module through which `lmcore diff` and `lmcore verify` read repositories; it may import DVC
COMMAND_LINE = ("revisions.py",)
ROOT = Path(__file__).parents[1]
STAGES = sorted(
    path.stem for path in (ROOT / "stages").glob("*.py") if path.stem not in ("__init__", "stage")
)
PIPELINE = read_yaml(ROOT / "dvc.yaml")["stages"]
PARAMS = read_yaml(ROOT / "params.yaml")
# experiments that are applied after another one
ON_TOP_OF = {"babylm_10m_distilled": "babylm_10m", "gap_128": "gap", "results": "real"}
TEXT_SUFFIXES = (
    ".py",
    ".md",
    ".yaml",
    ".json",
    ".toml",
    ".lock",
    ".cff",
    ".csv",
    ".txt",
    ".html",
    ".css",
    ".js",
)


def test_every_stage_script_is_a_stage_and_every_stage_a_script():
    assert sorted(PIPELINE) == STAGES


@pytest.mark.parametrize("name", PIPELINE)
def test_stage_names_agree(name):
    stage = body_of(name)
    assert stage["desc"]
    assert stage["cmd"].startswith(f"python -m stages.{name}")
    if name != "fingerprint_code":
        files = [param for param in stage["params"] if isinstance(param, dict)]
        keys_of_first_file = next(iter(files[0].values()))
        assert keys_of_first_file[0] == name
    sections = [param.split(".")[0] for param in stage.get("params", []) if isinstance(param, str)]
    assert set(sections) <= set(PARAMS), "a params section that is not there"


def body_of(stage: str) -> dict:
    """What dvc.yaml says of a stage; of one with `foreach` what stands under `do`."""
    return PIPELINE[stage].get("do", PIPELINE[stage])


def paths(stage: str, kind: str) -> list[str]:
    """The paths of a stage in dvc.yaml under `deps` or `outs`.

    Metrics and plots count as outs. A `*` stands where DVC fills in a name.
    """
    body = body_of(stage)
    kinds = ("outs", "metrics", "plots") if kind == "outs" else (kind,)
    entries = []
    for name in kinds:
        entries += body.get(name, [])
    names = [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]
    return [re.sub(r"\$\{[^}]*\}", "*", name) for name in names]


@pytest.mark.parametrize("name", PIPELINE)
def test_stages_clear_the_folders_of_other_stages_outputs_before_they_read_them(name):
    outs = []
    for stage in PIPELINE:
        outs += paths(stage, "outs")
    shared = []
    for dep in paths(name, "deps"):
        if any(out.startswith(f"{dep}/") for out in outs):
            shared.append(dep)
    script = (ROOT / "stages" / f"{name}.py").read_text()
    cleared = re.findall(r'"([^"]+)"', "".join(re.findall(r"clear_leftovers\((.*)\)", script)))
    assert [folder.replace("{name}", "*") for folder in cleared] == shared


@pytest.mark.parametrize("name", PIPELINE)
def test_git_ignores_the_outputs_that_dvc_keeps(name):
    """Otherwise the first run writes a `.gitignore` of its own, and leaves the clone dirty."""
    for entry in body_of(name).get("outs", []):
        path, options = next(iter(entry.items())) if isinstance(entry, dict) else (entry, {})
        if options.get("cache", True):
            path = re.sub(r"\$\{[^}]*\}", "name", path)
            ignored = subprocess.run(["git", "check-ignore", "--quiet", path], cwd=ROOT)
            assert ignored.returncode == 0, f"{path} is not in .gitignore"


def test_every_params_section_is_used():
    used = set()
    for stage in PIPELINE:
        params = body_of(stage).get("params", [])
        used |= {param.split(".")[0] for param in params if isinstance(param, str)}
    assert set(PARAMS) == used


@pytest.mark.parametrize(
    "path", sorted((ROOT / "lmcore").rglob("*.py")), ids=lambda path: path.name
)
def test_lmcore_knows_no_stage_no_dvc_and_no_params(path):
    if path.name in COMMAND_LINE:
        return
    forbidden = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            forbidden += [alias.name for alias in node.names if is_forbidden(alias.name)]
        elif isinstance(node, ast.ImportFrom) and is_forbidden(node.module or ""):
            forbidden.append(node.module)
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "__import__":
            forbidden.append("__import__")
    assert not forbidden
    if path.name == "__init__.py":
        message = "packages' inits stay empty, or every stage depends on everything"
        assert not path.read_text(), message


def is_forbidden(module: str) -> bool:
    """Whether lmcore may not import a module."""
    top = module.split(".")[0]
    return top in ("stages", "dvc", "yaml", "importlib") and module != "importlib.metadata"


def test_code_json_is_that_of_the_code():
    from lmcore.history.fingerprint import fingerprints

    assert fingerprints(ROOT) == read_yaml(ROOT / "code.json"), (
        "run `dvc repro` and commit code.json"
    )


@pytest.mark.parametrize(
    "path", sorted((ROOT / "experiments").glob("*.yaml")), ids=lambda path: path.stem
)
def test_experiments_apply_and_name_models_that_are_made(path, tmp_path):
    from lmcore.history.experiments import apply

    params = tmp_path / "params.yaml"
    params.write_bytes((ROOT / "params.yaml").read_bytes())
    if path.stem in ON_TOP_OF:
        apply(path.with_stem(ON_TOP_OF[path.stem]), params)
    assert apply(path, params)
    values = read_yaml(params)
    models = set(values["models"])
    assert models <= made_models(values)
    for recipe_models in values["compare_models"]["recipes"].values():
        assert set(recipe_models) <= models
    for section in ("judge_context", "generate_tokens", "explore_suites", "explore_generation"):
        assert set(values[section]["models"]) <= models
    assert set(values["analyse_tokens"]["progression"]) <= models
    students = {entry["student"] for entry in values["train_teacher"].values()}
    assert students == set(values["distill_model"])
    assert {entry.get("model") for entry in values["finetune_model"].values()} <= models
    assert set(values["train_model"]) | {"seed"} == set(PARAMS["train_model"]) | {"seed"}


def test_every_trained_model_is_an_artifact():
    from lmcore.history.artifacts import in_step

    assert in_step(PARAMS, ROOT / "dvc.yaml"), "run `lmcore use` and commit dvc.yaml"


def made_models(values: dict) -> set[str]:
    """The names of all models that some stage makes; no two stages make one of the same name."""
    made = {"untrained", "dummy", "unigram"}
    for section in (
        "trained",
        "keep_checkpoint",
        "distill_model",
        "finetune_model",
        "import_model",
    ):
        assert not made & set(values[section])
        made |= set(values[section])
    return made


def test_readme_tree_and_commands_exist():
    readme = (ROOT / "README.md").read_text()
    for target in re.findall(r"`make (\w+)`", readme):
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M), target
    for path in re.findall(r"\]\(((?!http)[^)#]+)\)", readme):
        assert (ROOT / path).exists(), path
    for stage in re.findall(r"dvc repro ([a-z_]+)", readme):
        assert stage in PIPELINE, stage


def test_tracked_files_hold_no_data_and_no_path_of_a_machine():
    files = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    for name in files:
        path = ROOT / name
        if path.is_file() and path.suffix in TEXT_SUFFIXES:
            assert path.stat().st_size < 1_000_000, name
            text = path.read_text("utf-8")
            assert not re.search(r"(?<![\w.])/(home|Users|root|work)/\w", text), name


def test_contributing_names_every_package_and_files_that_are_there():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    packages = {path.parent.name for path in (ROOT / "lmcore").glob("*/__init__.py")}
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.M)) == packages
    for path in re.findall(r"`((?:lmcore|tests)/[\w/]+\.py)`", text):
        assert "NAME" in path or (ROOT / path).exists(), path


def test_wheel_holds_every_file_of_a_package_that_is_no_module():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    shipped = set()
    for package, patterns in settings["tool"]["setuptools"]["package-data"].items():
        folder = ROOT / package.replace(".", "/")
        for pattern in patterns:
            shipped.update(folder.glob(pattern))
    listed = subprocess.run(
        ["git", "ls-files", "lmcore"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    others = {ROOT / name for name in listed if not name.endswith(".py")}
    assert others and others == shipped


def test_no_two_packages_import_each_other():
    arrows: dict[str, set[str]] = {}
    for path in (ROOT / "lmcore").rglob("*.py"):
        room = path.relative_to(ROOT / "lmcore").with_suffix("").parts[0]
        for module in re.findall(r"^\s*from lmcore\.(\w+)[\w.]* import", path.read_text(), re.M):
            if module != room:
                arrows.setdefault(room, set()).add(module)
    for room in arrows:
        reached, to_visit = set(), [room]
        while to_visit:
            for other in arrows.get(to_visit.pop(), set()) - reached:
                reached.add(other)
                to_visit.append(other)
        assert room not in reached, f"{room} imports itself by way of others"
