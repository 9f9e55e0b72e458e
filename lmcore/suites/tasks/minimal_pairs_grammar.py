"""The grammar of `minimal_pairs`: PARADIGMS, and the words that fill them.

PARADIGMS are templates, which `minimal_pairs` explains. Some are written in two or three pieces,
because they are longer than a line.

The words are ordinary words of the English novels in the corpus. A class names its forms, then
lists its entries, which have one word for each form (`gentleman/gentlemen` under `sg pl`); `_`
stands for a space. A union is several classes together. Verbs are sorted by what they select, since
plausibility and often grammaticality depend on it.
"""

PARADIGMS = {
    # Agreement of subject and verb
    "subject_verb_agreement": [
        "the {person.sg} [is|are] {state} {now}.",
        "the {person.pl} [are|is] {state} {now}.",
        "the {person.sg} [has|have] {deed.part} the {deed.object}.",
        "the {person.pl} [have|has] {deed.part} the {deed.object}.",
        "the {person.sg} [{think.s}|{think.base}] that {name} is {trait}.",
        "the {person.pl} [{think.base}|{think.s}] that {name} is {trait}.",
    ],
    "agreement_across_phrase": [
        "the {person.sg} {beside} the {person2.pl} [was|were] {state}.",
        "the {person.pl} {beside} the {person2.sg} [were|was] {state}.",
        "the {relation.sg} of the {person.pl} [is|are] {state} {now}.",
        "the {relation.pl} of the {person.sg} [are|is] {state} {now}.",
    ],
    "agreement_across_relative_clause": [
        "the {person.sg} who had {meet.part} the {person2.pl} [was|were] {state}.",
        "the {person.pl} who had {meet.part} the {person2.sg} [were|was] {state}.",
        "the {person.sg} whom the {person2.pl} {meet.past} [was|were] {state}.",
        "the {person.pl} whom the {person2.sg} {meet.past} [were|was] {state}.",
    ],
    "agreement_irregular_noun": [
        "the {irregular.sg} [was|were] {state} {then}.",
        "the {irregular.pl} [were|was] {state} {then}.",
        "the {irregular.sg} {place} [has|have] been {state}.",
        "the {irregular.pl} {place} [have|has] been {state}.",
    ],
    "agreement_in_question": [
        "[is|are] the {person.sg} {state} {now}?",
        "[are|is] the {person.pl} {state} {now}?",
        "[has|have] the {person.sg} {deed.part} the {deed.object}?",
        "[have|has] the {person.pl} {deed.part} the {deed.object}?",
        "[does|do] the {person.sg} {like.base} {name}?",
        "[do|does] the {person.pl} {like.base} {name}?",
    ],
    # Agreement of determiner and noun
    "determiner_noun_agreement": [
        "{name} {buy.past} this [{thing.sg}|{thing.pl}] {then}.",
        "{name} {buy.past} these [{thing.pl}|{thing.sg}] {then}.",
        "{name} {buy.past} that [{thing.sg}|{thing.pl}] {then}.",
        "{name} {buy.past} those [{thing.pl}|{thing.sg}] {then}.",
    ],
    "determiner_adjective_noun_agreement": [
        "the {person.sg} {buy.past} [this|these] {size} {thing.sg}.",
        "the {person.sg} {buy.past} [these|this] {size} {thing.pl}.",
        "the {person.sg} {buy.past} [that|those] {size} {thing.sg}.",
        "the {person.sg} {buy.past} [those|that] {size} {thing.pl}.",
    ],
    "determiner_irregular_noun_agreement": [
        "{name} {greet.past} this [{irregular.sg}|{irregular.pl}] {place}.",
        "{name} {greet.past} these [{irregular.pl}|{irregular.sg}] {place}.",
        "{name} {greet.past} that [{irregular.sg}|{irregular.pl}] {place}.",
        "{name} {greet.past} those [{irregular.pl}|{irregular.sg}] {place}.",
    ],
    # Reflexives and what they refer to
    "anaphor_gender": [
        "{her_name} {blame.past} [herself|himself] {then}.",
        "{his_name} {blame.past} [himself|herself] {then}.",
        "the {woman.sg} {blame.past} [herself|himself] {then}.",
        "the {man.sg} {blame.past} [himself|herself] {then}.",
    ],
    "anaphor_number": [
        "the {woman.sg} {blame.past} [herself|themselves] {then}.",
        "the {woman.pl} {blame.past} [themselves|herself] {then}.",
        "the {man.sg} {blame.past} [himself|themselves] {then}.",
        "the {man.pl} {blame.past} [themselves|himself] {then}.",
    ],
    "reflexive_c_command": [
        "the {her_relation.sg} of the {man.sg} {blame.past} [herself|himself].",
        "the {his_relation.sg} of the {woman.sg} {blame.past} [himself|herself].",
        "the {woman.sg} who had {meet.part} the {man.sg} {blame.past} [herself|himself].",
        "the {man.sg} who had {meet.part} the {woman.sg} {blame.past} [himself|herself].",
    ],
    "reflexive_domain": [
        "{her_name} {said.past} that the {man.sg} had {blame.past} [her|herself].",
        "{her_name} {said.past} that the {man.sg} had {blame.past} [himself|herself].",
        "{his_name} {said.past} that the {woman.sg} had {blame.past} [him|himself].",
        "{his_name} {said.past} that the {woman.sg} had {blame.past} [herself|himself].",
    ],
    # Islands: places that a question word cannot be moved out of
    "adjunct_island": [
        "which {person.sg} did {name} {thank.base} "
        "[{after} {thank2.ing} {name2}|{name2} {after} {thank2.ing}]?"
    ],
    "coordinate_structure_island": [
        "which {person.sg} did {name} {see.base} {name2} [with|and]?",
        "which {person.sg} did {name} {see.base} the {person2.sg} [with|and]?",
        "which {holder.sg} did {name} put the {small_thing.sg} [in|and]?",
    ],
    "complex_noun_phrase_island": [
        "which {thing.sg} did {name} "
        "[{suppose.base} that the {person.sg}|{meet.base} the {person.sg} who] had {buy.part}?"
    ],
    "wh_island": [
        "which {thing.sg} did {her_name} {learn.base} [he|who] had {buy.part}?",
        "which {thing.sg} did {his_name} {learn.base} [she|who] had {buy.part}?",
        "which {thing.sg} did the {person.sg} {learn.base} [they|who] had {buy.part}?",
    ],
    "left_branch_island": [
        "which [{thing.sg} did {name} {buy.base}|did {name} {buy.base} {thing.sg}]?",
        "whose [{thing.sg} did {name} {buy.base}|did {name} {buy.base} {thing.sg}]?",
    ],
    # Negative polarity items: ever, any
    "npi_ever_negation": [
        "[no|some] {person.sg} had ever {meet.part} {name}.",
        "[nobody|somebody] {place} had ever {meet.part} {name}.",
        "[none|some] of the {person.pl} had ever been {state}.",
    ],
    "npi_any_negation": [
        "{name} did [not|indeed] {buy.base} any {thing.pl}.",
        "{name} had [never|already] {buy.part} any {thing.pl}.",
        "[nobody|somebody] had {buy.part} any {thing.pl} {then}.",
    ],
    "npi_only": [
        "[only|even] {name} had ever {meet.part} the {person.sg}.",
        "[only|even] the {person.pl} had ever {meet.part} {name}.",
        "[only|even] {name} had {buy.part} any {thing.pl} {then}.",
    ],
    "npi_scope": [
        "[no {person.sg} whom the|the {person.sg} whom no] {person2.sg} "
        "had {meet.part} had ever been {state}."
    ],
    # What a verb or an adjective takes
    "intransitive_with_object": [
        "the {person.sg} [{meet.past}|{vanish.past}] the {person2.sg} {then}.",
        "{name} [{greet.past}|{vanish.past}] the {person.sg} {place}.",
    ],
    "transitive_without_object": [
        "{then} the {person.sg} [{vanish.past}|{persuade.past}].",
        "{then} {name} [{vanish.past}|{persuade.past}].",
    ],
    "passive_of_intransitive": [
        "the {person.sg} was [{persuade.past}|{smile.past}] by {name}.",
        "the {person.pl} were [{persuade.past}|{smile.past}] by the {person2.sg}.",
    ],
    "tough_and_raising": [
        "{name} was [{hard}|{likely}] to {avoid}.",
        "the {person.pl} were [{hard}|{likely}] to {avoid}.",
        "{name} was [{likely}|{hard}] to {sleep}.",
        "the {person.pl} were [{likely}|{hard}] to {sleep}.",
    ],
    "there_quantifier": [
        "there was [no|every] {person.sg} {place}.",
        "there was [another|each] {person.sg} {place}.",
        "there were [many|most] {person.pl} {place}.",
        "there were [two|both] {person.pl} {place}.",
    ],
    # Forms of the verb
    "irregular_past": [
        "the {person.sg} [{deed.past}|{deed.part}] the {deed.object} {then}.",
        "{name} [{deed.past}|{deed.part}] the {deed.object} {then}.",
    ],
    "participle_after_have": [
        "the {person.sg} has [{deed.part}|{deed.past}] the {deed.object}.",
        "{name} had [{deed.part}|{deed.past}] the {deed.object}.",
    ],
    "base_after_modal": [
        "the {person.sg} could [{deed.base}|{deed.past}] the {deed.object}.",
        "{name} might [{deed.base}|{deed.past}] the {deed.object}.",
        "the {person.pl} did not [{deed.base}|{deed.past}] the {deed.object}.",
        "{name} must [{deed.base}|{deed.part}] the {deed.object}.",
    ],
    "participle_as_adjective": [
        "{name} {notice.past} the [{broken.part}|{broken.past}] {broken.object}.",
        "the {person.sg} {notice.past} the [{broken.part}|{broken.past}] {broken.object} {then}.",
    ],
    # Fillers and gaps, ellipsis, case, comparison, questions
    "filler_gap": [
        "{name} {knew.past} [what|that] the {person.sg} had {take.part}.",
        "{name} {knew.past} [that|what] the {person.sg} had {take.part} the {thing.sg}.",
    ],
    "noun_ellipsis": [
        (
            "{name} {buy.past} "
            "[two {size} {thing.pl} and {name2} {buy.past} three"
            "|two {thing.pl} and {name2} {buy.past} three {size}]."
        ),
        (
            "{name} {buy.past} "
            "[one {size} {thing.sg} and {name2} {buy.past} several"
            "|one {thing.sg} and {name2} {buy.past} several {size}]."
        ),
    ],
    "verb_phrase_ellipsis": [
        "{name} was {state}, but the {person.sg} [was|did] not.",
        "{name} {vanish.past}, but the {person.sg} [did|was] not.",
        "the {person.pl} were {state}, and so [was|did] {name}.",
        "the {person.pl} {vanish.past}, and so [did|was] {name}.",
    ],
    "pronoun_case": [
        "the {person.sg} {meet.past} [{pronoun.object}|{pronoun.subject}] {then}.",
        "{then} [{pronoun.subject}|{pronoun.object}] {meet.past} the {person.sg}.",
    ],
    "comparative": [
        "the {person.sg} was [{old.er}|{old.base}] than the {person2.sg}.",
        "the {person.sg} was as [{old.base}|{old.er}] as the {person2.sg}.",
        "the {person.pl} were [more|most] {careful} than {name}.",
    ],
    "auxiliary_fronting": [
        "[was the {person.sg} who had {smile.past}|had the {person.sg} who {smile.past} was] "
        "{trait}?"
    ],
}

