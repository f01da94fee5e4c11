"""One shard of the population fits of a run, by either code."""

import argparse
import logging
from collections import Counter
from collections.abc import Callable, Mapping

from tqdm import tqdm

from sanspec import store
from sanspec.config import Stellar
from sanspec.errors import SanspecError, reasons
from sanspec.products.members import Members
from sanspec.stellar import models, results
from sanspec.stellar.resampling import chosen
from sanspec.stellar.spectra import Spectrum, pairs

log = logging.getLogger(__name__)


def shard(text: str) -> tuple[int, int]:
    """`I/N` of the command line as (I - 1, N). Raises SanspecError when it is anything else."""
    first, _, count = text.partition("/")
    if not (first.isdigit() and count.isdigit() and 1 <= int(first) <= int(count)):
        raise SanspecError(f"--shard {text}: allowed: I/N with 1 <= I <= N, as in 3/8")
    return int(first) - 1, int(count)


def fit_shard(
    args: argparse.Namespace,
    code: str,
    fit: Callable[[Spectrum, bool], tuple[dict, models.FittedSpectrum]],
    settings: Stellar,
    meta: Mapping,
) -> None:
    """Fit every pair of the shard; write the table and the fitted spectra.

    fit: row and model of a spectrum, the second argument says whether it gets a bootstrap. settings: those of the
    section `code` say how many galaxies get one. meta: header of the table.
    """
    part = shard(args.shard)
    members = Members(args.spectra, args.predicted, redshifts=args.redshifts)
    ids = members.observed.specobjid
    with_draws = chosen(ids, getattr(settings, code).bootstrap_objects, settings.seed)
    count = len(ids[part[0] :: part[1]]) * len(results.KINDS)
    spectra = tqdm(pairs(members, settings, part), desc=code, total=count, mininterval=1.0)
    done = [fit(spectrum, spectrum.specobjid in with_draws) for spectrum in spectra]
    table = results.assemble(row for row, _ in done)
    results.write(args.out, table, {**meta, "shard": args.shard})
    models.write(args.models, [model for _, model in done], store.provenance(code))
    counts = Counter(reason for warn in table["warn"] for reason in reasons(warn))
    drawn = (table["n_draws"] > 0).sum()
    log.info("%d spectra, %d with draws; %s", len(table), drawn, dict(counts) or "no warnings")
