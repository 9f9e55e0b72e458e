"""The suites of the explorations.

What is shipped is complete, what users bring is checked, and no shot is ever an item.
"""

import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lmcore.corpus.documents import DOCUMENTS
from lmcore.errors import InputError
from lmcore.suites.build import build_suite
from lmcore.suites.tasks import cloze, domains, formats, memorisation, passages, prompting
from lmcore.suites.templates import fill, read_prompts, read_templates

ROOT = Path(__file__).parents[4]
SUITES = ROOT / "data" / "suites"
CLASSES = ["negative", "neutral", "positive"]
YAML = """
strategies:
  instruction: {template: "Which? {text}:", labels: {negative: bad, neutral: fair, positive: good}}
  shown: {template: "{text} =", labels: {negative: bad, neutral: fair, positive: good}, shots: true}
content_free: ["N/A", "-"]
"""


def built(entry: dict) -> list[dict]:
    return build_suite(entry["task"], entry, Path("sources"), Path("corpus")).to_pylist()


def test_shipped_cloze_has_sixty_facts_in_several_relations() -> None:
    records = cloze.build(SUITES / "cloze.csv")
    assert len(records) >= 60 and len({record["group"] for record in records}) >= 6
    assert len({record["context"] for record in records}) == len(records)
    assert all(len(set(record["options"])) == 3 and record["gold"] == 0 for record in records)


def test_shipped_formats_have_forty_questions_twelve_formats_and_five_sources() -> None:
    path = SUITES / "formats.yaml"
    records = formats.build(SUITES / "questions.csv", templates=str(path))
    named, triggers = read_templates(path)
    wanted = {
        "stackoverflow",
        "wikipedia",
        "textbook",
        "reddit",
        "documentation",
        "chat",
        "academic",
    }
    wanted |= {"json", "plain", "reversed", "leetspeak", "uppercase"}
    assert len(records) >= 40 and wanted <= set(named)
    assert set(triggers) == {"stackoverflow", "wikipedia", "academic", "documentation", "code"}
    assert {entry["kind"] for entry in named.values()} == {"natural", "plain", "unnatural"}
    paris = records[0]
    assert paris["context"] == "What is the capital of France?" and paris["options"][0] == "Paris"
    assert paris["variants"]["format/reversed"]["context"] == "?ecnarF fo latipac eht si tahW"
    assert paris["variants"]["format/leetspeak"]["context"] == "Wh47 15 7h3 c4p174l 0f Fr4nc3?"
    as_json = json.loads(paris["variants"]["format/json"]["context"] + ' Paris"}')
    assert as_json["question"] == "What is the capital of France?"
    assert paris["variants"]["trigger/wikipedia/0"]["context"].endswith(
        " What is the capital of France?"
    )


def test_format_variants_share_the_answer_and_change_with_one_template_alone(
    tmp_path: Path,
) -> None:
    (tmp_path / "q.csv").write_text("question,answer,incorrect\nWho?,Ann,Bob\nWhere?,Rome,Oslo\n")
    text = """
formats:
  plain: {kind: plain, template: "{question}"}
  chat: {kind: natural, template: "U: {question} A:"}
  loud: {kind: unnatural, template: '{question:uppercase}'}
triggers: {books: [It is said:]}
"""
    (tmp_path / "one.yaml").write_text(text)
    (tmp_path / "two.yaml").write_text(text.replace("U: ", "You: "))
    entry = {"task": "formats", "path": str(tmp_path / "q.csv")}
    one, two = (
        built({**entry, "templates": str(tmp_path / name)}) for name in ("one.yaml", "two.yaml")
    )
    assert Counter(row["variant"] for row in one) == {
        "": 4,
        "format/chat": 4,
        "format/loud": 4,
        "trigger/books/0": 4,
    }
    assert {row["target"] for row in one} == {" Ann", " Bob", " Rome", " Oslo"}
    changed = {a["variant"] for a, b in zip(one, two, strict=True) if a["context"] != b["context"]}
    assert changed == {"format/chat"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "formats: {a: {kind: natural, template: '{question}'}}\ntriggers: {b: [c]}",
            "must have one called 'plain'",
        ),
        (
            "formats: {plain: {kind: odd, template: '{question}'}}\ntriggers: {b: [c]}",
            "must have a kind",
        ),
        (
            "formats: {plain: {kind: plain, template: 'What?'}}\ntriggers: {b: [c]}",
            "has no {question}",
        ),
        (
            "formats: {plain: {kind: plain, template: '{question}'}}\ntriggers: {b: c}",
            "must be a list of texts",
        ),
        (
            "formats: [plain]\ntriggers: {b: [c]}",
            "the key 'formats' must be a mapping that is not empty",
        ),
        (
            "formats: {plain: {kind: plain, template: '{question}'}}",
            "the key 'triggers' must be a mapping that is not empty",
        ),
        ("formats: {a: b: c}", "not a readable YAML file"),
    ],
)
def test_templates_that_cannot_be_used_fail_naming_the_file(
    tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "t.yaml").write_text(text)
    with pytest.raises(InputError, match="t.yaml.*" + message):
        read_templates(tmp_path / "t.yaml")


