"""What a suite of kind reading knows of its words beside their texts.

It is one number a column, or a gap. The numbers stand in the metadata of the items table, as {item:
numbers in the order of COLUMNS}, where a gap is None. The folds drop, for each regression, the
words that have a gap in one of its columns.
"""

EYE_TRACKING = ("first_fixation", "first_pass", "go_past", "right_bounded")
SELF_PACED = "self_paced"
MEASURES = (*EYE_TRACKING, SELF_PACED)  # milliseconds, means over readers
# frequencies are logs; lengths are in characters; context_length is in words
PREDICTORS = ("frequency", "length", "context_length", "previous_frequency", "previous_length")
COLUMNS = (*PREDICTORS, *MEASURES)
