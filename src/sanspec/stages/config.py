"""Print the documented default configuration."""

from sanspec import config


def arguments(parser) -> None:
    """No options."""


def run(args) -> str:
    """The text of the default config.yaml."""
    return config.document().rstrip("\n")
