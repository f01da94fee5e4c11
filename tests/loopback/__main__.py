"""Serve a simulated sky as SDSS would, to try the real clients without a network.

    python tests/loopback --sky results/raw/mock --per-minute 100000 --faults 0.05

The account is `demo` with the password `demo`. Ctrl-C stops the server.
"""

import argparse
import sys
from pathlib import Path

if not __package__:  # run as a folder: import the package itself, not its modules by their common names
    sys.path[0] = str(Path(__file__).parents[1])

from loopback import survey
from loopback.faults import Faults
from sanspec.errors import SanspecError


def main(argv: list[str] | None = None) -> int:
    """Serve until stopped; the exit status."""
    parser = argparse.ArgumentParser(
        "python tests/loopback", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--sky", type=Path, required=True, help="folder with catalogue.csv, sdss.npz and spectra/")
    add("--spectra", type=Path, nargs="*", default=[], help="folders of further spectrum files to serve")
    add("--port", type=int, default=8642, help="port on 127.0.0.1; 0: any free one (default: 8642)")
    add("--faults", type=float, default=0.0, help="fraction of requests that fail on purpose (default: 0)")
    add("--seed", type=int, default=0, help="random seed of the faults (default: 0)")
    add("--latency", type=float, default=0.0, help="delay added to every answer [s] (default: 0)")
    add("--per-minute", type=int, default=60, help="anonymous queries allowed per minute (default: 60)")
    add("--log", type=Path, help="append every request to this file, one JSON object per line")
    args = parser.parse_args(argv)
    try:
        if not 0 <= args.faults < 1:
            raise SanspecError(f"--faults {args.faults}: allowed: from 0 to below 1")
        faults = Faults(args.faults, args.seed)
        with survey.opened(args.sky, tuple(args.spectra), faults, args.port, args.latency) as sdss:
            sdss.server.log, sdss.skyserver.per_minute = args.log, args.per_minute
            print(f"serving {args.sky} at {sdss.base} (account: demo, password: demo)", file=sys.stderr)
            sdss.server.serve()
    except KeyboardInterrupt:
        return 0
    except OSError as fault:
        message = f"port {args.port}: {fault.strerror}; choose another with --port"
    except SanspecError as fault:
        message = str(fault)
    print(f"loopback: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
