"""What a person can fix, as against what is wrong with the code."""


class UserError(ValueError):
    """A setting, a file or a folder that cannot serve; the message is one line and says the fix.

    A command shows it without a traceback. Anything else that is raised is a fault of the code,
    and keeps its traceback.
    """
