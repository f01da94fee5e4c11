"""The one place where a setting is named, typed, bounded and explained.

The models are the schema; `config.yaml` is written from them (`sanspec config > config.yaml`), and a test keeps the
two equal. Every model is frozen and closed: an unknown key is an error that names the run and the key.
"""

# ruff: noqa: F401  (the names that the package imports from here)

from sanspec.config.acquisition import Acquire, Http, Survey
from sanspec.config.base import Section
from sanspec.config.measurements import Agn, Classify, Lick, Lines, Quality, Redshift
from sanspec.config.networks import (
    CASCADE,
    NETWORKS,
    CoarseSettings,
    ContrastiveSettings,
    Generate,
    NetworkSettings,
    RegressorSettings,
    Sampler,
    Train,
)
from sanspec.config.products import Figures
from sanspec.config.runs import Config, document, dump, load, resolve, validate
from sanspec.config.sample import Match, Mock, Prepare
from sanspec.config.stellar import Firefly, Ppxf, Stellar, Templates
