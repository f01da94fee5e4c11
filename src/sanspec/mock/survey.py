"""The whole embedded sky: galaxy by galaxy in worker processes, in the survey's files."""

import dataclasses
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from sanspec.config import Mock
from sanspec.mock import catalogue, checks, defects, files, galaxy, image, pipeline, speclite, stars, truth
from sanspec.mock.galaxy import Instruments, Observation
from sanspec.mock.identity import Identity, Sky, identify
from sanspec.mock.spectrum import Spectrum
from sanspec.stellar.library import open_library
from sanspec.store import provenance, write_json, write_table

CHUNK = 16  # galaxies handed to a worker at a time
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
_OBSERVE = 5  # third word of the seed of a galaxy's measurements


@dataclass(frozen=True)
class Job:
    """What a worker must know: settings, files, and the defect of each galaxy."""

    settings: Mock
    templates: Path
    spectra: Path
    defects: tuple[str, ...]

    @property
    def sky(self) -> Sky:
        """Where the galaxies stand."""
        return Sky(self.settings.seed, self.settings.pairs, self.settings.galaxies)


@dataclass(frozen=True)
class Record:
    """What one galaxy adds to the files: cubes with their labels, rows of the catalogue, one of the truth."""

    cubes: list[tuple[np.ndarray, np.ndarray]]
    rows: list[dict]
    truth: dict


# ------------------------------------------------------------------------------------------------- one galaxy


def instruments(templates: Path, settings: Mock) -> Instruments:
    """Templates, filters and redshift window as every worker holds them."""
    library = stars.prepare(open_library(templates))
    return Instruments(library, stars.filter_weights(), settings.z_min, settings.z_max)


def make(job: Job, tools: Instruments, index: int) -> Record:
    """Galaxy `index`: its spectra are written below `job.spectra`, the rest is handed back."""
    kind, seed = job.defects[index], job.settings.seed
    partners = _partners(job, tools, index)
    seen = galaxy.simulate(tools, np.random.default_rng([seed, index]), partners)
    rng = np.random.default_rng([seed, index, _OBSERVE])
    who = identify(index, *job.sky.position(index))
    visits = [(who, seen)]
    if kind == "repeat":
        again = dataclasses.replace(seen, spectrum=_repeated(seen.spectrum, rng))
        visits.append((identify(index, who.ra, who.dec, repeat=True), again))
    cubes, rows = [], []
    for name, visit in visits:
        cube, row = _visit(job, name, visit, kind, rng)
        cubes.append(cube)
        rows.append(row)
    rows *= {"no_catalogue": 0, "twice_in_catalogue": 2}.get(kind, 1)
    cubes *= {"no_cube": 0, "twice_in_cubes": 2}.get(kind, 1)
    return Record(cubes, rows, truth.row(who, seen, kind, bool(partners)))


def _partners(job: Job, tools: Instruments, index: int) -> list[image.Neighbour]:
    """The other galaxy of a pair as it shows in the image; x grows to the west, y to the north."""
    partner = job.sky.partner(index)
    if partner is None:
        return []
    other, east, north = partner
    seen = galaxy.simulate(tools, np.random.default_rng([job.settings.seed, other]))
    drawn = seen.galaxy
    flux = seen.light.flux.sum(axis=0)
    return [image.Neighbour(-east, north, flux, drawn.radius, drawn.disk_axis, drawn.angle)]


def _repeated(spectrum: Spectrum, rng: np.random.Generator) -> Spectrum:
    """The same light with other noise."""
    noise = rng.standard_normal(spectrum.model.size) / np.sqrt(np.maximum(spectrum.ivar, 1e-6))
    return dataclasses.replace(spectrum, flux=spectrum.model + np.where(spectrum.ivar > 0, noise, 0))


def _visit(
    job: Job, who: Identity, seen: Observation, kind: str, rng: np.random.Generator
) -> tuple[tuple[np.ndarray, np.ndarray], dict]:
    """One observation written and entered: its cube with label, and its row. Measured before it is spoilt."""
    found, changed = pipeline.measure(seen, rng), defects.spoil_header(kind)
    row = catalogue.row(who, seen, found, changed, rng)
    label = catalogue.label(who, seen, found, changed, rng)
    spectrum = defects.spoil_spectrum(seen.spectrum, kind, rng)
    spoilt = dataclasses.replace(seen, spectrum=spectrum, cube=defects.spoil_image(seen.cube, kind))
    inside = dataclasses.replace(who, fiberid=601 + who.fiberid % 40) if kind == "other_object" else who
    content = speclite.pack(
        spoilt.spectrum,
        pipeline.header(inside, spoilt),
        pipeline.specobj(inside, spoilt, found, changed),
        pipeline.spzline(inside, seen, found, rng),
    )
    _write(job.spectra / who.file, defects.spoil_file(content, kind))
    return (np.moveaxis(spoilt.cube, 0, -1), label), row


def _write(path: Path, content: bytes | None) -> None:
    """A spectrum's file, if there is to be one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if content is not None:
        path.write_bytes(content)


# ------------------------------------------------------------------------------------------------ all of them


_worker: dict = {}


def _begin(job: Job) -> None:
    """Set a worker up."""
    _worker.update(job=job, tools=instruments(job.templates, job.settings))


def _work(index: int) -> Record:
    """One galaxy, in a worker."""
    return make(_worker["job"], _worker["tools"], index)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Processes started within use one thread each: the pool takes the cores, and the bits stay the same."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def records(job: Job, workers: int) -> Iterator[Record]:
    """Every galaxy in order, with a progress bar, whatever the number of processes."""
    indices = range(job.settings.galaxies)
    with _one_thread(), ProcessPoolExecutor(workers, get_context("spawn"), _begin, (job,)) as pool:
        made = pool.map(_work, indices, chunksize=CHUNK)
        yield from tqdm(made, total=len(indices), desc="galaxies", unit="gal", mininterval=1)


def write(settings: Mock, templates: Path, out: Path, workers: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """All files of the sky in the folder `out`, whole or not at all; returns the truth and the checks.

    Raises SanspecError when the templates cannot be read or `out` cannot be written.
    """
    kinds = defects.assign(settings.galaxies, settings.defects, settings.seed)
    open_library(templates)  # a fault of the user's is told before any worker starts
    meta = provenance("mock", settings.model_dump(mode="json"), simulated=True)
    with files.appearing(Path(out)) as folder:
        job = Job(settings, Path(templates).resolve(), folder.resolve() / "spectra", tuple(kinds))
        rows, truths = [], []
        count = len(kinds) + sum(defects.EXTRA_CUBES.get(kind, 0) for kind in kinds)
        with files.cube_file(folder / "sdss.npz", count) as add:
            for record in records(job, workers):
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
