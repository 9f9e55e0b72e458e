"""The one exception for input that cannot be used: its message is one line a user can act on."""


class InputError(ValueError):
    """Bad input. The message names the file or parameter, the item, and what was expected; a stage prints it and exits 1."""