CLASSES = {
    # People. `person` holds no noun that fixes the gender. `woman`, `man` and the relations hold
    # only such nouns.
    "her_name": """name
        Emma Anne Mary Elizabeth Harriet Jane Marianne Elinor Alice Fanny Lucy Isabella Rosamond
        Louisa Henrietta Charlotte Laura Barbara Cecilia""",
    "his_name": """name
        Frederick Edward Henry Charles William John Robert James Thomas Peter George Michael
        Francisco Tom Joe Arthur""",
    "woman": """sg pl
        lady/ladies woman/women girl/girls queen/queens maid/maids""",
    "man": """sg pl
        gentleman/gentlemen man/men boy/boys king/kings fisherman/fishermen""",
    "her_relation": """sg
        sister mother aunt""",
    "his_relation": """sg
        brother father uncle""",
    "person": """sg pl
        captain/captains sailor/sailors servant/servants soldier/soldiers doctor/doctors
        stranger/strangers child/children merchant/merchants officer/officers priest/priests
        traveller/travellers neighbour/neighbours visitor/visitors policeman/policemen
        hunter/hunters thief/thieves lawyer/lawyers passenger/passengers prisoner/prisoners
        judge/judges""",
    "relation": """sg pl
        friend/friends companion/companions servant/servants guest/guests""",
    "irregular": """sg pl
        man/men woman/women child/children gentleman/gentlemen policeman/policemen
        fisherman/fishermen seaman/seamen thief/thieves landsman/landsmen""",
    "pronoun": """subject object
        she/her he/him they/them we/us I/me""",
    # Things that people carry, buy and lose, and what holds such things.
    "thing": """sg pl
        book/books letter/letters box/boxes basket/baskets hat/hats ring/rings cup/cups
        stick/sticks lamp/lamps picture/pictures key/keys flower/flowers apple/apples egg/eggs
        cake/cakes coat/coats sword/swords bottle/bottles watch/watches candle/candles pipe/pipes
        bird/birds gun/guns""",
    "small_thing": """sg
        ring key letter egg apple stone flower watch candle pipe""",
    "holder": """sg
        basket box bag drawer pocket""",
    "size": """base
        old new little large small fine beautiful pretty""",
    # How people are: `state` holds for a while, `trait` for ever.
    "state": """base
        happy angry tired ill silent cheerful anxious cold asleep hungry quiet busy pale merry
        sad""",
    "trait": """base
        honest brave idle clever proud poor kind rich foolish wise""",
    "old": """base er
        old/older young/younger tall/taller strong/stronger wise/wiser happy/happier rich/richer
        kind/kinder great/greater quick/quicker weak/weaker""",
    "careful": """base
        careful cheerful honest anxious grateful famous foolish ignorant patient curious
        dangerous""",
    "hard": """base
        hard easy difficult impossible""",
    "likely": """base
        likely certain sure anxious willing unwilling inclined determined""",
    # When and where.
    "now": """base
        to-day now at_present this_morning this_evening""",
    "then": """base
        yesterday that_evening that_morning in_the_morning in_the_evening the_next_day""",
    "place": """base
        in_the_garden in_the_church in_the_village in_the_parlour in_the_kitchen in_the_hall
        in_the_library in_the_street in_the_boat on_the_road on_the_shore""",
    "beside": """base
        beside near behind opposite""",
    "after": """base
        after before without""",
    # Verbs between people, all of which need their object. `greet` goes with a place, and `thank`
    # never takes two objects.
    "meet": """base past part
        meet/met/met follow/followed/followed visit/visited/visited watch/watched/watched
        thank/thanked/thanked praise/praised/praised help/helped/helped invite/invited/invited
        find/found/found assist/assisted/assisted amuse/amused/amused admire/admired/admired""",
    "greet": """past
        met saw found watched followed noticed thanked helped""",
    "like": """base
        like love trust fear admire hate""",
    "see": """base
        see meet find leave observe""",
    "thank": """base ing
        thank/thanking meet/meeting visit/visiting follow/following invite/inviting
        watch/watching praise/praising help/helping amuse/amusing admire/admiring""",
    "blame": """past
        admired praised pitied despised deceived amused hurt excused hated saved loved flattered
        blamed defended""",
    "persuade": """past
        persuaded accompanied convinced despised pitied punished seized thanked mentioned avoided
        disliked addressed frightened caught astonished""",
    "avoid": """base
        avoid dislike pity rescue blame describe catch persuade convince despise""",
    # Verbs without an object. Those of `smile` have no passive; that is less certain of `arrive`.
    "arrive": """past
        arrived vanished disappeared""",
    "smile": """past
        smiled slept laughed sighed trembled hesitated blushed listened wandered yawned shuddered
        groaned sobbed""",
    "sleep": """base
        smile sleep laugh dance dine listen wait""",
    # Verbs that take clauses: statements, questions, or both.
    "think": """base s
        think/thinks know/knows say/says believe/believes""",
    "said": """past
        said thought believed knew declared supposed feared""",
    "suppose": """base
        say think believe suppose declare hope imagine""",
    "learn": """base
        know learn discover remember guess hear""",
    "knew": """past
        knew learned discovered remembered heard guessed told_us""",
    # Verbs of having and getting. Those of `take` always have their object.
    "buy": """base past part
        buy/bought/bought sell/sold/sold lose/lost/lost bring/brought/brought want/wanted/wanted
        find/found/found carry/carried/carried keep/kept/kept""",
    "take": """part
        taken found brought carried kept mentioned seized""",
    "notice": """past
        noticed saw found remembered described showed_us mentioned""",
    # Irregular verbs with their objects. Verbs whose forms the old novels mix (had forgot, she
    # sung) are left out.
    "deed": """base past part object
        write/wrote/written/letter write/wrote/written/book write/wrote/written/story
        take/took/taken/money take/took/taken/key take/took/taken/horse steal/stole/stolen/ring
        steal/stole/stolen/money steal/stole/stolen/watch see/saw/seen/ship see/saw/seen/whale
        see/saw/seen/light eat/ate/eaten/bread eat/ate/eaten/cake eat/ate/eaten/meat
        draw/drew/drawn/picture draw/drew/drawn/map throw/threw/thrown/stone
        throw/threw/thrown/stick tear/tore/torn/paper tear/tore/torn/letter wear/wore/worn/gloves
        wear/wore/worn/boots wear/wore/worn/spectacles know/knew/known/secret
        know/knew/known/truth choose/chose/chosen/road choose/chose/chosen/book
        drive/drove/driven/carriage drive/drove/driven/cart""",
    "broken": """past part object
        broke/broken/window broke/broken/glass broke/broken/bottle broke/broken/chair
        broke/broken/gate broke/broken/stick broke/broken/box stole/stolen/ring
        stole/stolen/money stole/stolen/watch stole/stolen/picture stole/stolen/sword
        tore/torn/paper tore/torn/letter tore/torn/book tore/torn/dress wrote/written/message
        wrote/written/answer wrote/written/order drew/drawn/sword wore/worn/coat
        chose/chosen/road""",
}

UNIONS = {"name": ["her_name", "his_name"], "vanish": ["arrive", "smile"]}
