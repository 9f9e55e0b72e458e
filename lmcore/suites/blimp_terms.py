"""BLiMP's paradigms by field and by phenomenon, as its files name them.

`field` and `linguistics_term` of the files, with `_` for `/` and `-`. So principle_A_case_2, whose
field is written syntax/semantics there, is with the other paradigms of syntax_semantics. The term
s-selection is a part of argument structure in the paper.

Source: Warstadt et al. 2020, https://aclanthology.org/2020.tacl-1.25, table 2 and the data.
"""

TASKS = ("blimp", "blimp_filtered", "blimp_fast")
# {(field, term): its paradigms}
PARADIGMS = {
    ("morphology", "anaphor_agreement"): (
        "anaphor_gender_agreement",
        "anaphor_number_agreement",
    ),
    ("morphology", "determiner_noun_agreement"): (
        "determiner_noun_agreement_1",
        "determiner_noun_agreement_2",
        "determiner_noun_agreement_irregular_1",
        "determiner_noun_agreement_irregular_2",
        "determiner_noun_agreement_with_adj_2",
        "determiner_noun_agreement_with_adj_irregular_1",
        "determiner_noun_agreement_with_adj_irregular_2",
        "determiner_noun_agreement_with_adjective_1",
    ),
    ("morphology", "irregular_forms"): (
        "irregular_past_participle_adjectives",
        "irregular_past_participle_verbs",
    ),
    ("morphology", "subject_verb_agreement"): (
        "distractor_agreement_relational_noun",
        "distractor_agreement_relative_clause",
        "irregular_plural_subject_verb_agreement_1",
        "irregular_plural_subject_verb_agreement_2",
        "regular_plural_subject_verb_agreement_1",
        "regular_plural_subject_verb_agreement_2",
    ),
    ("semantics", "npi_licensing"): (
        "matrix_question_npi_licensor_present",
        "npi_present_1",
        "npi_present_2",
        "only_npi_licensor_present",
        "sentential_negation_npi_licensor_present",
    ),
    ("semantics", "quantifiers"): (
        "existential_there_quantifiers_1",
        "existential_there_quantifiers_2",
        "superlative_quantifiers_1",
        "superlative_quantifiers_2",
    ),
    ("syntax", "argument_structure"): (
        "causative",
        "drop_argument",
        "inchoative",
        "intransitive",
        "passive_1",
        "passive_2",
        "transitive",
    ),
    ("syntax", "ellipsis"): (
        "ellipsis_n_bar_1",
        "ellipsis_n_bar_2",
    ),
    ("syntax", "filler_gap_dependency"): (
        "wh_questions_object_gap",
        "wh_questions_subject_gap",
        "wh_questions_subject_gap_long_distance",
        "wh_vs_that_no_gap",
        "wh_vs_that_no_gap_long_distance",
        "wh_vs_that_with_gap",
        "wh_vs_that_with_gap_long_distance",
    ),
    ("syntax", "island_effects"): (
        "adjunct_island",
        "complex_NP_island",
        "coordinate_structure_constraint_complex_left_branch",
        "coordinate_structure_constraint_object_extraction",
        "left_branch_island_echo_question",
        "left_branch_island_simple_question",
        "sentential_subject_island",
        "wh_island",
    ),
    ("syntax", "s_selection"): (
        "animate_subject_passive",
        "animate_subject_trans",
    ),
    ("syntax_semantics", "binding"): (
        "principle_A_c_command",
        "principle_A_case_1",
        "principle_A_case_2",
        "principle_A_domain_1",
        "principle_A_domain_2",
        "principle_A_domain_3",
        "principle_A_reconstruction",
    ),
    ("syntax_semantics", "control_raising"): (
        "existential_there_object_raising",
        "existential_there_subject_raising",
        "expletive_it_object_raising",
        "tough_vs_raising_1",
        "tough_vs_raising_2",
    ),
    ("syntax_semantics", "npi_licensing"): (
        "only_npi_scope",
        "sentential_negation_npi_scope",
    ),
}


def parts_of(task: str) -> dict[str, set[str]]:
    """{field or term: its paradigms}; empty for a task that is no BLiMP."""
    parts: dict[str, set[str]] = {}
    if task in TASKS:
        for names, paradigms in PARADIGMS.items():
            for name in names:
                parts.setdefault(name, set()).update(paradigms)
    return parts
