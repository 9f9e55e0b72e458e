"""Find the safetensors files that hold a model's weights, and check that they fit together.

A model folder goes in. The files, or the names and shapes of their tensors, come out. Only the
safetensors library reads them.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError, safe_open

from lmcore.errors import InputError
from lmcore.files import read_json_object, refuse_lfs_pointer

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack")
ADAPTERS = ("adapter_config.json", "adapter_model.safetensors")


class Tensor(NamedTuple):
    """The file that holds a tensor, and the tensor's shape."""

    file: Path
    shape: tuple[int, ...]


def weight_files(path: Path) -> list[Path]:
    """The files that hold the model's weights: those of the index, or model.safetensors.

    Raises InputError where there are none, and where it is open which files are meant.
    """
    for name in ADAPTERS:
        if (path / name).exists():
            raise InputError(
                f"{path / name}: an adapter is not supported; "
                "merge it into the model and save the merged model"
            )
    if (path / INDEX).exists():
        names = sorted(set(_weight_map(path).values()))
    elif (path / SINGLE).is_file():
        names = [SINGLE]
    else:
        raise InputError(f"{path}: no {SINGLE}; {_files_instead(path)}")
    for name in names:
        if Path(name).name != name or not (path / name).is_file():
            raise InputError(f"{path / INDEX}: names the file '{name}', which is not in the folder")
    return [path / name for name in names]


def tensors(path: Path) -> dict[str, Tensor]:
    """Every tensor of the model's files by its name.

    Raises InputError for a file that is no safetensors file, for two files that hold the same
    tensor, for an index that says otherwise than its files, and for a file outside the index that
    could be taken for the weights.
    """
    files = weight_files(path)
    by_name: dict[str, Tensor] = {}
    for file in files:
        for name, shape in _shapes(file).items():
            if name in by_name:
                raise InputError(
                    f"{file}: holds the tensor '{name}', and so does {by_name[name].file.name}"
                )
            by_name[name] = Tensor(file, shape)
    if (path / INDEX).exists():
        _check_index(path, by_name)
    _refuse_rivals(path, files, by_name)
    return by_name


def place_of_weights(path: Path) -> Path:
    """The file that an error about the folder's weights names: the index, or the only file."""
    return path / INDEX if (path / INDEX).exists() else path / SINGLE


def refuse_untied(path: Path, is_same: bool) -> None:
    """Raises InputError where a tied model has an output head of its own.

    is_same: whether the head is the embedding. If not, it is open which of the two is meant.
    """
    if not is_same:
        raise InputError(
            f"{path / 'config.json'}: 'tie_word_embeddings' is true, but the weights hold a head "
            "that differs from the embedding; set it to false if that head is meant"
        )


def _check_index(path: Path, by_name: dict[str, Tensor]) -> None:
    """Raises InputError where the index and its files do not name the same tensors."""
    files = _weight_map(path)
    for name in sorted(files.keys() ^ by_name.keys()):
        if name in files:
            where = "is in none of its files"
        else:
            where = f"of {by_name[name].file.name} is not in it"
        raise InputError(f"{path / INDEX}: the tensor '{name}' {where}")


def _refuse_rivals(path: Path, files: list[Path], by_name: dict[str, Tensor]) -> None:
    """Refuse other files that transformers, or a reader of all files, would take for the weights.

    Beside an index, a shard that it does not name is a leftover that nobody reads. That is not true
    of model.safetensors, because transformers prefers it. Raises InputError.
    """
    has_index = (path / INDEX).exists()
    others = [path / SINGLE] if has_index else sorted(path.glob("*.safetensors"))
    for file in others:
        if file in files or not file.is_file():
            continue
        repeated = sorted(by_name.keys() & _shapes(file).keys())
        if repeated:
            raise InputError(
                f"{file}: holds the tensor '{repeated[0]}', and so does "
                f"{by_name[repeated[0]].file.name}; keep only the weights that are meant"
            )


def _shapes(file: Path) -> dict[str, tuple[int, ...]]:
    """The shapes of the tensors in a safetensors file, by name."""
    refuse_lfs_pointer(file)
    try:
        with safe_open(file, "np") as content:
            names = content.keys()
            return {name: tuple(content.get_slice(name).get_shape()) for name in names}
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{file}: not a readable safetensors file: {str(error).splitlines()[0]}"
        ) from error


def _weight_map(path: Path) -> dict[str, str]:
    """The file name of each tensor, as the index of the folder has it."""
    index = read_json_object(path / INDEX, "an index of safetensors files")
    files = index.get("weight_map")
    if not isinstance(files, dict) or not files or not _all_texts(files.values()):
        raise InputError(
            f"{path / INDEX}: expected 'weight_map', an object of tensor names and file names"
        )
    return files


def _all_texts(values: Iterable) -> bool:
    return all(isinstance(value, str) for value in values)


def _files_instead(path: Path) -> str:
    """For an error: what the folder has where its weights are missing."""
    others = sorted(file.name for file in path.glob("*.safetensors"))
    if others:
        return f"there is no {INDEX} that names {', '.join(others[:4])}"
    pickles = sorted(file.name for file in path.iterdir() if file.suffix in PICKLES)
    if pickles:
        return f"pickled weights ({pickles[0]}) are never loaded; convert them to safetensors"
    return "a model folder without weights cannot be scored"
