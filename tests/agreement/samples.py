"""A few documents of every suite as its source has them, and the same task's file in lm-eval.

The documents have what easily goes wrong: quotes, accents, double spaces, new lines, and endings
of different lengths that begin alike.
"""

from typing import NamedTuple


class Suite(NamedTuple):
    """A suite and a few of its documents.

    `definition` is lm-eval's YAML file, and `suffix` that of the source's files. `entry` is what
    the suite's entry in params.yaml says besides the convention.
    """

    definition: str
    suffix: str
    documents: list[dict]
    entry: dict = {}


PAIRS = [
    {
        "sentence_good": "Who should Derek hug after shocking Richard?",
        "sentence_bad": "Who should Derek hug Richard after shocking?",
    },
    {"sentence_good": "The cats annoy Tim.", "sentence_bad": "The cats annoys Tim."},
    {
        "sentence_good": "A naïve café  owner’s dog sleeps.",
        "sentence_bad": "A naïve café  owner’s dogs sleeps.",
    },
    {
        "sentence_good": "These casseroles disgust Kayla.",
        "sentence_bad": "These casseroles disgust Kayla.",
    },
]
DIALOGUE = [
    {
        "sentence_good": "David: Should you quit?\nSarah: No, I shouldn't.",
        "sentence_bad": "David: Should she quit?\nSarah: No, I shouldn't.",
    },
    {
        "sentence_good": "A: What did you sell?\n\nB: A chair.",
        "sentence_bad": "A: What did you sell?\n\nB: Yesterday.",
    },
]
ENDINGS = [
    {
        "startphrase": "Students lower their eyes nervously. She",
        "label": 2,
        "ending0": "pats her shoulder, then saunters toward someone.",
        "ending1": "turns with two students.",
        "ending2": "turns slowly towards someone.",
        "ending3": "wheels around as her dog thunders out.",
    },
    {
        "startphrase": "He",
        "label": 0,
        "ending0": "drinks a café crème.",
        "ending1": "é",
        "ending2": "eats.",
        "ending3": "eats",
    },
]
PASSAGES = [
    {"text": 'He sat down.\n\n"I do not know," she said, and looked at the old man. "Ask Helen'},
    {
        "text": "The captain walked to the sea and looked at the ships until he saw the "
        " naïve captain"
    },
    {"text": "nobody knew what the captain wanted , but the letter was from the captain"},
]
PAGES = [
    {
        "page": " \n = Robert Boulter = \n \n Robert Boulter is an English film actor . "
        "He had a guest @-@ starring role ( in 2000 ) . \n"
    },
    {
        "page": " = Du Fu = \n \n = = Life = = \n \n He wrote 1 @,@ 400 poems ; "
        'some say " more " . The cats \'s café \n'
    },
]
COPA = [
    {
        "premise": "The man turned on the faucet.",
        "choice1": "The toilet filled.",
        "choice2": "Water flowed.",
        "question": "effect",
        "label": 1,
    },
    {
        "premise": "My body cast a shadow.",
        "choice1": "The sun was rising.",
        "choice2": "I sat.",
        "question": "cause",
        "label": 0,
    },
]
ARC = [
    {
        "question": "Which of these  is wet?",
        "choices": {"text": ["the sun", "a  café", "the sea", "sand"], "label": list("ABCD")},
        "answerKey": "C",
    },
    {
        "question": " Ice, when warm, ",
        "choices": {"text": ["melts.", "melts", "m", "sings. "], "label": list("1234")},
        "answerKey": "1",
    },
]
BOOLQ = [
    {
        "passage": "Property tax -- or ``house tax'' -- is a tax on  houses.\n(UK: rates.)",
        "question": "is house tax and property tax are same",
        "answer": True,
        "label": 1,
    },
    {
        "passage": "The sea is naïve. ",
        "question": "is the sea dry",
        "answer": False,
        "label": 0,
    },
]
COMMONSENSE_QA = [
    {
        "question": " A revolving door is also a security measure at a what? ",
        "choices": {
            "text": ["bank", "library", "café", "mall", "new york"],
            "label": list("ABCDE"),
        },
        "answerKey": "A",
    },
    {
        "question": "What do people do at work?",
        "choices": {
            "text": ["sleep", "sing ", "kill", "wear hats", "kill"],
            "label": list("ABCDE"),
        },
        "answerKey": "D",
    },
]
OPENBOOKQA = [
    {
        "question_stem": "Gas can fill any container it is given, and liquid",
        "choices": {
            "text": ["is size", "is the  opposite", "only", "uses it"],
            "label": list("ABCD"),
        },
        "answerKey": "D",
    },
    {
        "question_stem": "What is wet? ",
        "choices": {"text": ["sand", "The sea", "the sea", "é"], "label": list("ABCD")},
        "answerKey": " B",
    },
]
SCIQ = [
    {
        "support": "",
        "question": "Who proposed evolution by natural selection?",
        "distractor1": "Linnaeus",
        "distractor2": "shaw",
        "distractor3": "Scopes",
        "correct_answer": "darwin",
    },
    {
        "support": "\n Proteins are made  of amino acids.\n\nThey fold. ",
        "question": "Proteins are made of which acids? ",
        "distractor1": "fatty",
        "distractor2": "amino acid",
        "distractor3": "lactic",
        "correct_answer": "amino",
    },
]
SOCIAL_IQA = [
    {
        "context": "Tracy didn't go home that evening.",
        "question": "What does Tracy need to do before this?",
        "answerA": "make a new plan",
        "answerB": "Go home and see Riley ",
        "answerC": "Find somewhere to go",
        "label": "3",
    },
    {
        "context": "Ann met the naïve captain. ",
        "question": "How would you describe Ann?",
        "answerA": "sad",
        "answerB": "sad.",
        "answerC": "a  person",
        "label": "1",
    },
]
PIQA = [
    {
        "goal": "Open a jar?",
        "sol1": "Tap the lid, then turn it.  ",
        "sol2": "Turn the lid. then tap",
        "label": 0,
    },
    {
        "goal": "ice",
        "sol1": " can  be broken by a  board ",
        "sol2": " can  be broken by a  wash cloth ",
        "label": 0,
    },
]
WINOGRANDE = [
    {
        "sentence": "Sarah was a better surgeon than Maria so _ got the easier cases.",
        "option1": "Sarah",
        "option2": "Maria",
        "answer": "2",
    },
    {
        "sentence": "The box fits the shelf as the _ is big.",
        "option1": "shelf",
        "option2": "box",
        "answer": "1",
    },
]
HELLASWAG = [
    {
        "activity_label": "Removing ice from car",
        "ctx_a": "A man scrapes  the [header] window.",
        "ctx_b": "then the man",
        "endings": [
            ", the man adds wax.",
            ", a person board a ski lift.",
            "puts on a christmas coat [title] coat.",
            "walks off .",
        ],
        "label": "3",
        "source_id": "activitynet~v_-1IBHYS3L-Y",
    },
    {
        "activity_label": "Sumo",
        "ctx_a": "Two men wrestle.",
        "ctx_b": "The Judge",
        "endings": ["bows.", "falls.", "falls over.", "sits."],
        "label": "0",
        "source_id": "activitynet~v_2",
    },
]
REVIEWS = [
    {"sentence": "it 's a charming and often affecting journey . ", "label": 1},
    {"sentence": "unflinchingly bleak and desperate ", "label": 0},
    {"sentence": "a waste of naïve actors", "label": 0},
    {"sentence": "warm and wise ", "label": 1},
]

