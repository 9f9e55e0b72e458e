import errno
import subprocess
import sys
from pathlib import Path

import pytest

from lmcore.errors import InputError
from stages.stage import call, params, recipe, section

ROOT = Path(__file__).parents[2]


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda text: Path("params.yaml").write_text(text)


def area(folder: Path, *, width: float, height: float = 1.0) -> float:
    return width * height


def test_call_takes_the_section_as_keyword_arguments(write):
    write("area: {width: 3, colour: red}")
    assert call(area, "area", without=("colour",), folder=Path()) == 3


def test_recipe_is_the_shared_section_with_what_one_entry_says_otherwise(write):
    write("area: {width: 3, height: 1}\nfields: {one: {height: 5, owner: me}, two: null}")
    assert recipe("area", "fields.one", without=("owner",)) == {"width": 3, "height": 5}
    assert call(area, "area", recipe("area", "fields.one", without=("owner",)), folder=Path()) == 15
    assert recipe("area", "fields.two") == {"width": 3, "height": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("area: {wdth: 3}", "params.yaml: area: unknown key 'wdth'; expected width, height"),
        ("area: {height: 3}", "params.yaml: area: the key 'width' is missing"),
        ("volume: {}", "params.yaml: there is no 'area'; sections are volume"),
    ],
)
def test_call_bad_section_is_named(write, text, message):
    write(text)
    with pytest.raises(InputError, match=message):
        call(area, "area", folder=Path())


@pytest.mark.parametrize("text", ["models: [a-b]", "suites: {v1.5: {}}", "import_model: {Big: {}}"])
def test_params_name_that_breaks_dvc_is_refused(write, text):
    write(text)
    with pytest.raises(InputError, match="must consist of a-z, 0-9 and _ alone"):
        params()


def test_section_follows_dots(write):
    write("a: {b: {c: 1}}")
    assert section("a.b") == {"c": 1}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("from lmcore.errors import InputError; raise InputError('corpus.txt: empty')", "error: corpus.txt: empty\n"),
        (
            f"raise OSError({errno.ENOSPC}, 'No space left on device', 'out.parquet')",
            "error: out.parquet: No space left on device; nothing was written\n",
        ),
        (f"raise OSError({errno.EACCES}, 'Permission denied', 'data')", "error: data: Permission denied; nothing was written\n"),
        ("open('no/such/file')", "error: no/such/file: No such file or directory; nothing was written\n"),
        (f"raise OSError({errno.EROFS}, 'Read-only file system')", "error: output: Read-only file system; nothing was written\n"),
    ],
)
def test_run_prints_one_line_and_exits_1(body, message):
    script = f"from stages.stage import run\ndef main():\n    {body}\nrun(main)"
    result = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert (result.returncode, result.stdout, result.stderr) == (1, "", message)