def test_fill_refuses_unknown_fields_and_ways() -> None:
    assert fill("{{{text:uppercase}}}", "t", text="ab") == "{AB}"
    for template in ("{other}", "{text:upside_down}", "{text", "{0}"):
        with pytest.raises(InputError, match="cannot be filled"):
            fill(template, "t", text="ab")


def test_shipped_memorisation_pairs_put_the_familiar_prompt_first() -> None:
    records = memorisation.build(SUITES / "memorisation")
    assert Counter(record["group"] for record in records) == {
        "exact_paraphrase": 20,
        "common_novel": 20,
        "standard_counterfactual": 20,
    }
    assert all(
        record["options"][0] == record["options"][1]
        for record in records
        if record["group"] != "standard_counterfactual"
    )


def test_memorisation_takes_a_users_file_and_names_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(
        "in_distribution,out_of_distribution,target\n"
        "The cat sat on the,Upon the rug there lay a,mat\n"
    )
    rows = built({"task": "memorisation", "path": str(path)})
    assert [(row["option"], row["context"], row["target"]) for row in rows] == [
        (0, "The cat sat on the", " mat"),
        (1, "Upon the rug there lay a", " mat"),
    ]
    path.write_text("first,second,target\na,b,c\n")
    with pytest.raises(
        InputError,
        match=r"mine.csv: line 2: expected a column target and one of these pairs of",
    ):
        memorisation.build(path)


def test_task_without_its_path_says_so() -> None:
    with pytest.raises(InputError, match="task cloze needs the key 'path'"):
        built({"task": "cloze"})


def reviews(path: Path, n: int = 8) -> Path:
    """A file of `n` texts for each of CLASSES, with the first text a second time at the end."""
    rows = []
    for number in range(n):
        rows += [f"{label} text number {number},{label}" for label in CLASSES]
    path.write_text("text,label\n" + "\n".join([*rows, rows[0]]) + "\n")
    return path


