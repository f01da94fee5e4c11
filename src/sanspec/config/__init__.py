"""The one place where a setting is named, typed, bounded and explained.

The models below are the schema; `config.yaml` is written from them (`sanspec config > config.yaml`) and a test keeps
the two equal. Every model is frozen and closed: an unknown key is an error that names the run and the key.
"""

from sanspec.config.acquisition import Acquire, Http, Services, Survey
from sanspec.config.base import Count, Nest, Positive, Section, merge
from sanspec.config.manual import document
from sanspec.config.measurements import Agn, Classify, Lick, Lines, Measure, Quality, Redshift
from sanspec.config.networks import (
    NETWORKS,
    CoarseSettings,
    ContrastiveSettings,
    DiffusionSettings,
    FineSettings,
    Generate,
    NetworkSettings,
    RegressorSettings,
    Sampler,
    Train,
)
from sanspec.config.products import Check, Figures
from sanspec.config.runs import Config, dump, load, resolve, validate
from sanspec.config.sample import Match, Mock, PixelBit, Prepare
from sanspec.config.stellar import Firefly, Ppxf, Stellar, Templates

__all__ = [
    "NETWORKS",
    "Acquire",
    "Agn",
    "Check",
    "Classify",
    "CoarseSettings",
    "Config",
    "ContrastiveSettings",
    "Count",
    "DiffusionSettings",
    "Figures",
    "FineSettings",
    "Firefly",
    "Generate",
    "Http",
    "Lick",
    "Lines",
    "Match",
    "Measure",
    "Mock",
    "Nest",
    "NetworkSettings",
    "PixelBit",
    "Positive",
    "Ppxf",
    "Prepare",
    "Quality",
    "Redshift",
    "RegressorSettings",
    "Sampler",
    "Section",
    "Services",
    "Stellar",
    "Survey",
    "Templates",
    "Train",
    "document",
    "dump",
    "load",
    "merge",
    "resolve",
    "validate",
]
