"""The one exception that a user is meant to see."""


class UserError(Exception):
    """Something that the user can cure: the message is one sentence with file, row and cure, no traceback.

    Stages and the command line print it and leave with exit code 1. Everything else is a bug and keeps its
    traceback.
    """
