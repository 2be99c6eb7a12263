"""talkset: from published lists of video ids to training-ready clips and features; see README.md."""

import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.27")

REPOSITORY = Path(workflow.basedir)
# The scripts' own folder, which jobs get too; a package of our own name, because an env's packages come before it.
sys.path.insert(0, str(REPOSITORY / "scripts"))


configfile: str(REPOSITORY / "config" / "config.yaml")
configfile: str(REPOSITORY / "config" / "models.yaml")


include: "rules/common.smk"
include: "rules/inputs.smk"
include: "rules/annotations.smk"
include: "rules/acquire.smk"
include: "rules/models.smk"
include: "rules/clips.smk"
include: "rules/faces.smk"
include: "rules/quality.smk"
include: "rules/sync.smk"
include: "rules/features.smk"
include: "rules/ledger.smk"
include: "rules/export.smk"
include: "rules/targets.smk"


# The default target stands here because Snakemake takes none from an included file.
rule all:
    input:
        in_datasets(paths.MANIFEST),
        in_datasets(paths.CONTACT_SHEET),
        exports,
    localrule: True
