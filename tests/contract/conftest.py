"""The workflow as Snakemake parses it, once for all contract tests."""

from __future__ import annotations

import pytest
from workspace import REPOSITORY


@pytest.fixture(scope="session")
def rules(tmp_path_factory):
    """Every rule of the workflow by name, parsed with the shipped config in an empty folder."""
    from snakemake.api import OutputSettings, ResourceSettings, SnakemakeApi
    from snakemake.settings.enums import Quietness

    with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
        workflow = api.workflow(
            resource_settings=ResourceSettings(),
            snakefile=REPOSITORY / "Snakefile",
            workdir=tmp_path_factory.mktemp("empty"),
        )._workflow
        if not list(workflow.rules):
            workflow.include(REPOSITORY / "Snakefile", overwrite_default_target=True)
        return {rule.name: rule for rule in workflow.rules}
