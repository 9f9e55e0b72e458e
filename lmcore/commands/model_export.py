"""Write a model of the pipeline in the layout of the Hugging Face hub, and upload it there.

The repository and the name of a model go in. A folder comes out: config.json, safetensors, the
files of the tokenizer, README.md (see lmcore.commands.model_card) and metrics.json. AutoTokenizer
and the Auto class of the model's kind load it, and give the ids and the logits that were scored
here.

What is not up to date is refused: a card with the recipe of one model and the weights of another
would be wrong without anybody seeing it.
"""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from lmcore.commands.model_card import Facts, model_card
from lmcore.commands.recipes import maker_of, recipe_of
from lmcore.errors import InputError
from lmcore.files import whole, write_json
from lmcore.history.artifacts import folder_of
from lmcore.history.revisions import Revision
from lmcore.history.staleness import stale
from lmcore.models.folder import is_control, read_config
from lmcore.models.imported import PROBE
from lmcore.models.llama import TOKENIZER_FILES
from lmcore.models.load import load_any
from lmcore.text.tokenizer import load_fast

MODEL_FILES = ("config.json", "generation_config.json", *TOKENIZER_FILES)
METRICS = "metrics/models"


def export_model(
    root: Path, name: str, out: Path, *, language: str | None, license: str | None
) -> list[str]:
    """Write the model `name` of the repository `root` to the folder `out`, whole or not at all.

    Returns the names of the files. `language` and `license` stand in the model card as given.

    Raises InputError for a model that params.yaml does not make, for a control, which transformers
    does not know, for whatever is not up to date, and for an `out` that holds anything.
    """
    out = out.absolute()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: is not empty; name a folder that does not exist")
    revision = Revision(root, None)
    folder = _checked_folder(revision, name)
    model = load_any(folder)
    facts = _facts(revision, name, folder, language, license)
    facts = facts._replace(n_parameters=sum(tensor.numel() for tensor in model.parameters()))
    with whole(out) as temporary:
        temporary.mkdir()
        for file in sorted(folder.iterdir()):
            if file.name in MODEL_FILES or file.name.startswith("model"):
                shutil.copyfile(file, temporary / file.name)
        _mend_tokenizer(name, temporary)
        (temporary / "README.md").write_text(model_card(facts), "utf-8")
        if facts.metrics:
            both = {"metrics": facts.metrics, "intervals": facts.intervals}
            write_json(both, temporary / "metrics.json")
        return sorted(file.name for file in temporary.iterdir())


def push_model(
    root: Path,
    name: str,
    repo: str,
    *,
    private: bool,
    revision: str | None,
    language: str | None,
    license: str | None,
) -> str:
    """Export a model as `export_model` does and upload it to the hub; returns the commit's address.

    The repository `repo` is made where there is none. Raises InputError without a token, offline,
    and where the hub refuses.
    """
    from huggingface_hub import HfApi, constants, get_token
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError
    from huggingface_hub.utils import disable_progress_bars

    if constants.is_offline_mode():
        raise InputError("HF_HUB_OFFLINE is set; unset it to push to the hub")
    if not get_token():
        raise InputError(
            "no token of the hub; set HF_TOKEN to one that may write, or run `hf auth login`"
        )
    disable_progress_bars()
    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
    with tempfile.TemporaryDirectory(prefix="lmcore-push-") as temporary:
        folder = Path(temporary) / name
        export_model(root, name, folder, language=language, license=license)
        try:
            api.create_repo(repo, private=private, exist_ok=True)
            if revision is not None:
                api.create_branch(repo, branch=revision, exist_ok=True)
            commit = api.upload_folder(
                repo_id=repo,
                folder_path=folder,
                revision=revision,
                commit_message=f"Upload {name} (lmcore, {_commit(root)[:7]})",
            )
        except (HfHubHTTPError, HFValidationError, OSError, RuntimeError) as error:
            raise InputError(f"{repo}: the hub does not take it: {_reason(error)}") from error
    return str(commit.commit_url)


def _reason(error: Exception) -> str:
    """What an error of the hub says, in one line; that of an upload is in its cause."""
    return " ".join(str(error.__cause__ or error).split())


def _checked_folder(revision: Revision, name: str) -> Path:
    """The model's folder. Raises InputError as `export_model`."""
    maker_of(name, revision.params)  # raises where there is none
    place = folder_of(name, revision.params)
    folder = revision.root / place
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such model yet; `dvc repro` makes it")
    config = read_config(folder)
    if is_control(config):
        raise InputError(
            f"{name}: is a control of this project, of the model type "
            f"'{config['model_type']}', which transformers does not know and cannot load"
        )
    paths = [place, METRICS] if name in revision.params["models"] else [place]
    if lines := stale(revision, paths):
        raise InputError(f"{name}: is not what params, data and code give now: {lines[0]}")
    return folder


def _facts(
    revision: Revision, name: str, folder: Path, language: str | None, license: str | None
) -> Facts:
    """What the card says, without the number of parameters."""
    params, root = revision.params, revision.root
    metrics: dict[str, Any] = {}
    intervals: dict[str, Any] = {}
    if name in params["models"]:
        metrics = _json(root / METRICS / f"{name}.json")
        intervals = _json(root / "metrics/intervals.json").get(name, {})
    return Facts(
        name=name,
        section=maker_of(name, params),
        recipe=recipe_of(name, params),
        config=read_config(folder),
        n_parameters=0,
        metrics=metrics,
        intervals=intervals,
        confidence=params["aggregate"]["confidence"],
        suites=params["suites"],
        corpus=_json(root / "metrics/corpus.json"),
        commit=_commit(root),
        language=language,
        license=license,
    )


def _json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text("utf-8"))


def _commit(root: Path) -> str:
    """The hash of the commit, with a remark where params, pipeline or results differ from it."""
    command = ["git", "-C", str(root), "rev-parse", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return "unknown (the repository has no commit yet)"
    tracked = ["params.yaml", "dvc.yaml", "dvc.lock", "code.json", "metrics"]
    changed = subprocess.run(
        ["git", "-C", str(root), "status", "--porcelain", "--", *tracked],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip() + (" and changes that are not committed" if changed.stdout else "")


def _mend_tokenizer(name: str, folder: Path) -> None:
    """Let AutoTokenizer give the ids that were scored.

    A tokenizer class of transformers may rebuild what it loads and lose a normaliser or a
    pre-tokenizer. The class that reads the tokenizer.json itself is named in its place. Raises
    InputError where that does not help.
    """
    expected = load_fast(folder).encode(PROBE, add_special_tokens=False).ids
    if _auto_ids(folder) == expected:
        return
    path = folder / "tokenizer_config.json"
    config = _json(path) if path.exists() else {}
    write_json({**config, "tokenizer_class": "PreTrainedTokenizerFast"}, path)
    if _auto_ids(folder) != expected:
        raise InputError(
            f"{name}: AutoTokenizer would give other ids than the tokenizer.json that was scored"
        )


def _auto_ids(folder: Path) -> list[int]:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False
    )
    return tokenizer(PROBE, add_special_tokens=False)["input_ids"]
