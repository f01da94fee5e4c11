"""Array shapes and types named in signatures, checked whenever a test calls a function of the networks.

jaxtyping binds the names of axes within a call, beartype does the checking.
"""

from beartype import BeartypeConf, beartype
from jaxtyping import install_import_hook

CHECKED = ("sanspec.nets",)  # not modules with numba kernels, which cannot be cached with the checker in them

check = beartype(conf=BeartypeConf(is_pep484_tower=True))  # an int where a float is named is fine


def turn_on():
    """Check every module of the packages above; must come before their first import."""
    install_import_hook(CHECKED, "shapes.check")
