"""Compare the products of two runs made on one machine; report every value that differs.

    python benchmarks/compare_results.py BEFORE/results AFTER/results [--out shifts.json]

Tables, JSON, HDF5, npz and safetensors are compared value by value; times, provenance and pictures are left out. Exit
status 1 when something differs.
"""

import argparse
import json
import math
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from safetensors.numpy import load_file

from sanspec import store

LEFT_OUT = {  # keys and columns of times, provenance and words
    *(
        "created",
        "seconds",
        "timings",
        "times",
        "environment",
        "code",
        "source",
        "settings",
        "provenance",
        "sanspec",
    ),
    *(
        "seconds_training",
        "steps_per_second",
        "flop_per_second",
        "about",
        "meaning",
        "paper",
        "equivalent_widths",
    ),
    "weights",  # SHA-256 of a file whose header holds the settings; the arrays in it are compared
}
SKIPPED_FOLDERS = {"logs", "benchmarks", "tensorboard", "store"}
SKIPPED_FILES = {"times.json"}


def flat(value, name=""):
    """Leaves of nested mappings and lists, by their path."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key not in LEFT_OUT:
                yield from flat(item, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from flat(item, f"{name}[{place}]")
    else:
        yield name, value


def read(path):
    """Everything that a product holds, by name: arrays and scalars."""
    if path.suffix == ".json":
        return dict(flat(json.loads(path.read_text())))
    if path.suffix in (".ecsv", ".parquet"):
        table = store.read_table(path) if path.suffix == ".ecsv" else pd.read_parquet(path)
        return {name: table[name].to_numpy() for name in table if name not in LEFT_OUT}
    if path.suffix == ".h5":
        found = {}
        with h5py.File(path) as file:
            file.visititems(
                lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
            )
        return found
    if path.suffix == ".npz":
        with np.load(path) as file:
            arrays = {name: file[name] for name in file.files}
        fields = {f"{name}.{field}": a[field] for name, a in arrays.items() for field in a.dtype.names or ()}
        return fields | {name: a for name, a in arrays.items() if a.dtype.names is None}
    if path.suffix == ".safetensors":
        return load_file(path)
    return {"bytes": np.frombuffer(path.read_bytes(), np.uint8)} if path.suffix in (".csv", ".fits") else None


def difference(one, other):
    """Largest absolute and relative difference of two values, or None where they are equal."""
    one, other = np.asarray(one), np.asarray(other)
    if one.shape != other.shape:
        return {"shapes": [list(one.shape), list(other.shape)]}
    if one.dtype.kind not in "fiub" or other.dtype.kind not in "fiub":
        same = np.array_equal(one.astype(str), other.astype(str))
        return None if same else {"differing": int(np.sum(one.astype(str) != other.astype(str)))}
    one, other = one.astype(np.float64), other.astype(np.float64)
    equal = (one == other) | (np.isnan(one) & np.isnan(other))
    if equal.all():
        return None
    gap, scale = np.abs(one - other)[~equal], np.maximum(np.abs(one), np.abs(other))[~equal]
    relative = gap / np.where(scale > 0, scale, 1.0)
    largest = [float(np.nanmax(v)) if np.isfinite(v).any() else math.nan for v in (gap, relative)]
    return {
        "differing": int((~equal).sum()),
        "of": int(equal.size),
        "absolute": largest[0],
        "relative": largest[1],
    }


def products(root):
    """Files below a results folder that hold values, by relative path."""
    return {
        path.relative_to(root): path
        for path in sorted(root.rglob("*"))
        if path.is_file()
        and path.name not in SKIPPED_FILES
        and not SKIPPED_FOLDERS & set(path.relative_to(root).parts)
    }


def compare(before, after):
    """What differs, by file and name."""
    old, new = products(before), products(after)
    shifts = {
        str(path): "only in one"
        for path in sorted(set(old) ^ set(new))
        if read((old | new)[path]) is not None
    }
    for path in sorted(set(old) & set(new)):
        one, other = read(old[path]), read(new[path])
        if one is None:
            continue
        for name in sorted(set(one) | set(other)):
            if (name in one) != (name in other):
                shifts[f"{path}: {name}"] = "only in one"
            elif (found := difference(one[name], other[name])) is not None:
                shifts[f"{path}: {name}"] = found
    return {"files": len(set(old) & set(new)), "shifts": shifts}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--out", type=Path, help="write what differs here (.json)")
    args = parser.parse_args()
    found = compare(args.before, args.after)
    if args.out:
        args.out.write_text(json.dumps(found, indent=1) + "\n")
    for name, shift in found["shifts"].items():
        print(name, shift)
    print(f"{found['files']} files compared, {len(found['shifts'])} values differ")
    sys.exit(bool(found["shifts"]))