@pytest.mark.parametrize(("shots", "seed"), [(0, 0), (3, 0), (6, 1), (9, 2)])
def test_shots_are_balanced_seeded_and_never_among_the_items(
    tmp_path: Path, shots: int, seed: int
) -> None:
    (tmp_path / "p.yaml").write_text(YAML)
    settings = {
        "prompts": str(tmp_path / "p.yaml"),
        "classes": CLASSES,
        "shots": shots,
        "seed": seed,
    }
    records = prompting.build(reviews(tmp_path / "r.csv"), **settings)
    assert records == prompting.build(tmp_path / "r.csv", **settings) and len(records) == 24 - shots
    shown = records[0]["variants"]["shown"]["context"].split("\n\n")[:-1]
    assert Counter(shot.split("= ")[1] for shot in shown) == Counter(
        dict.fromkeys(("bad", "fair", "good"), shots // 3) if shots else {}
    )
    items = {record["context"].removeprefix("Which? ").removesuffix(":") for record in records}
    assert not items & {shot.split(" =")[0] for shot in shown}
    for record in records:
        assert record["variants"]["shown"]["context"].split("\n\n")[:-1] == shown
    assert set(records[0]["variants"]) == {
        "instruction/free/0",
        "instruction/free/1",
        "shown",
        "shown/free/0",
        "shown/free/1",
    }
    assert records[0]["variants"]["shown/free/0"]["context"].endswith("N/A =")


def test_users_own_shots_are_taken_and_set_apart(tmp_path: Path) -> None:
    examples = "[{text: negative text number 3, label: negative}, {text: new, label: positive}]"
    (tmp_path / "p.yaml").write_text(f"{YAML}examples: {examples}\n")
    records = prompting.build(
        reviews(tmp_path / "r.csv"),
        prompts=str(tmp_path / "p.yaml"),
        classes=CLASSES,
        shots=0,
        seed=0,
    )
    assert len(records) == 23
    for record in records:
        assert not ("number 3:" in record["context"] and "negative" in record["context"])
    assert records[0]["variants"]["shown"]["context"].startswith(
        "negative text number 3 = bad\n\nnew = good\n\n"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shots": 4}, "shots must be a multiple of 3, the number of classes"),
        ({"shots": 24}, "too few for 8 shots"),
        ({"classes": ["negative", "positive"]}, "must have a label for each class"),
    ],
)
def test_prompting_that_cannot_be_fails(tmp_path: Path, change: dict, message: str) -> None:
    (tmp_path / "p.yaml").write_text(YAML)
    settings = {
        "prompts": str(tmp_path / "p.yaml"),
        "classes": CLASSES,
        "shots": 3,
        "seed": 0,
        **change,
    }
    with pytest.raises(InputError, match=message):
        prompting.build(reviews(tmp_path / "r.csv"), **settings)


def numbered_words(letter: str) -> list[str]:
    """Twelve texts of eight words, all of them different: `letter` and a number."""
    texts = []
    for start in range(0, 96, 8):
        texts.append(" ".join(f"{letter}{number}" for number in range(start, start + 8)))
    return texts


def corpus_of(folder: Path, train: list[str], test: list[str]) -> Path:
    for name, texts in {"train": train, "test": test}.items():
        rows = [
            {"document": f"b/{name}/{n}", "group": "b", "text": text}
            for n, text in enumerate(texts)
        ]
        pq.write_table(pa.Table.from_pylist(rows, DOCUMENTS), folder / f"{name}.parquet")
    return folder


def test_passages_are_counted_and_matched_with_ones_held_out(tmp_path: Path) -> None:
    once = numbered_words("w")
    twice, thrice = "a b c d e f g h", "p q r s t u v w"
    held = [*numbered_words("v"), once[0]]
    corpus = corpus_of(tmp_path, [*once, twice, thrice, twice, thrice, thrice], held)
    records = passages.build(corpus, n=5, context_words=5, target_words=3, seed=0)
    assert Counter(record["group"] for record in records) == {
        "seen_1": 5,
        "seen_2": 1,
        "seen_3_or_more": 1,
    }
    texts = {
        record["group"]: " ".join([record["context"][0], record["options"][0]])
        for record in records
    }
    assert texts["seen_2"] == twice and texts["seen_3_or_more"] == thrice
    partners = [" ".join([record["context"][1], record["options"][1]]) for record in records]
    assert len(set(partners)) == 7 and once[0] not in partners and set(partners) <= set(held)


def test_passages_partner_is_the_nearest_in_length_and_frequency(tmp_path: Path) -> None:
    train = ["aa bb cc dd", "aaaaaaaa bbbbbbbb cccccccc dddddddd"]
    corpus = corpus_of(tmp_path, train, ["ee ff gg hh", "eeeeeeee ffffffff gggggggg hhhhhhhh"])
    records = passages.build(corpus, n=2, context_words=3, target_words=1, seed=0)
    for record in records:
        assert len(record["context"][0]) == len(record["context"][1])


