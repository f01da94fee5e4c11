"""Simulate the whole sky, galaxy by galaxy in worker processes, and write the survey's files."""

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from sanspec.config import Mock
from sanspec.mock import catalogue, checks, defects, files, image, pipeline, speclite, truth
from sanspec.mock.galaxy import Instruments, Observation
from sanspec.mock.identity import Identity, Sky, identify
from sanspec.stellar.library import open_library
from sanspec.store import provenance, write_json, write_table

CHUNK = 16  # galaxies handed to a worker at a time
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
_OBSERVE = 5  # third word of the seed of the measurements of a galaxy


@dataclass(frozen=True)
class Record:
    """What one galaxy adds to the files: cubes with their labels, rows of the catalogue, a row of the truth."""

    cubes: list[tuple[np.ndarray, np.ndarray]]
    rows: list[dict]
    truth: dict


@dataclass(frozen=True)
class Simulation:
    """One simulated sky: settings, templates (.npz), folder of spectra, and the defect of each galaxy."""

    settings: Mock
    templates: Path
    spectra: Path
    defects: tuple[str, ...]

    @property
    def sky(self) -> Sky:
        """Positions of the galaxies."""
        return Sky(self.settings.seed, self.settings.pairs, self.settings.galaxies)

    @property
    def tools(self) -> Instruments:
        """Read once in each process."""
        return _instruments(self.templates, self.settings)

    def records(self, workers: int) -> Iterator[Record]:
        """Every galaxy in order, with a progress bar; the number of processes changes nothing."""
        indices = range(self.settings.galaxies)
        with _one_thread(), ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            made = pool.map(self.make, indices, chunksize=CHUNK)
            yield from tqdm(made, total=len(indices), desc="galaxies", unit="gal", mininterval=1)

    def make(self, index: int) -> Record:
        """Galaxy `index`: its spectra are written to `spectra`, the rest is returned."""
        kind, seed = self.defects[index], self.settings.seed
        partners = self._partners(index)
        seen = self.tools.simulate(np.random.default_rng([seed, index]), partners)
        rng = np.random.default_rng([seed, index, _OBSERVE])
        who = identify(index, *self.sky.position(index))
        visits = [(who, seen)]
        if kind == "repeat":  # the same light with other noise
            old = seen.spectrum
            noise = rng.standard_normal(old.model.size) / np.sqrt(np.maximum(old.ivar, 1e-6))
            again = replace(old, flux=old.model + np.where(old.ivar > 0, noise, 0))
            visits.append((identify(index, who.ra, who.dec, repeat=True), replace(seen, spectrum=again)))
        cubes, rows = map(list, zip(*(self._visit(name, visit, kind, rng) for name, visit in visits)))
        rows *= {"no_catalogue": 0, "twice_in_catalogue": 2}.get(kind, 1)
        cubes *= {"no_cube": 0, "twice_in_cubes": 2}.get(kind, 1)
        return Record(cubes, rows, truth.row(who, seen, kind, bool(partners)))

    def _partners(self, index: int) -> list[image.Neighbour]:
        """The other galaxy of a pair as it appears in the image; x grows to the west, y to the north."""
        partner = self.sky.partner(index)
        if partner is None:
            return []
        other, east, north = partner
        seen = self.tools.simulate(np.random.default_rng([self.settings.seed, other]))
        drawn = seen.galaxy
        flux = seen.light.flux.sum(axis=0)
        return [image.Neighbour(-east, north, flux, drawn.radius, drawn.disk_axis, drawn.angle)]

    def _visit(
        self, who: Identity, seen: Observation, kind: str, rng: np.random.Generator
    ) -> tuple[tuple[np.ndarray, np.ndarray], dict]:
        """Write one spectrum; return its cube with label, and its catalogue row, measured before the defect."""
        found, changed = pipeline.measure(seen, rng), defects.spoil_header(kind)
        row = catalogue.row(who, seen, found, changed, rng)
        label = catalogue.label(who, seen, found, changed, rng)
        spectrum = defects.spoil_spectrum(seen.spectrum, kind, rng)
        spoilt = replace(seen, spectrum=spectrum, cube=defects.spoil_image(seen.cube, kind))
        inside = replace(who, fiberid=601 + who.fiberid % 40) if kind == "other_object" else who
        content = speclite.pack(
            spoilt.spectrum,
            pipeline.header(inside, spoilt),
            pipeline.specobj(inside, spoilt, found, changed),
            pipeline.spzline(inside, seen, found, rng),
        )
        path, content = self.spectra / who.file, defects.spoil_file(content, kind)
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is not None:
            path.write_bytes(content)
        return (np.moveaxis(spoilt.cube, 0, -1), label), row


_instruments = lru_cache(maxsize=1)(Instruments.read)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Processes started within use one thread each: the pool fills the cores, and results do not depend on them."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def write(settings: Mock, templates: Path, out: Path, workers: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Write all files of the sky to the folder `out`, or none; return the truth and the checks.

    Raises SanspecError when the templates cannot be read or `out` cannot be written.
    """
    kinds = defects.assign(settings.galaxies, settings.defects, settings.seed)
    open_library(templates)  # reports a user's error before any worker starts
    meta = provenance("mock", settings.model_dump(mode="json"), simulated=True)
    with files.appearing(Path(out)) as folder:
        sky = Simulation(settings, Path(templates).resolve(), folder.resolve() / "spectra", tuple(kinds))
        rows, truths = [], []
        count = len(kinds) + sum(defects.EXTRA_CUBES.get(kind, 0) for kind in kinds)
        with files.cube_file(folder / "sdss.npz", count) as add:
            for record in sky.records(workers):
                for cube, label in record.cubes:
                    add(cube, label)
                rows += record.rows
                truths.append(record.truth)
        files.write_catalogue(folder / "catalogue.csv", rows, settings.seed)
        table = pd.DataFrame(truths)
        write_table(folder / "truth.parquet", table, truth.UNITS, meta)
        found = checks.population(table)
        write_table(folder / "population.ecsv", found, meta=meta)
        write_json(folder / "population.json", {"provenance": meta, **checks.numbers(table, found)})
    return table, found
