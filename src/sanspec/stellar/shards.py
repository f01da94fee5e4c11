"""What a shard of population fits leaves behind, whichever code fitted it."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from sanspec import store
from sanspec.errors import reasons
from sanspec.stellar import models, results

log = logging.getLogger(__name__)


def write(
    table_path: Path,
    models_path: Path,
    done: Sequence[tuple[Mapping, models.Model]],
    code: str,
    meta: Mapping,
) -> None:
    """The table and the fitted spectra of a shard; done: a row and a model for every spectrum."""
    table = results.assemble(row for row, _ in done)
    results.write(table_path, table, meta)
    models.write(models_path, [model for _, model in done], store.provenance(code))
    counts = Counter(reason for warn in table["warn"] for reason in reasons(warn))
    drawn = (table["n_draws"] > 0).sum()
    log.info("%d spectra, %d with draws; %s", len(table), drawn, dict(counts) or "no warnings")
