"""The results of a git revision, or of the workspace.

A revision's name goes in, its params, pipeline, dvc.lock and tables come out.

This is the one module that knows DVC and where the pipeline puts things. Nothing is checked out:
tables come from the DVC cache, else from the remote of the workspace, whatever that revision's own
.dvc/config said.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from lmcore.errors import InputError
from lmcore.params import yaml_text
from lmcore.tables import CLUSTER, has_cluster

SCORES, ITEMS, TOKENS = "data/scores", "data/items", "data/tokens"
# git tracks these
METRICS, INTERVALS, SIGNAL = "metrics/models", "metrics/intervals.json", "metrics/signal.json"
# columns that are read as dictionaries: a value once, not once a row
REPEATED = ["item", "group", "metric", "variant", CLUSTER]


def _there(columns: list[str], source: Any) -> list[str]:
    """The columns, without CLUSTER where the Parquet file `source` has none."""
    return [name for name in columns if name != CLUSTER or has_cluster(source)]


def repository() -> Path:
    """The folder of the repository that the current folder is in.

    Raises InputError outside of a repository.
    """
    for folder in (Path.cwd(), *Path.cwd().parents):
        if (folder / ".dvc").is_dir() and (folder / "dvc.yaml").is_file():
            return folder
    raise InputError(
        f"{Path.cwd()}: neither here nor above is a repository with .dvc and dvc.yaml; "
        "run this inside one"
    )


class MissingFile(InputError):
    """A file that a revision should have, and that is in neither workspace, cache nor remote."""

    def __init__(self, message: str, revision: "Revision", path: str):
        super().__init__(message)
        self.revision, self.path = revision, path


class Declared(NamedTuple):
    """A stage of dvc.yaml, filled in with params.yaml; paths are those in the repository."""

    command: str | list[str]
    deps: list[str]
    params: dict[str, list[str]]  # of each file the keys; none: all of them
    outs: list[str]


class Revision:
    """A revision's files by their paths in the repository.

    `rev` is a branch, tag, commit or experiment; None is the workspace. Raises InputError for an
    unknown revision, and for an empty one: an unset variable must not stand for the workspace.
    """

    def __init__(self, root: Path, rev: str | None):
        self.root, self.rev = root, rev
        self.name = "workspace"
        self._objects: dict[str, dict[str, dict]] = {}  # JSON files that were read
        self._files: Any = None  # DVC's file system of a git revision
        if rev is not None:
            self._files, commit = _open(root, rev)
            self.name = f"{rev} ({commit[:7]})"
            # HEAD is another commit once the remedy was followed
            self._to_check_out = commit[:7] if "HEAD" in rev or "@" in rev else rev

    def text(self, path: str) -> str | None:
        """A file that git tracks, None where this revision has none."""
        try:
            if self._files is None:
                return (self.root / path).read_text("utf-8")
            return self._files.read_text(path, encoding="utf-8")
        except FileNotFoundError:
            return None

    @cached_property
    def params(self) -> dict[str, Any]:
        """params.yaml."""
        return self._yaml("params.yaml")

    @cached_property
    def stages(self) -> dict[str, dict]:
        """The stages of dvc.lock: what they ran on and what came out."""
        return self._yaml("dvc.lock").get("stages", {})

    @cached_property
    def pipeline(self) -> dict[str, Declared]:
        """The stages of dvc.yaml by name, those of a matrix one by one.

        There are none where this is no DVC repository.

        Raises InputError for a dvc.yaml that DVC cannot read.
        """
        from dvc.dependency.param import ParamsDependency
        from dvc.exceptions import DvcException
        from dvc.stage import PipelineStage

        if self._repo is None:
            return {}

        def in_repository(dep_or_out: Any) -> str:
            return Path(os.path.relpath(dep_or_out.fs_path, self._repo.root_dir)).as_posix()

        try:
            stages = self._repo.index.stages
        except DvcException as error:
            raise InputError(f"{self.name}: {' '.join(str(error).split())}") from error
        declared = {}
        for stage in stages:
            if not isinstance(stage, PipelineStage):
                continue
            param_files = [dep for dep in stage.deps if isinstance(dep, ParamsDependency)]
            declared[stage.name] = Declared(
                command=stage.cmd,
                deps=[in_repository(dep) for dep in stage.deps if dep not in param_files],
                params={in_repository(dep): list(dep.params) for dep in param_files},
                outs=[in_repository(out) for out in stage.outs],
            )
        return declared

    def values(self, path: str) -> dict:
        """A file of parameters, YAML or JSON, that git tracks; empty where there is none."""
        return self._yaml(path)

    def metrics(self, model: str) -> dict[str, dict[str, Any]]:
        """{suite: {metric: value}} of a model; empty where it has none. Raises as `intervals`."""
        return self._json(f"{METRICS}/{model}.json")

    @property
    def intervals(self) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
        """{model: {suite: {metric: {low, high, n, se}}}} of the metrics; empty where there is none.

        Raises InputError where the file is no JSON object of objects.
        """
        return self._json(INTERVALS)

    @property
    def signal(self) -> dict[str, dict[str, Any]]:
        """{suite: signal and noise} as lmcore.comparing.signal has it; empty where there is none.

        Raises InputError where the file is no JSON object of objects.
        """
        return self._json(SIGNAL)

    def _json(self, path: str) -> dict[str, dict[str, Any]]:
        """A JSON file that git tracks, read once."""
        if path in self._objects:
            return self._objects[path]
        text = self.text(path)
        try:
            values = {} if text is None else json.loads(text)
        except json.JSONDecodeError as error:
            raise InputError(f"{self.name}: {path}: not JSON: {error}") from error
        if not (isinstance(values, dict) and all(isinstance(v, dict) for v in values.values())):
            raise InputError(f"{self.name}: {path}: expected a JSON object of objects")
        self._objects[path] = values
        return values

    def _yaml(self, path: str) -> dict:
        source = f"{self.name}: {path}"
        return yaml_text.load_mapping(self.text(path) or "", source, may_be_empty=True)

    @cached_property
    def _repo(self) -> Any:
        """DVC's own view of this revision, None where there is no DVC."""
        if self._files is not None:
            return self._files.repo
        from dvc.exceptions import NotDvcRepoError
        from dvc.repo import Repo

        try:
            return Repo(str(self.root))
        except NotDvcRepoError:
            return None

    def dvc_hash(self, path: str) -> str:
        """The hash of a file or folder, as dvc.lock has it.

        In the workspace it is that of what lies there, leftovers too. Where nothing lies there, as
        in a clone without data, and in a git revision, it is that of what DVC tracks. Raises
        InputError, as `table`.
        """
        from dvc.fs import DVCFileSystem, localfs
        from dvc_data.hashfile.build import build

        if self._files is None and (self.root / path).exists():
            location, files, ignore = str(self.root / path), localfs, self._repo.dvcignore
        elif made := self._made.get(path):
            return made
        else:
            location, files, ignore = path, self._files or DVCFileSystem(repo=self._repo), None
        cache = self._repo.cache.local
        with self._reading(path):
            _, _, hashed = build(cache, location, files, "md5", dry_run=True, ignore=ignore)
        return str(hashed.hash_info.value)

    @cached_property
    def _made(self) -> dict[str, str]:
        """The hashes in dvc.lock of the outputs that DVC keeps.

        Outputs in git are left out, since they may have changed since.
        """
        root = Path(self._repo.root_dir)
        kept = set()
        for out in self._repo.index.outs:
            if out.use_cache:
                kept.add(Path(out.fs_path).relative_to(root).as_posix())
        return {
            out["path"]: out.get("md5", "") for out in self._locked_outs() if out["path"] in kept
        }

    def _locked_outs(self) -> list[dict]:
        """The outputs of all stages in dvc.lock."""
        outs = []
        for stage in self.stages.values():
            outs += stage.get("outs", [])
        return outs

    def export(self, paths: list[str], folder: Path) -> None:
        """Copy what git tracks at these paths of a git revision to `folder`.

        A path that is not there is left out.
        """
        for path in paths:
            for name in self._files.find(path) if self._files.exists(path) else []:
                copy = folder / name.lstrip("/")
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(self.read(name))

    def md5(self, path: str) -> str:
        """The hash of a file that git or DVC tracks. Raises InputError, as `table`."""
        if self._files is None:
            if not (self.root / path).is_file():
                raise self._missing(path)
            with (self.root / path).open("rb") as file:
                return hashlib.file_digest(file, "md5").hexdigest()
        with self._reading(path):
            info = self._files.info(path)
            return info["md5"] if "md5" in info else hashlib.md5(self.read(path)).hexdigest()

    def files(self, path: str) -> list[str]:
        """The files in a folder, or the file itself, sorted. Raises InputError, as `table`."""
        if self._files is None:
            location = self.root / path
            inside = sorted(location.rglob("*")) if location.is_dir() else [location]
            names = [file.relative_to(self.root).as_posix() for file in inside if file.is_file()]
        else:
            with self._reading(path):
                names = sorted(self._files.find(path))
        if not names:
            raise self._missing(path)
        return names

    def read(self, path: str) -> bytes:
        """The content of a file that git or DVC tracks. Raises InputError, as `table`."""
        if self._files is None:
            return (self.root / path).read_bytes()
        with self._reading(path):
            return self._files.read_bytes(path)

    def table(self, path: str, columns: list[str]) -> pa.Table:
        """Columns of a Parquet file, repeated texts as dictionaries.

        CLUSTER may be among the columns; it is read where there is one. Raises InputError where the
        file is in neither workspace, cache nor remote, saying what brings it back, and where it is
        no Parquet table.
        """
        options: dict[str, Any] = {"read_dictionary": REPEATED}
        local_options: dict[str, Any] = {**options, "partitioning": None, "memory_map": True}
        try:
            if self._files is None:
                local = self.root / path
                return pq.read_table(local, columns=_there(columns, local), **local_options)
            with self._reading(path), self._files.open(path) as file:
                name = getattr(file, "name", None)
                # in the cache or in a remote on this machine
                if isinstance(name, str) and Path(name).is_file():
                    return pq.read_table(name, columns=_there(columns, name), **local_options)
                columns = _there(columns, file)
                file.seek(0)
                return pq.read_table(file, columns=columns, **options)
        except FileNotFoundError:
            raise self._missing(path) from None
        except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
            raise InputError(
                f"{self.name}: {path}: not a readable Parquet table: {error}"
            ) from error

    @contextmanager
    def _reading(self, path: str) -> Iterator[None]:
        """Let DVC's errors of reading `path` become an InputError, as `_missing`."""
        from dvc.exceptions import DvcException
        from dvc_data.index import DataIndexDirError

        try:
            yield
        except (FileNotFoundError, DataIndexDirError, DvcException) as error:
            raise self._missing(path) from error

    @property
    def remedy(self) -> str:
        """What brings the tables of this revision here."""
        if self._files is None:
            return "`dvc checkout`, `dvc pull` or `dvc repro` here"
        return (
            "`dvc push` where it was made, "
            f"or make it here: `git checkout {self._to_check_out} && dvc repro`, commit, "
            "`git checkout - && dvc checkout`"
        )

    def _missing(self, path: str) -> InputError:
        """An error that says why `path` is not there, and what brings it back."""
        if self._files is None:
            message = f"{self.name}: {path} is missing; `dvc repro` makes it"
            return MissingFile(message, self, path)
        outs = [out["path"] for out in self._locked_outs()]
        if not any(f"{path}/".startswith(f"{out}/") or out.startswith(f"{path}/") for out in outs):
            return InputError(
                f"{self.name}: its dvc.lock has no {path}; "
                "run `dvc repro` there and commit dvc.lock"
            )
        message = f"{self.name}: {path} is in neither the DVC cache nor a remote; {self.remedy}"
        return MissingFile(message, self, path)


def _open(root: Path, rev: str) -> tuple[Any, str]:
    """DVC's file system of a git revision, and the hash of its commit.

    Raises InputError for an unknown revision, and for an empty one.
    """
    if not rev.strip() or rev.startswith("-"):
        raise InputError(
            f"'{rev}' is no revision (an unset variable?); "
            "expected a branch, tag, commit or experiment"
        )
    from dvc.api import DVCFileSystem
    from dvc.config import Config
    from dvc.exceptions import DvcException

    config = Config(str(root / ".dvc"))
    try:
        files = DVCFileSystem(
            str(root), rev=rev, config={"core": config["core"], "remote": config["remote"]}
        )
        return files, files.repo.get_rev()
    except DvcException as error:
        raise InputError(
            f"{rev}: {error}; in a shallow clone (CI) fetch the whole history, "
            "`git fetch --unshallow`"
        ) from error
    except AttributeError as error:  # what DVC raises for the name of a file or folder, HEAD:lmcore
        raise InputError(
            f"{rev}: names no commit; expected a branch, tag, commit or experiment"
        ) from error
