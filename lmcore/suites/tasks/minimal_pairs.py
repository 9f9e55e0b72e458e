"""Task `minimal_pairs`: which of two sentences does the model find more likely?

The two sentences are alike but for one place. The corpus goes in, records of kind pairs come out.

The sentences are our own. Each paradigm of `minimal_pairs_grammar` is a few templates, which a
seeded draw fills with words. In a template, `{person.sg}` is a slot: a class and a form.
`{person2.sg}` is another word of that class. `[is|are]` is the one place where the grammatical
sentence (first) and the ungrammatical one (second) differ.

Both sentences have the same number of words. Where the grammar allows it, templates come in
opposite pairs (`[is|are]`, `[are|is]`), so that neither length nor a word's frequency decides. Only
words that the training text holds at least MIN_COUNT times are used.

The design follows BLiMP, the data do not: numbers on this suite are not BLiMP numbers.

Source: Warstadt et al. 2020, BLiMP: The Benchmark of Linguistic Minimal Pairs for English, TACL 8,
377-392, https://aclanthology.org/2020.tacl-1.25
"""

import random
import re
from collections import Counter
from pathlib import Path
from typing import Annotated

import pyarrow.parquet as pq
from pydantic import Field

from lmcore.errors import InputError
from lmcore.params.ranges import RANGE, Seed
from lmcore.suites.tasks.minimal_pairs_grammar import CLASSES, PARADIGMS, UNIONS

Pairs = Annotated[int, Field(ge=1, le=100_000), RANGE]
MIN_COUNT = 5  # occurrences in the training text below which a word counts as unknown
DRAWS = 100  # per pair wanted: enough to find nearly all pairs that a paradigm can give
SLOT = re.compile(r"\{([a-z_]+)(\d*)(?:\.([a-z]+))?\}")  # class, which word of it, form
LOCUS = re.compile(r"\[(.*?)\|(.*?)\]")
Entry = dict[str, str]  # one entry of a class: form to word


def build(corpus: Path, *, n: Pairs, seed: Seed) -> list[dict]:
    """Records of kind pairs: `n` distinct pairs for each paradigm, which is the group.

    `corpus` holds `train.parquet`, which decides the vocabulary; the same text, `n` and `seed` give
    the same records anywhere. Raises InputError naming the paradigm and its count where the
    vocabulary leaves fewer than `n` pairs.
    """
    vocabulary = frequent_words(corpus / "train.parquet")
    records = []
    for paradigm in PARADIGMS:
        pairs = draw_pairs(paradigm, n, seed, vocabulary)
        if len(pairs) < n:
            raise InputError(
                f"minimal_pairs: paradigm '{paradigm}' gives {len(pairs)} distinct pairs "
                f"with the words of {corpus}; expected {n}"
            )
        records += [{"group": paradigm, "good": good, "bad": bad} for good, bad in pairs]
    return records


def words(text: str) -> list[str]:
    """The words of `text` in lower case: runs of letters, which may hold hyphens."""
    return re.findall(r"[a-z]+(?:-[a-z]+)*", text.lower())


def frequent_words(train: Path) -> set[str]:
    """The words that the column `text` of `train` holds at least MIN_COUNT times."""
    counts: Counter[str] = Counter()
    for batch in pq.ParquetFile(train).iter_batches(columns=["text"]):
        for text in batch.column("text"):
            counts.update(words(text.as_py()))
    return {word for word, count in counts.items() if count >= MIN_COUNT}


def draw_pairs(paradigm: str, n: int, seed: int, vocabulary: set[str]) -> list[tuple[str, str]]:
    """Up to `n` distinct (grammatical, ungrammatical) pairs of the paradigm.

    The templates take turns. All words are of `vocabulary`.
    """
    # each paradigm has its own draw, so that a new paradigm leaves the others as they are
    rng = random.Random(f"{seed} {paradigm}")
    templates = []
    for template in PARADIGMS[paradigm]:
        if entries := slot_entries(template, vocabulary):
            templates.append((template, entries))
    pairs: dict[tuple[str, str], None] = {}  # in order of drawing
    for attempt in range(DRAWS * n if templates else 0):
        template, entries = templates[attempt % len(templates)]
        chosen = {slot: rng.choice(candidates) for slot, candidates in entries.items()}
        good = sentence(LOCUS.sub(r"\1", template), chosen)
        bad = sentence(LOCUS.sub(r"\2", template), chosen)
        if good != bad and not repeats(chosen):
            pairs.setdefault((good, bad))
        if len(pairs) == n:
            break
    return list(pairs)


def sentence(template: str, chosen: dict[str, Entry]) -> str:
    """The template with the chosen word in every slot, as a sentence."""

    def word(slot: re.Match) -> str:
        name, number, form = slot.groups()
        return chosen[name + number][form or ""]

    text = SLOT.sub(word, template).replace("_", " ")
    return text[0].upper() + text[1:]


def repeats(chosen: dict[str, Entry]) -> bool:
    """Whether two slots hold the same word, in any form.

    A sentence in which the captain stands beside the captain is odd whatever its grammar.
    """
    forms: list[str] = []
    for entry in chosen.values():
        forms += set(entry.values())
    return len(forms) > len(set(forms))


def slot_entries(template: str, vocabulary: set[str]) -> dict[str, list[Entry]]:
    """For each slot of the template, the entries whose forms are in the vocabulary.

    Only the forms that the template uses count. The result is {} where a slot has no entry, or a
    fixed word of the template is not in the vocabulary.
    """
    forms_of_slot: dict[str, set[str]] = {}
    for name, number, form in SLOT.findall(template):
        forms_of_slot.setdefault(name + number, set()).add(form)
    known_entries: dict[str, list[Entry]] = {}
    for slot, forms in forms_of_slot.items():
        candidates = entries_of(slot.rstrip("0123456789"))
        known_entries[slot] = [entry for entry in candidates if _is_known(entry, forms, vocabulary)]
    fixed_words = words(SLOT.sub(" ", template))
    is_usable = all(known_entries.values()) and vocabulary.issuperset(fixed_words)
    return known_entries if is_usable else {}


def _is_known(entry: Entry, forms: set[str], vocabulary: set[str]) -> bool:
    """Whether all words of these forms of the entry are in the vocabulary."""
    return all(vocabulary.issuperset(words(entry[form])) for form in forms)


def entries_of(name: str) -> list[Entry]:
    """The entries of a class, or of a union of classes.

    The first form also has the empty name, for slots that name no form.
    """
    entries = []
    for class_name in UNIONS.get(name, [name]):
        header, *lines = CLASSES[class_name].splitlines()
        forms = header.split()
        for entry in " ".join(lines).split():
            spelled = dict(zip(forms, entry.split("/"), strict=True))
            entries.append({"": spelled[forms[0]], **spelled})
    return entries
