"""What is raised for a spectrum that no code can fit."""

from sanspec.errors import Warn


class Unfit(Exception):
    """A spectrum that cannot be fitted; `warn` says why."""

    def __init__(self, warn: Warn):
        super().__init__(warn)
        self.warn = Warn.NOT_FITTED | warn
