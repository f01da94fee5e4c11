"""Options of the command line that stages share: each product of a run is described here, once."""

from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path

PRODUCTS = {
    "config": "settings of the run (.yaml)",
    "spectra": "prepared/spectra.h5",
    "images": "prepared/images.h5",
    "statistics": "prepared/statistics.json",
    "objects": "prepared/objects.parquet",
    "predicted": "generated/predicted.h5",
    "valid": "generated/valid.h5: the draws of the validation split",
    "baselines": "generated/baselines.h5",
    "eigenspectra": "tables/eigenspectra.h5",
    "redshifts": "tables/redshift.ecsv",
    "indices": "tables/indices.ecsv",
    "quality": "tables/quality.ecsv",
    "populations": "tables/ppxf.parquet",
    "lines": "tables/lines.parquet",
    "classes": "tables/classes.ecsv",
    "templates": "E-MILES stellar population models (.npz)",
}


def files(products: str = "", **others: str) -> dict[str, str]:
    """Help texts of the files that a stage needs: products of a run, named in one string, and others."""
    return {name: PRODUCTS[name] for name in products.split()} | others


def add(
    parser: ArgumentParser, wanted: Mapping[str, str], required: bool = True, nargs: str | None = None
) -> None:
    """An option `--name FILE` for each file, or `--name FILE [FILE ...]` with nargs "+"."""
    for name, text in wanted.items():
        flag = f"--{name.replace('_', '-')}"
        parser.add_argument(flag, type=Path, required=required, nargs=nargs, metavar="FILE", help=text)
