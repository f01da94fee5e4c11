"""The packages that carry stellar population models, fetched from the package index, verified and packed."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from sanspec.archive import index
from sanspec.stellar.library import Library
from sanspec.stellar.packing import pack_emiles, pack_m11


class Carrier(NamedTuple):
    """A package that carries a library: `name==version`, its form and checksum, and the reader of its archive."""

    package: str
    form: str
    sha256: str
    pack: Callable[[Path], Library]


CARRIERS = {
    "emiles": Carrier(
        "ppxf==8.2.6",
        "source",
        "e51249d28f12eb41c6dce325a17c7bd554b546e73de930a59f7b29b02f35c8c3",
        pack_emiles,
    ),
    "m11": Carrier(
        "sdss-mangadap==4.5.0",
        "wheel",
        "b8478bb24c32fe736fa6a2881805458719281862313838f8b032f3c10527ff34",
        pack_m11,
    ),
}


def fetch_library(name: str, file: Path | None = None) -> Library:
    """The library `name` of CARRIERS, packed from the package index or from a `file` downloaded by hand.

    Raises SanspecError when the archive cannot be had, is another than the one tested, or cannot be read.
    """
    carrier, setting = CARRIERS[name], f"templates.{name}"
    if file is not None:
        return carrier.pack(index.verify(file, carrier.sha256, carrier.package, setting))
    with tempfile.TemporaryDirectory() as folder:
        return carrier.pack(index.fetch(carrier.package, carrier.sha256, Path(folder), carrier.form, setting))