SUITES = {
    "blimp": Suite("blimp/_template_yaml", "jsonl", PAIRS),
    "blimp_filtered": Suite("blimp/_template_yaml", "jsonl", PAIRS[::-1]),
    "blimp_supplement": Suite("blimp/_template_yaml", "jsonl", DIALOGUE),
    "swag": Suite("swag/swag.yaml", "parquet", ENDINGS),
    "hellaswag_activitynet": Suite("hellaswag/hellaswag.yaml", "arrow", HELLASWAG),
    "arc_easy": Suite("arc/arc_easy.yaml", "arrow", ARC),
    "arc_challenge": Suite("arc/arc_challenge.yaml", "arrow", ARC[::-1]),
    "boolq": Suite("super_glue/boolq/default.yaml", "arrow", BOOLQ),
    "commonsense_qa": Suite("commonsense_qa/default.yaml", "arrow", COMMONSENSE_QA),
    "copa": Suite("super_glue/copa/default.yaml", "arrow", COPA),
    "openbookqa": Suite("openbookqa/openbookqa.yaml", "arrow", OPENBOOKQA),
    "piqa": Suite("piqa/piqa.yaml", "arrow", PIQA),
    "sciq": Suite("sciq/sciq.yaml", "arrow", SCIQ),
    "social_iqa": Suite("siqa/siqa.yaml", "arrow", SOCIAL_IQA),
    "winogrande": Suite("winogrande/default.yaml", "arrow", WINOGRANDE),
    "lambada_openai": Suite("lambada/lambada_openai.yaml", "jsonl", PASSAGES),
    "lambada_standard": Suite("lambada/lambada_standard.yaml", "txt", PASSAGES[2:]),
    "lambada_flat": Suite("lambada/lambada_openai.yaml", "requests.jsonl.gz", PASSAGES[1:]),
    "wikitext2": Suite("wikitext/wikitext.yaml", "parquet", PAGES),
}
