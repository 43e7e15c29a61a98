"""Which collectors run on which nodes: the table is whole, and every one of them can be made."""

import pytest

from dcdaemon.config.load import load
from dcdaemon.core.errors import BadConfig
from dcdaemon.core.roles import GPUS, HOST_COLLECTORS, SWEEP_S, USUAL_ROLES, Role, table

ENV = {"HOME": "/home/ada"}


def runs_on(role: str) -> set[str]:
    return {plan.name for plan in (GPUS, *HOST_COLLECTORS) if plan.roles and plan.runs_on((role,))}


def test_each_role_brings_its_collectors():
    assert {role: runs_on(role) for role in Role} == {
        "compute": {"gpus"},
        "storage": {"nfs", "drives", "object_store"},
        "network": {"infiniband", "snmp"},
        "management": {"snmp", "object_store", "bmc"},
    }


def test_the_table_has_a_line_for_each_collector_and_a_column_for_each_role():
    lines = list(table())
    assert lines[0] == "| collector | reads | every | compute | storage | network | management |"
    assert [line.split("`")[1] for line in lines[2:]] == [plan.name for plan in (GPUS, *HOST_COLLECTORS)]
    assert {line.count("|") for line in lines} == {8}


def test_what_belongs_to_the_nodes_own_sample_is_read_at_every_sweep():
    assert {plan.name for plan in HOST_COLLECTORS if not plan.each_sweep} == {"sensors", "filesystems"}
    assert all(plan.every_s >= SWEEP_S for plan in HOST_COLLECTORS)


@pytest.mark.parametrize(
    ("raw", "roles"),
    [
        (None, USUAL_ROLES),
        ("network, management", ("network", "management")),
        (["Storage", "storage"], ("storage",)),
    ],
)
def test_roles_are_configured(raw, roles):
    assert load([], ENV, {"node.roles": raw}).config.node.roles == roles


@pytest.mark.parametrize(
    ("raw", "words", "hint"),
    [
        (["compute", "storag"], "has 'storag', which is not one of compute, storage, network, management", "storage?"),
        ("gpu", "has 'gpu', which is not one of", "write some of compute, storage"),
        ([], "is empty", "write some of compute, storage"),
        (7, "is not a list of names", '["name1", "name2"]'),
    ],
)
def test_a_wrong_role_is_refused_at_the_door(raw, words, hint):
    with pytest.raises(BadConfig) as caught:
        load([], ENV, {"node.roles": raw})
    assert words in caught.value.message
    assert hint in caught.value.hint
