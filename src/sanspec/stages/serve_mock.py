"""Start a loopback SDSS that serves a simulated sky, to try the real clients without a network."""

import argparse
import logging
from pathlib import Path

from sanspec import options
from sanspec.errors import SanspecError
from sanspec.loopback import survey
from sanspec.loopback.faults import Faults

log = logging.getLogger(__name__)


FILES = options.files(sky="folder with catalogue.csv, sdss.npz and spectra/")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the stage."""
    parser.add_argument(
        "--spectra", type=Path, nargs="*", default=[], help="folders of further spectrum files to serve"
    )
    parser.add_argument("--port", type=int, default=8642, help="port on 127.0.0.1; 0: a free one (8642)")
    parser.add_argument(
        "--faults", type=float, default=0.0, help="share of requests that fail on purpose (0)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the faults (0)")
    parser.add_argument("--latency", type=float, default=0.0, help="added to every answer [s] (0)")
    parser.add_argument("--per-minute", type=int, default=60, help="anonymous queries in a minute (60)")
    parser.add_argument("--log", type=Path, help="write every request here, a JSON object a line")


def run(args: argparse.Namespace) -> None:
    """Serve until stopped (Ctrl-C)."""
    if not 0 <= args.faults < 1:
        raise SanspecError(f"serve-mock: --faults {args.faults}: allowed: from 0 to below 1")
    faults = Faults(args.faults, args.seed)
    try:
        with survey.opened(args.sky, tuple(args.spectra), faults, args.port, args.latency) as sdss:
            sdss.server.log, sdss.skyserver.per_minute = args.log, args.per_minute
            log.info("serving %s at %s (account: demo, password: demo); Ctrl-C ends it", args.sky, sdss.base)
            sdss.server.serve()
    except KeyboardInterrupt:
        log.info("stopped")
    except OSError as fault:
        raise SanspecError(
            f"serve-mock: port {args.port}: {fault.strerror}; choose another with --port"
        ) from None
