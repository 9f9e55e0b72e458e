"""What every stage does: read its section of params.yaml, call a function, fail in one line."""

import errno
import re
import subprocess
import sys
from pathlib import Path
from typing import TypedDict

import pytest

from lmcore.errors import InputError
from lmcore.params.ranges import Name, Positive
from stages.stage import call, params, recipe, section

ROOT = Path(__file__).parents[2]


@pytest.fixture
def write(tmp_path, monkeypatch):
    """A function that writes params.yaml in the current folder, which is empty before."""
    monkeypatch.chdir(tmp_path)
    return lambda text: Path("params.yaml").write_text(text)


def area(folder: Path, *, width: Positive, height: Positive = 1.0) -> float:
    return width * height


class Own(TypedDict, total=False):
    owner: Name


def test_call_takes_the_section_as_keyword_arguments(write):
    write("area: {width: 3, colour: red}")
    assert call(area, "area", without=("colour",), folder=Path()) == 3


def test_recipe_is_the_shared_section_with_what_one_entry_says_otherwise(write):
    write("area: {width: 3, height: 1}\nfields: {one: {height: 5, owner: me}, two: null}")
    values = recipe("area", "fields.one", area, Own, without=("owner",))
    assert values == {"width": 3, "height": 5}
    assert call(area, "area", values, folder=Path()) == 15
    assert recipe("area", "fields.two", area, Own) == {"width": 3, "height": 1}


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ("{width: 1, height: 0}", "params.yaml: fields.one.height: expected a number above 0"),
        ("{width: 1, owner: Me}", "params.yaml: fields.one.owner: expected a name"),
        ("{}", "params.yaml: area.width: expected a number above 0"),
        ("{width: 1, hight: 2}", "params.yaml: area, fields.one: unknown key 'hight'"),
        ("[]", "params.yaml: fields.one: expected a mapping, not []"),
    ],
)
def test_recipe_names_the_section_in_which_the_value_stands(write, own, message):
    write(f"area: {{width: -1}}\nfields: {{one: {own}}}")
    with pytest.raises(InputError, match="^" + re.escape(message)):
        recipe("area", "fields.one", area, Own)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("area: {wdth: 3}", "params.yaml: area: unknown key 'wdth'; expected width, height"),
        ("area: {height: 3}", "params.yaml: area: the key 'width' is missing"),
        ("volume: {}", "params.yaml: there is no 'area'; sections are volume"),
        (
            "area: {width: true}",
            "params.yaml: area.width: "
            "expected a number above 0 and at most 1,000,000,000, not true",
        ),
        ("area: {width: .nan}", "params.yaml: area.width: expected a number .*, not NaN"),
        ("area:", "params.yaml: area: expected a mapping, not null"),
        ("area: {}", "params.yaml: area: the key 'width' is missing"),
        ("area: [width]", 'params.yaml: area: expected a mapping, not ."width".'),
        ("- area", "params.yaml: expected a mapping of sections"),
        ("", "params.yaml: there is no 'area'; sections are $"),
        ("area: {width: 1\n", "params.yaml: line 2: not a readable YAML file: "),
        (
            "area:\n  width: 1\n  width: 2\n",
            'params.yaml: line 3: not a readable YAML file: found duplicate key "width"',
        ),
    ],
)
def test_call_bad_section_is_named(write, text, message):
    write(text)
    with pytest.raises(InputError, match=message):
        call(area, "area", folder=Path())


def test_call_of_an_empty_mapping_is_not_the_whole_section(write):
    write("area: {width: 3}")
    with pytest.raises(InputError, match="the key 'width' is missing"):
        call(area, "area", {}, folder=Path())


def test_params_are_read_as_dvc_reads_them(write):
    write("area: {width: 010, height: 1e-1}\nno: no\n")
    assert params() == {"area": {"width": 10, "height": 0.1}, "no": "no"}
    assert call(area, "area", folder=Path()) == 1


@pytest.mark.parametrize("text", ["models: [a-b]", "suites: {v1.5: {}}", "import_model: {Big: {}}"])
def test_params_name_that_breaks_dvc_is_refused(write, text):
    write(text)
    with pytest.raises(InputError, match="expected a name of a-z, 0-9 and _ alone"):
        params()


def test_section_follows_dots(write):
    write("a: {b: {c: 1}}")
    assert section("a.b", dict) == {"c": 1}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "from lmcore.errors import InputError; raise InputError('corpus.txt: empty')",
            "error: corpus.txt: empty\n",
        ),
        (
            f"raise OSError({errno.ENOSPC}, 'No space left on device', 'out.parquet')",
            "error: out.parquet: No space left on device; "
            "free some space and run again; nothing was written\n",
        ),
        (
            f"raise OSError({errno.EACCES}, 'Permission denied', 'data')",
            "error: data: Permission denied; "
            "see `ls -ld` of it and of its folder for who may; nothing was written\n",
        ),
        (
            "open('no/such/file')",
            "error: no/such/file: No such file or directory; nothing was written\n",
        ),
        (
            f"raise OSError({errno.EROFS}, 'Read-only file system', 'data')",
            "error: data: Read-only file system; "
            "name another place, or make this one writable; nothing was written\n",
        ),
    ],
)
def test_run_prints_one_line_and_exits_1(body, message):
    script = f"from stages.stage import run\ndef main():\n    {body}\nrun(main)"
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True
    )
    assert (result.returncode, result.stdout, result.stderr) == (1, "", message)
