"""How a command may end without a verdict. Whatever else ends one is a mistake of ours, and is told as such.

An error says by its class whose it is, so that nothing has to be imported to tell: `pipeline/cli.py` turns it into an exit code.
"""


class UserError(Exception):
    """What the user can mend: exit code 2. The message is one line: what is wrong, where, what to do."""


class BrokenError(Exception):
    """A run broke, on this machine or on an engine: exit code 4. The message is one line."""
