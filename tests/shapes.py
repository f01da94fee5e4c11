"""Array shapes and types named in signatures, checked whenever a test calls a function of the package.

jaxtyping binds the names of axes within a call, beartype does the checking. Modules with numba kernels stand
apart: numba cannot cache a function whose globals hold the checker's weak references.
"""

from beartype import BeartypeConf, beartype
from jaxtyping import install_import_hook

check = beartype(conf=BeartypeConf(is_pep484_tower=True))  # an int where a float is named is fine


def turn_on(package):
    """Check every module below the folder `package` but those with numba kernels; must precede their import."""
    files = sorted(path for path in package.rglob("*.py") if path.name != "__init__.py")
    plain = [path for path in files if "njit" not in path.read_text()]
    names = [".".join(path.relative_to(package.parent).with_suffix("").parts) for path in plain]
    install_import_hook(names, "shapes.check")
