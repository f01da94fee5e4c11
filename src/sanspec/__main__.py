"""The command line: `sanspec STAGE --config FILE ...`; one lazily imported module per stage.

Exit status: 0 done; 1 a fault of ours (with traceback); 2 a fault the user can mend (one line).
"""

import argparse
import importlib
import logging
import sys

from sanspec.errors import SanspecError

STAGES = {
    "config": "print the documented default configuration",
    "templates": "fetch, verify and pack the E-MILES stellar population models",
    "templates-m11": "fetch, verify and pack the M11-MILES stellar population models",
    "mock": "simulate the embedded sky in the real file formats",
    "cubes": "get the SDSS cube file: check and link a local one, or fetch it",
    "query": "ask SDSS for the catalogue, by CasJobs or anonymously",
    "spectra": "fetch the spectra of the catalogue's galaxies",
    "inspect": "test units, bands and orientation of the cube file",
    "cutouts": "cut image cubes of SDSS galaxies of your own from the survey's frames",
    "status": "tell what of the survey is here, missing or failed, and why",
    "serve-mock": "start a loopback SDSS that serves a simulated sky",
    "match": "join spectra, catalogue and image cubes by specobjid",
    "prepare": "smooth, resample and normalise spectra; split the sample; image statistics",
    "train": "train one network",
    "generate": "draw and rank spectra for the test images",
    "baselines": "predict the test spectra without a generative model",
    "eigenspectra": "PCA templates of the rest-frame training spectra",
    "redshift": "measure redshifts on observed and predicted spectra alike",
    "indices": "measure Dn4000 and Lick indices on observed and predicted spectra alike",
    "ppxf": "fit populations, kinematics and emission lines of observed and predicted spectra with pPXF",
    "firefly": "fit populations of observed and predicted spectra with FIREFLY's method",
    "stellar-merge": "join the shards of a population fit",
    "broadening": "fit what velocity dispersion does to indices, on population models",
    "lick": "free indices of velocity dispersion, compare observed with predicted",
    "starlight": "fit a quick stellar continuum, for emission lines where no population fit stands",
    "lines": "fit emission lines to observed and predicted spectra less their starlight",
    "classify": "tell passive, star-forming and active galaxies apart, and how well predictions do",
    "agn": "tell active galaxies without a spectrum: photometry, and images",
    "compare": "measure indices and classes on the spectra of every predictor, baselines alike",
    "bimodality": "test whether properties of the galaxies have two modes",
    "table": "write one of the paper's tables from the products of a run",
    "validate": "judge the draws as predictive distributions",
    "quality": "compare predicted with observed spectra pixel by pixel",
    "figure": "draw one figure from tables",
    "summary": "collect every number of a run in one file",
    "runs": "set the named runs of one workflow side by side",
    "check": "test the physical truths that the products of a run must obey",
    "measure": "measure redshift, indices, lines and class on spectrum files of your own",
}


def usage() -> str:
    """The manual page: every stage with its one line."""
    width = max(map(len, STAGES))
    lines = [f"  {name:<{width}}  {text}" for name, text in STAGES.items()]
    return "usage: sanspec STAGE [options]    (sanspec STAGE --help for its options)\n\n" + "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Run one stage and return the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] in ("-h", "--help"):
        print(usage())
        return 0 if argv else 2
    name, *rest = argv
    if name not in STAGES:
        print(f"sanspec: unknown stage {name!r}; one of: {', '.join(STAGES)}", file=sys.stderr)
        return 2
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr
    )
    stage = importlib.import_module(f"sanspec.stages.{name.replace('-', '_')}")
    parser = argparse.ArgumentParser(prog=f"sanspec {name}", description=stage.__doc__.splitlines()[0])
    stage.arguments(parser)
    args = parser.parse_args(rest)
    try:
        output = stage.run(args)
    except SanspecError as fault:
        print(f"sanspec {name}: {' '.join(str(fault).split())}", file=sys.stderr)
        return 2
    if output is not None:
        print(output)
    return 0


def entry() -> None:
    """Console entry point."""
    sys.exit(main())


if __name__ == "__main__":
    entry()