def test_domains_shuffle_the_same_words_and_take_users_folders(tmp_path: Path) -> None:
    records = domains.build(
        corpus_of(tmp_path, ["x"], ["one two three four five six"]), words=5, seed=0
    )
    held, shuffled, noise = (record["text"] for record in records)
    assert held == "one two three four five"
    assert sorted(shuffled.split()) == sorted(held.split()) and shuffled != held
    assert 0 < len(noise) <= len(held)
    groups = [record["group"] for record in records]
    assert groups == ["heldout", "shuffled_words", "random_characters"]
    folder = tmp_path / "mine"
    (folder / "law").mkdir(parents=True)
    (folder / "law" / "a.txt").write_text("The court held\nthat it may.")
    (folder / "poems.txt").write_text("Roses are red")
    assert domains.build(folder, words=4, seed=0) == [
        {"group": "law", "text": "The court held that"},
        {"group": "poems", "text": "Roses are red"},
    ]


def test_domains_have_no_mark_and_name_what_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "law.txt").write_bytes("\ufeffThe court\r\nheld".encode())
    assert domains.build(tmp_path, words=9, seed=0) == [{"group": "law", "text": "The court held"}]
    (tmp_path / "law.txt").write_bytes(b"The court\nh\xe9ld")
    with pytest.raises(InputError, match=r"law\.txt: line 2: expected UTF-8"):
        domains.build(tmp_path, words=9, seed=0)


def test_templates_have_no_mark_and_their_texts_are_texts(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + YAML.encode())
    assert read_prompts(path)["content_free"] == ["N/A", "-"]
    with pytest.raises(
        InputError, match="no such file; expected YAML with the keys formats, triggers"
    ):
        read_templates(tmp_path / "none.yaml")
    with pytest.raises(InputError, match="is a folder; expected YAML"):
        read_templates(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "positive: good}}\n  shown",
            "positive: 010}}\n  shown",
            "label 'positive' must be text, not the number 10",
        ),
        ('"-"]', "null]", "content_free: number 1 must be text, not null"),
        (
            'template: "Which? {text}:"',
            "template: 5",
            "the template of strategy 'instruction' must be text, not the number 5",
        ),
        ("shots: true", "shots: 'no'", "strategy 'shown': shots must be true or false, not 'no'"),
        ('"N/A"', '"a\\ud83db"', "content_free: number 0 holds half a character"),
        ("Which?", "Which\x85?", "line 3: YAML may end a line at U\\+0085"),
        (
            "content_free",
            "examples: [{text: 5, label: positive}]\ncontent_free",
            "example 1: column 'text' must be text, not the number 5",
        ),
        (
            "content_free",
            "examples: [good]\ncontent_free",
            "example 1 must be a mapping with text and label, not 'good'",
        ),
        ("{text} =", "{text.upper} =", "cannot be filled"),
    ],
)
def test_prompting_texts_that_are_none_are_named(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert YAML.count(old) == 1
    (tmp_path / "p.yaml").write_text(YAML.replace(old, new), "utf-8")
    with pytest.raises(InputError, match=r"p\.yaml: .*" + message):
        prompting.build(
            reviews(tmp_path / "r.csv"),
            prompts=str(tmp_path / "p.yaml"),
            classes=CLASSES,
            shots=0,
            seed=0,
        )


def test_prompting_names_the_line_of_a_label_that_is_no_class(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(YAML)
    (tmp_path / "r.csv").write_text('text,label\n"one\ntwo",positive\nthree,good\n')
    with pytest.raises(
        InputError,
        match=r"r\.csv: line 4: the label must be one of negative, .*, or its number, not 'good'",
    ):
        prompting.build(
            tmp_path / "r.csv", prompts=str(tmp_path / "p.yaml"), classes=CLASSES, shots=0, seed=0
        )
