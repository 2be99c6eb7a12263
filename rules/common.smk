"""The configuration, validated and complete; what is worth a test lies in scripts/talkset/config.py.

REQUIRED INPUTS   config   merged by Snakemake from config/config.yaml, config/models.yaml, --configfile and --config
OUTPUTS           CONFIG, and in it DATASETS: the complete settings of every dataset to build;
                  CORRECTED: the datasets whose sound is shifted to the lips;
                  FETCHED_MODELS: those that a rule fetches
"""

import functools
import os
import re

import yaml
from snakemake.exceptions import WorkflowError

from talkset import config as configuration
from talkset import listing, models, names, paths, registry, shards
from talkset.annotations import Oddities
from talkset.faults import ToolFault
from talkset.versions import STEPS

try:
    with open(
        REPOSITORY / "config" / "schema" / "config.schema.yaml", encoding="utf-8"
    ) as schema_file:
        CONFIG = configuration.resolve(config, yaml.safe_load(schema_file))
except ToolFault as fault:
    raise WorkflowError(str(fault))

DATASETS = CONFIG["datasets"]
CORRECTED = [name for name, settings in DATASETS.items() if settings["sync"]["correct"]]
FETCHED_MODELS = {
    name: settings
    for name, settings in CONFIG["models"].items()
    if settings["path"] is None and not settings["gated"]
}


wildcard_constraints:
    dataset="|".join(DATASETS),
    video=names.SAFE,
    shard=names.SAFE,
    annotation=names.SAFE,
