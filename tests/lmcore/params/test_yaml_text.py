import pytest

from lmcore.errors import InputError
from lmcore.params import yaml_text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("010", 10),
        ("0o10", 8),
        ("1e-5", 1e-5),
        ("12:30", "12:30"),
        ("~", None),
        ("true", True),
    ],
)
def test_load_reads_as_dvc_does(text, value):
    from dvc.utils.serialize import parse_yaml

    found = yaml_text.load(f"a: {text}", "x.yaml")
    assert found == {"a": value} == parse_yaml(f"a: {text}", "x.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2", 'x.yaml: line 2: not a readable YAML file: found duplicate key "a"'),
        ("a:\n  - [1\nb: 2", "x.yaml: line 3: not a readable YAML file: "),
        ("a: 1\nb: *c", "x.yaml: line 2: not a readable YAML file: found undefined alias 'c'"),
        ("a: 1\nb: \x07", "x.yaml: line 2: not a readable YAML file: the character #x0007"),
        (
            "a: 1\nb: 2026-99-99",
            "x.yaml: line 2: not a readable YAML file: not a value of its kind: ",
        ),
        (
            "a: 1\nb: !!int ab",
            "x.yaml: line 2: not a readable YAML file: not a value of its kind: ",
        ),
        ("a: !!bool maybe", "x.yaml: line 1: not a readable YAML file: not a value of its kind: "),
        (
            "a: !!python/name:os.system",
            "x.yaml: line 1: not a readable YAML file: could not determine",
        ),
        ("--- 1\n--- 2", "x.yaml: line 2: not a readable YAML file: but found another document"),
        ("[" * 2000, "x.yaml: not a readable YAML file: "),
        (f"a: {'1' * 5000}", "x.yaml: line 1: not a readable YAML file: "),
        (
            '"\\e[31m": 1\n"\\e[31m": 2',
            "x.yaml: line 2: not a readable YAML file: found duplicate key",
        ),
    ],
)
def test_load_broken_text_is_one_line_with_its_number(text, message):
    with pytest.raises(InputError) as error:
        yaml_text.load(text, "x.yaml")
    assert str(error.value).startswith(message) and str(error.value).isprintable()


@pytest.mark.parametrize("text", ["", "# nothing", "a: 1"])
def test_load_mapping_empty_text_is_refused_unless_it_may_be_empty(text):
    values = yaml_text.load_mapping(text, "x.yaml", may_be_empty=True)
    assert values == ({"a": 1} if text == "a: 1" else {})
    if not values:
        with pytest.raises(InputError, match="expected a mapping of sections, not null"):
            yaml_text.load_mapping(text, "x.yaml")


def test_dump_keeps_comments_quotes_and_order():
    text = "b: 'x'  # why\n# more\na:\n  - 1\n"
    values = yaml_text.load(text, "x.yaml", keep_comments=True)
    values["c"] = 1e-5
    assert yaml_text.dump(values) == f"{text}c: 1e-05\n"
    assert yaml_text.load(yaml_text.dump(values), "x.yaml") == {"b": "x", "a": [1], "c": 1e-5}
