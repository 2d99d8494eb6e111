"""Quotas per department: what is declared, what the plan shows of it, and whom it leaves alone. No broker."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from hutong.catalogue.load import read
from hutong.contracts.departments import DEFAULT_QUOTA
from hutong.control.diff import difference
from hutong.export.strimzi import documents
from hutong.kafka.quotas import PUBLISH, RECEIVE, REQUESTS
from tests.declaring import Declarations
from tests.unit.test_control_diff import in_step, wants
from tests.unit.test_export_strimzi import LAYOUT


@pytest.fixture
def fi(tmp_path: Path) -> Declarations:
    return Declarations(tmp_path)


def declared(fi: Declarations, *, common: str = "", kela: str = "") -> None:
    """Write quotas into departments.yaml: of all, and of one."""
    file = fi.directory / "departments.yaml"
    text = file.read_text()
    if kela:
        text = text.replace("- code: kela\n", f"- code: kela\n    quota: {kela}\n")
        assert kela in text
    file.write_text((f"quota: {common}\n" if common else "") + text)


def test_every_department_has_one_and_no_service(fi: Declarations) -> None:
    """Without a word in the declarations: the default, for departments alone."""
    wanted = wants(fi.catalogue())
    assert wanted.quotas.keys() == fi.catalogue().departments.keys()
    assert {tuple(sorted(one.items())) for one in wanted.quotas.values()} == {
        ((RECEIVE, 20e6), (PUBLISH, 5e5), (REQUESTS, 100.0))
    }
    assert DEFAULT_QUOTA.publish_mb_per_s == 0.5


def test_a_department_s_own_goes_before_that_of_all(fi: Declarations) -> None:
    """Each value by itself: its own, that of all, the default."""
    declared(fi, common="{publish_mb_per_s: 5, receive_mb_per_s: 50}", kela="{publish_mb_per_s: 0.25}")
    quotas = wants(fi.catalogue()).quotas
    assert quotas["kela"] == {PUBLISH: 0.25e6, RECEIVE: 50e6, REQUESTS: 100.0}
    assert quotas["dvv"] == {PUBLISH: 5e6, RECEIVE: 50e6, REQUESTS: 100.0}


@pytest.mark.parametrize("wrong", ["{publish_mb_per_s: 0}", "{publish_mb_per_s: -1}", "{request_percent: .inf}", "{per_s: 1}"])
def test_a_quota_that_makes_no_sense_is_an_error(fi: Declarations, wrong: str) -> None:
    """With the file's name, before anything is applied."""
    declared(fi, kela=wrong)
    assert any("departments.yaml" in str(error) for error in read(fi.directory).errors)


def test_the_plan_shows_what_changes(fi: Declarations) -> None:
    """Set where there is none, changed where there is another, in words; kinds that are not ours stay out of it."""
    wanted = wants(fi.catalogue())
    assert difference(wanted, in_step(wanted)).changes == ()
    there = {**wanted.quotas, "kela": {PUBLISH: 1e6, "controller_mutation_rate": 3.0}}
    del there["dvv"]
    found = difference(wanted, dataclasses.replace(in_step(wanted), quotas=there)).changes
    assert [(one.step, one.action, one.name, one.text) for one in found] == [
        ("quota", "create", "dvv", "publish 0.5 MB/s, receive 20 MB/s, 100 % of a thread"),
        ("quota", "change", "kela", "publish 1 MB/s -> publish 0.5 MB/s, receive 20 MB/s, 100 % of a thread"),
    ]
    same = {**wanted.quotas, "kela": {**wanted.quotas["kela"], "controller_mutation_rate": 3.0}}
    assert difference(wanted, dataclasses.replace(in_step(wanted), quotas=same)).changes == ()


def test_what_is_gone_is_pruned_and_others_are_let_be(fi: Declarations) -> None:
    """A department that is gone, and a service that somebody has slowed down; not the user of another application."""
    wanted = wants(fi.catalogue())
    limits = {PUBLISH: 1.0}
    there = {**wanted.quotas, "router": limits, "somebody.else": limits, "operator": {"controller_mutation_rate": 1.0}}
    found = difference(wanted, dataclasses.replace(in_step(wanted), quotas=there)).changes
    assert [(one.action, one.name, one.prune) for one in found] == [("remove", "router", True)]
    without = dataclasses.replace(wanted, quotas={code: one for code, one in wanted.quotas.items() if code != "kela"})
    gone = difference(without, in_step(wanted)).changes
    assert [(one.step, one.name, one.prune) for one in gone] == [("quota", "kela", True)]


def test_a_cluster_that_does_not_tell_is_told_of(fi: Declarations) -> None:
    """No change that cannot be made, and a note."""
    wanted = wants(fi.catalogue())
    found = difference(wanted, dataclasses.replace(in_step(wanted), quotas=None))
    assert found.changes == ()
    assert any("does not tell of quotas" in note for note in found.notes)


def test_strimzi_s_users_have_the_same(fi: Declarations) -> None:
    """In Strimzi's words and whole numbers; the services and the operator have none."""
    users = {one["metadata"]["name"]: one["spec"] for one in documents(fi.catalogue(), LAYOUT) if one["kind"] == "KafkaUser"}
    assert users["kela"]["quotas"] == {"producerByteRate": 500_000, "consumerByteRate": 20_000_000, "requestPercentage": 100}
    departments = fi.catalogue().departments.keys()
    assert {name for name, spec in users.items() if "quotas" in spec} == departments
