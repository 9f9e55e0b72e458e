"""Which safetensors files of a model folder hold its weights, and whether the folder is at one with itself.

A folder goes in; the files, or the names and shapes of their tensors, come out. The safetensors
library alone reads them.
"""

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
    """Where a tensor lies, and its shape."""

    file: Path
    shape: tuple[int, ...]


def weight_files(path: Path) -> list[Path]:
    """The files that hold the model's weights: those of the index, or model.safetensors.

    Raises InputError where there are none, or where the folder leaves open which they are.
    """
    for name in ADAPTERS:
        if (path / name).exists():
            raise InputError(
                f"{path / name}: an adapter beside the weights; merge it into the model and save that"
            )
    if (path / INDEX).exists():
        names = sorted(set(_weight_map(path).values()))
    elif (path / SINGLE).is_file():
        names = [SINGLE]
    else:
        raise InputError(f"{path}: no {SINGLE}; {_found_instead(path)}")
    for name in names:
        if Path(name).name != name or not (path / name).is_file():
            raise InputError(f"{path / INDEX}: names the file '{name}', which is not in the folder")
    return [path / name for name in names]


def tensors(path: Path) -> dict[str, Tensor]:
    """Every tensor of the model's files by its name.

    Raises InputError for a file that is no safetensors file, two files that hold the same tensor, and
    an index that says otherwise than its files.
    """
    files = weight_files(path)
    found: dict[str, Tensor] = {}
    for file in files:
        for name, shape in _shapes(file).items():
            if name in found:
                raise InputError(
                    f"{file}: holds the tensor '{name}', which {found[name].file.name} holds, too"
                )
            found[name] = Tensor(file, shape)
    if (path / INDEX).exists():
        _check_index(path, found)
    _refuse_rivals(path, files, found)
    return found


def place_of_weights(path: Path) -> Path:
    """The file that an error about the folder's weights names: the one file, or the index of several."""
    return path / INDEX if (path / INDEX).exists() else path / SINGLE


def refuse_untied(path: Path, is_same: bool) -> None:
    """Raises InputError where a tied model has a head of its own: it is open which of both is meant."""
    if not is_same:
        raise InputError(
            f"{path / 'config.json'}: 'tie_word_embeddings' is true, but the weights hold a head that "
            "differs from the embedding; set it to false if that head is meant"
        )


def _check_index(path: Path, found: dict[str, Tensor]) -> None:
    places = _weight_map(path)
    for name in sorted(places.keys() ^ found.keys()):
        where = (
            "is in none of its files"
            if name in places
            else f"of {found[name].file.name} is not in it"
        )
        raise InputError(f"{path / INDEX}: the tensor '{name}' {where}")


def _refuse_rivals(path: Path, files: list[Path], found: dict[str, Tensor]) -> None:
    """Refuse what transformers, or a reader of all files, would take for the same weights.

    Beside an index, a shard that it does not name is a leftover that nobody reads; model.safetensors is
    not, for transformers prefers it.
    """
    has_index = (path / INDEX).exists()
    others = [path / SINGLE] if has_index else sorted(path.glob("*.safetensors"))
    for file in others:
        if file in files or not file.is_file():
            continue
        same = sorted(found.keys() & _shapes(file).keys())
        if same:
            raise InputError(
                f"{file}: holds the tensor '{same[0]}', as {found[same[0]].file.name} does; leave in the folder the weights that are meant"
            )


def _shapes(file: Path) -> dict[str, tuple[int, ...]]:
    refuse_lfs_pointer(file)
    try:
        with safe_open(file, "np") as content:
            return {name: tuple(content.get_slice(name).get_shape()) for name in content.keys()}  # noqa: SIM118 (it is no dict)
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{file}: not a readable safetensors file: {str(error).splitlines()[0]}"
        ) from error


def _weight_map(path: Path) -> dict[str, str]:
    index = read_json_object(path / INDEX, "an index of safetensors files")
    places = index.get("weight_map")
    if (
        not isinstance(places, dict)
        or not places
        or not all(isinstance(name, str) for name in places.values())
    ):
        raise InputError(
            f"{path / INDEX}: expected 'weight_map', an object of tensor names and file names"
        )
    return places


def _found_instead(path: Path) -> str:
    others = sorted(file.name for file in path.glob("*.safetensors"))
    if others:
        return f"{', '.join(others[:4])} are named by no {INDEX}"
    pickles = sorted(file.name for file in path.iterdir() if file.suffix in PICKLES)
    if pickles:
        return f"pickled weights ({pickles[0]}) are never loaded; convert them to safetensors"
    return "a model folder without weights cannot be scored"
