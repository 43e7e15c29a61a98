"""docs/simulator.md names what there is."""

from pathlib import Path

import pytest
from recordings import JOBS, SMALL

from dcdaemon.cli.verbs.simulate import command
from dcdaemon.simulator.choices import CHOICES
from dcdaemon.simulator.csv_trace import LIMIT, NEEDED
from dcdaemon.simulator.study import Study, carry_out
from dcdaemon.simulator.workload import Workload

PAGE = (Path(__file__).parents[3] / "docs" / "simulator.md").read_text()
[RUN] = carry_out(Study([Workload("small", JOBS)], SMALL, [CHOICES["fifo"]]))
OPTIONS = [option for option in command.params if option.param_type_name == "option"]
SHARED = {"--url", "--token-file", "--json", "--quiet", "--columns", "--color", "--output", "--gpus-per-node"}


@pytest.mark.parametrize("word", [*RUN.document(), *CHOICES, *NEEDED, LIMIT])
def test_every_key_policy_and_column_is_explained(word):
    assert f"`{word}`" in PAGE


@pytest.mark.parametrize("option", sorted({option.opts[-1] for option in OPTIONS} - SHARED))
def test_every_option_of_its_own_is_explained(option):
    assert f"`{option}" in PAGE
