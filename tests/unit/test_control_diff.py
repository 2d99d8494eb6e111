"""The difference between declarations and bus: what changes, in which order, and whom and which fields it touches. No broker."""

from __future__ import annotations

import dataclasses
import io
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from hutong.agreements.grant import Grant
from hutong.catalogue.catalogue import Catalogue
from hutong.control.changes import Change, Difference, FieldEffect
from hutong.control.desired import Desired, Layout, desired
from hutong.control.diff import difference
from hutong.control.observed import Observed, SubjectState
from hutong.control.render import show
from hutong.control.rights import rights
from hutong.flows.control import key_name
from hutong.kafka.resources import Acl, TopicState
from hutong.principals import SERVICES
from hutong.transport import Registered
from tests.declaring import Declarations

MOVES = "agreements/kela/moves-to-benefits.yaml"
FLOW = "flows/claim-check.yaml"
TAKEN = ("kela.claim_filed", "vero.income_answered")


@pytest.fixture
def fi(tmp_path: Path) -> Declarations:
    return Declarations(tmp_path)


def wants(catalogue: Catalogue, brokers: int = 1) -> Desired:
    return desired(catalogue, Layout(brokers=brokers))


def in_step(wanted: Desired) -> Observed:
    """The bus as ``apply`` leaves it."""
    ids = {id_: number for number, id_ in enumerate(wanted.grants, start=100)}
    counter = itertools.count(1)

    def state(schemas: tuple[dict[str, Any], ...], level: str) -> SubjectState:
        versions = [Registered(id=next(counter), version=n, schema=schema) for n, schema in enumerate(schemas, start=1)]
        return SubjectState(level=level, versions=tuple(versions), ids=tuple(version.id for version in versions))

    return Observed(
        topics={
            name: TopicState(partitions=t.partitions, config={"retention.ms": "1", **t.config})
            for name, t in wanted.topics.items()
        },
        subjects={name: state(s.schemas, s.level) for name, s in wanted.subjects.items() if s.contract},
        delivery_ids=ids,
        users=wanted.principals | {"operator"},
        acls=wanted.acls,
        quotas=wanted.quotas,
        grants={id_: grant.grant(ids[id_]).to_json() for id_, grant in wanted.grants.items()},
        flows={id_: record.to_json() for id_, record in wanted.flows.items()},
        keys=frozenset(wanted.grants) | {key_name(id_) for id_, record in wanted.flows.items() if record.flow.personal_key},
    )


def against(old: Desired, new: Desired) -> Difference:
    """The difference after an edit; delivery schemas that the edit changed are not registered yet."""
    found = in_step(old)
    subjects = {}
    for name, state in found.subjects.items():
        there = [version.schema for version in state.versions]
        wanted = new.subjects[name].schemas if name in new.subjects else ()
        ids = tuple(1 if schema in there else None for schema in wanted)
        subjects[name] = dataclasses.replace(state, ids=ids)
    same = {
        id_: number
        for id_, number in found.delivery_ids.items()
        if id_ in new.grants and old.grants[id_].delivery_schema == new.grants[id_].delivery_schema
    }
    return difference(new, dataclasses.replace(found, delivery_ids=same, subjects=subjects))


def signs(fields: tuple[FieldEffect, ...]) -> list[tuple[str, str]]:
    return [(field.sign, field.path) for field in fields]


def agreement_change(found: Difference, id_: str) -> Change:
    return next(change for change in found.changes if change.step == "agreement" and change.name == id_)


def test_an_empty_bus_gets_everything_in_order(fi: Declarations) -> None:
    """Topics first, grants and flows last, so that whoever sees one finds all it speaks of."""
    found = difference(wants(fi.catalogue()), Observed())
    steps = [step for step, _ in itertools.groupby(found.changes, key=lambda change: change.step)]
    assert steps == ["topic", "schema", "principal", "acl", "quota", "key", "agreement", "flow"]
    assert {change.action for change in found.changes} == {"create"}
    assert not found.refusals
    assert found.stays(prune=False) == ()


def test_a_bus_in_step_needs_nothing(fi: Declarations) -> None:
    """The second apply finds nothing, with one broker and with three."""
    for brokers in (1, 3):
        wanted = wants(fi.catalogue(), brokers)
        found = difference(wanted, in_step(wanted))
        assert found.changes == ()
        assert found.to_document(prune=True)["in_step"] is True


def test_topics_follow_contract_and_cluster(fi: Declarations) -> None:
    """Retention from the contract, copies by the brokers, the broker's clock on what is published."""
    topics = wants(fi.catalogue(), brokers=3).topics
    published = topics["pub.kela.benefit_decided"]
    assert published.replication == 3
    assert published.config["min.insync.replicas"] == "2"
    assert published.config["message.timestamp.type"] == "LogAppendTime"
    assert published.config["retention.ms"] == str(730 * 86_400_000)
    # A channel keeps what the longest-lived of its contracts keeps.
    assert topics["sub.kela.population"].config["retention.ms"] == str(3650 * 86_400_000)
    assert topics["quarantine.dvv.person_moved"].partitions == 1
    assert topics["ctl.agreements"].config["cleanup.policy"] == "compact"
    assert topics["ctl.replays"].config["cleanup.policy"] == "compact,delete"
    assert topics["ctl.replays"].config["retention.ms"] == str(1095 * 86_400_000)
    assert int(topics["ctl.replays"].config["retention.ms"]) > int(topics["quarantine.dvv.person_moved"].config["retention.ms"])
    assert {name.split(".")[0] for name in topics} == {"pub", "sub", "quarantine", "ctl"}


def test_access_rules_are_exactly_these(fi: Declarations) -> None:
    """A department writes its own topics, reads its own channels, and nothing else."""
    acls = wants(fi.catalogue()).acls
    assert {str(acl) for acl in acls if acl.principal == "kela"} == {
        "kela may write topic pub.kela.benefit_decided",
        "kela may describe topic pub.kela.benefit_decided",
        *(f"kela may {what} topic pub.kela.claim_filed" for what in ("write", "describe")),
        *(f"kela may {what} topic pub.kela.question_asked" for what in ("write", "describe")),
        *(f"kela may {what} topic pub.kela.claim_checked" for what in ("write", "describe")),
        "kela may read topic sub.kela.population",
        "kela may describe topic sub.kela.population",
        "kela may read groups kela.*",
    }
    assert {str(acl) for acl in acls if acl.principal == "router"} == {
        *(f"router may {what} topics pub.*" for what in ("read", "describe")),
        *(f"router may {what} topics {prefix}.*" for what in ("write", "describe") for prefix in ("sub", "quarantine")),
        *(f"router may {what} topic ctl.agreements" for what in ("read", "describe")),
        *(f"router may {what} groups hutong.router*" for what in ("read", "describe")),
        "router may describe group hutong.none",
        *(f"router may {what} transactional ids hutong.router*" for what in ("write", "describe")),
    }
    assert {str(acl) for acl in acls if acl.principal == "coordinator"} == {
        *(f"coordinator may {what} topic ctl.flows" for what in ("read", "describe")),
        *(f"coordinator may {what} topic ctl.cases.inbox" for what in ("read", "write", "describe")),
        *(f"coordinator may {what} topic ctl.cases.state" for what in ("read", "write", "describe")),
        *(f"coordinator may {what} topic pub.{name}" for what in ("read", "describe") for name in TAKEN),
        *(f"coordinator may {what} topic quarantine.{name}" for what in ("write", "describe") for name in TAKEN),
        *(f"coordinator may {what} topic pub.kela.question_asked" for what in ("write", "describe")),
        *(f"coordinator may {what} topic pub.kela.claim_checked" for what in ("write", "describe")),
        *(f"coordinator may {what} groups hutong.{name}*" for what in ("read", "describe") for name in ("coordinator", "intake")),
        "coordinator may describe group hutong.none",
        *(f"coordinator may {what} transactional ids hutong.intake*" for what in ("write", "describe")),
    }
    departments = fi.catalogue().departments
    assert {str(acl) for acl in acls if acl.principal == "monitor"} == {
        *(f"monitor may {what} topics {prefix}.*" for what in ("read", "describe") for prefix in ("pub", "sub", "quarantine")),
        *(f"monitor may {what} topic ctl.{name}" for what in ("read", "describe") for name in ("agreements", "replays")),
        *(f"monitor may describe groups {prefix}.*" for prefix in ("hutong", *departments)),
    }
    assert {acl.principal for acl in acls} == {*SERVICES, *departments}
    assert wants(fi.catalogue()).principals == {*SERVICES, *departments}
    assert {acl.permission for acl in acls} == {"allow"}


def test_a_flow_that_tells_who_had_got_an_event_reads_what_is_published(fi: Declarations) -> None:
    """Only where a flow keeps the receivers may the coordinator read every contract, and the agreements."""
    fi.edit(FLOW, "urgent: urgent}", "urgent: urgent, receivers: {path: hetu}}")
    rules = {str(acl) for acl in rights(fi.catalogue()) if acl.principal == "coordinator"}
    assert {"coordinator may read topics pub.*", "coordinator may read topic ctl.agreements"} <= rules


def test_a_code_that_continues_anothers_has_groups_of_its_own(fi: Declarations) -> None:
    """Groups go by prefix: what kela may use must not reach those of kela.courts, nor the other way round."""
    inner = "  - {code: kela.courts, name: {en: Courts}, head: {en: Head of Courts}, contact: data@kela.example}\n"
    fi.edit("departments.yaml", "departments:\n", f"departments:\n{inner}")
    wanted = wants(fi.catalogue())
    assert {str(acl) for acl in wanted.acls if acl.permission == "deny"} == {"kela may not use groups kela.courts.*"}
    assert {str(acl) for acl in wanted.acls if acl.principal == "kela.courts" and acl.resource == "group"} == {
        "kela.courts may read groups kela.courts.*"
    }
    assert difference(wanted, in_step(wanted)).changes == ()
    there = in_step(wanted)
    gone = dataclasses.replace(there, acls=frozenset(acl for acl in wanted.acls if acl.permission == "allow"))
    (change,) = difference(wanted, gone).changes
    assert (change.action, change.text, change.prune) == ("create", "kela may not use groups kela.courts.*", False)


def test_what_the_services_were_is_taken_off_an_older_bus(fi: Declarations) -> None:
    """One principal for routers and coordinators, as there was: its rules and then itself go with --prune, and not before."""
    wanted = wants(fi.catalogue())
    old = {
        Acl(principal="services", resource="topic", name="pub.", pattern="prefixed", operation="READ"),
        Acl(principal="services", resource="topic", name="sub.", pattern="prefixed", operation="WRITE"),
        Acl(principal="services", resource="group", name="hutong.", pattern="prefixed", operation="READ"),
        Acl(principal="services", resource="transactional_id", name="hutong.", pattern="prefixed", operation="WRITE"),
    }
    there = in_step(wanted)
    users = there.users - {"router", "coordinator"} | {"services"}
    found = difference(wanted, dataclasses.replace(there, users=users, acls=wanted.acls | old))
    assert {(change.step, change.action, change.name) for change in found.due(prune=False)} == {
        ("principal", "create", "router"),
        ("principal", "create", "coordinator"),
    }
    stays = found.stays(prune=False)
    assert {acl for change in stays for acl in change.acls} == old
    (user,) = (change for change in stays if change.step == "principal")
    assert (user.action, user.name) == ("remove", "services")
    assert "start them anew first" in user.text


def test_the_monitors_rules_go_with_a_department_and_no_others_do(fi: Declarations) -> None:
    """A department that is gone takes the monitor's look at its groups along; a rule that somebody else gave it stays."""
    wanted = wants(fi.catalogue())
    gone = Acl(principal="monitor", resource="group", name="gone.", pattern="prefixed", operation="DESCRIBE")
    other = Acl(principal="monitor", resource="group", name="gone.", pattern="prefixed", operation="READ")
    found = dataclasses.replace(in_step(wanted), acls=wanted.acls | {gone, other})
    assert [change.acls for change in difference(wanted, found).changes] == [(gone,)]


def test_an_existing_bus_gets_the_monitor(fi: Declarations) -> None:
    """With the next apply: its user and its rules, and nothing else."""
    wanted = wants(fi.catalogue())
    there = in_step(wanted)
    before = dataclasses.replace(
        there,
        users=there.users - {"monitor"},
        acls=frozenset(acl for acl in wanted.acls if acl.principal != "monitor"),
    )
    changes = difference(wanted, before).changes
    assert {(change.step, change.name.partition(":")[0]) for change in changes} == {("principal", "monitor"), ("acl", "monitor")}


def test_a_grant_carries_the_contracts_promise(fi: Declarations) -> None:
    """Freshness goes with the grant, so that a monitor needs no declarations; a grant from before has none, and reads as ever."""
    grant = wants(fi.catalogue()).grants["moves-to-benefits"].grant(7)
    assert grant.freshness_seconds == 60
    document = json.loads(grant.to_json())
    del document["freshness_seconds"]
    assert Grant.from_json(json.dumps(document).encode()).freshness_seconds is None


def test_subjects_and_validity_of_grants(fi: Declarations) -> None:
    """A shared channel has a subject per record; a validity ends with the last day, in the declared zone."""
    grants = wants(fi.catalogue()).grants
    assert grants["families-to-benefits"].subject == "sub.kela.population-kela.deliveries.FamiliesToBenefits"
    grant = grants["moves-for-statistics"]
    assert grant.subject == "sub.stat.moves-for-statistics-value"
    assert grant.valid_from_ms == 1_717_189_200_000  # 2024-06-01 in Helsinki is 21:00 UTC the day before
    assert grant.valid_until_ms == 1_956_520_800_000  # the first moment of 2032-01-01
    assert list(grants["inspections-to-tax"].code_lists) == ["iso-3166-nordic"]
    assert grant.grant(7).delivery_schema_id == 7


def test_an_edited_agreement_shows_its_fields(fi: Declarations) -> None:
    """Added, removed, and transformed otherwise - and a sensitive field is marked."""
    old = wants(fi.catalogue())
    fi.edit(MOVES, "  - {field: notice_number}\n", "")
    fi.edit(MOVES, "as: birth_year, transform: generalise, to: year", "as: birth_year, transform: generalise, to: month")
    fi.edit(MOVES, "  - {field: to_address}", '  - {field: to_address}\n  - {field: members.languages, sensitive_basis: "Act"}')
    found = against(old, wants(fi.catalogue()))
    change = agreement_change(found, "moves-to-benefits")
    (effect,) = change.effects
    assert effect.recipient == "kela"
    assert signs(effect.fields) == [("~", "members.birth_year"), ("+", "members.languages"), ("-", "notice_number")]
    assert effect.fields[1].classification == "sensitive"
    assert effect.rows is None
    assert [change.step for change in found.changes] == ["schema", "agreement"]


def test_rows_and_validity_without_fields_need_no_schema(fi: Declarations) -> None:
    """Rows that become wider and a validity that ends are told; the delivery's schema stays."""
    old = wants(fi.catalogue())
    fi.edit(MOVES, '["049", "091", "092"]', '["049", "091", "092", "235"]')
    fi.edit(MOVES, "valid: {from: 2025-01-01}", "valid: {from: 2025-01-01, until: 2027-12-31}")
    found = against(old, wants(fi.catalogue()))
    assert [change.step for change in found.changes] == ["agreement"]
    (effect,) = found.changes[0].effects
    assert effect.rows == "wider"
    assert effect.fields == ()
    assert "valid 2025-01-01 to further notice -> 2025-01-01 to 2027-12-31" in effect.details


def test_a_new_contract_version_tells_who_gets_what_of_it(fi: Declarations) -> None:
    """Recipients that name their version are left as they are; a recipient of the newest gets what it was granted whole."""
    old = wants(fi.catalogue())
    folder = "contracts/traficom.vehicles/vehicle_inspected"
    schema = json.loads(fi.text(f"{folder}/v2.avsc"))
    schema["fields"].append({"name": "retest", "type": ["null", "boolean"], "default": None, "doc": "Whether it comes again."})
    fault = next(field for field in schema["fields"] if field["name"] == "faults")["type"]["values"]["items"]
    fault["fields"].append({"name": "cost", "type": ["null", "int"], "default": None, "doc": "Euros."})
    fi.write(f"{folder}/v3.avsc", json.dumps(schema))
    text = fi.text(f"{folder}/contract.yaml").replace("version: 2.0.0", "version: 3.0.0")
    told = "description: x\n{0}  logicalType: {1}\n{0}  physicalType: x\n{0}  required: false\n{0}  classification: {2}\n"
    text += "      - name: retest\n        " + told.format("      ", "boolean", "internal")
    code = text.index("          - name: code")
    text = text[:code] + "          - name: cost\n            " + told.format("          ", "integer", "sensitive") + text[code:]
    fi.write(f"{folder}/contract.yaml", text)
    fi.edit("agreements/vero/inspections-to-tax.yaml", "{field: faults}", '{field: faults, sensitive_basis: "Act"}')
    found = against(old, wants(fi.catalogue()))
    contract = next(change for change in found.changes if change.step == "schema" and change.agreement is None)
    assert contract.text == "v3"
    assert signs(contract.fields) == [("+", "faults.cost"), ("+", "retest")]
    touched = {effect.agreement: effect.touches_data for effect in contract.effects}
    assert touched == {"inspections-for-statistics": False, "inspections-to-tax": True}
    (effect,) = agreement_change(found, "inspections-to-tax").effects
    assert [(f.sign, f.path, f.classification) for f in effect.fields] == [("+", "faults.cost", "sensitive")]


def test_a_published_version_may_not_be_edited(fi: Declarations) -> None:
    """Events written with it are on the topic: the plan refuses, and says what to do instead."""
    old = wants(fi.catalogue())
    fi.edit(
        "contracts/thl/vaccination_recorded/v1.avsc",
        '{"name": "district", "type": "string"',
        '{"name": "district", "type": "bytes"',
    )
    found = against(old, wants(fi.catalogue()))
    (refusal,) = found.refusals
    assert refusal.contract == "thl.vaccination_recorded"
    assert "make it a new version" in refusal.text
    assert found.to_document(prune=False)["in_step"] is False


def test_a_published_version_may_not_vanish(fi: Declarations) -> None:
    """Taking the newest file away is refused as well."""
    old = wants(fi.catalogue())
    fi.remove("contracts/kela/benefit_decided/v2.avsc")
    text = fi.text("contracts/kela/benefit_decided/contract.yaml").replace("version: 2.0.0", "version: 1.0.0")
    fi.write("contracts/kela/benefit_decided/contract.yaml", text[: text.index("      - name: language")])
    for file in ("stat/benefits-for-statistics", "vero/benefits-to-tax"):
        fi.remove(f"agreements/{file}.yaml")
    (refusal,) = against(old, wants(fi.catalogue())).refusals
    assert "v2.avsc is gone" in refusal.text


def test_other_words_about_a_contract_are_registered_anew(fi: Declarations) -> None:
    """A stricter rule is no new version: the same shapes with new facts, the newest last."""
    old = wants(fi.catalogue())
    fi.edit("contracts/kela/benefit_decided/contract.yaml", "minimum: 0, maximum: 30", "minimum: 0, maximum: 20")
    found = against(old, wants(fi.catalogue()))
    assert not found.refusals
    (contract,) = [change for change in found.changes if change.step == "schema" and change.agreement is None]
    assert contract.text == "v1, v2"
    assert [(f.sign, f.path, f.text) for f in contract.fields] == [("~", "dependants", "maximum 30.0 -> 20.0")]
    fi.edit("contracts/kela/benefit_decided/contract.yaml", "sharing, value: conditional", "sharing, value: unconditional")
    (contract,) = [one for one in against(old, wants(fi.catalogue())).changes if one.step == "schema" and not one.agreement]
    assert contract.text == "v1, v2; sharing conditional -> unconditional"


def test_what_has_gone_stays_until_it_is_pruned(fi: Declarations) -> None:
    """A removed agreement, its channel and its rules stay on the bus, are shown, and go on request."""
    old = wants(fi.catalogue())
    fi.remove("agreements/thl/companies-to-health.yaml")
    found = against(old, wants(fi.catalogue()))
    assert found.due(prune=False) == ()
    gone = {(change.step, change.name) for change in found.stays(prune=False)}
    assert gone == {("agreement", "companies-to-health"), ("topic", "sub.thl.companies"), ("acl", "thl: topic sub.thl.companies")}
    assert len(found.due(prune=True)) == 3
    (effect,) = agreement_change(found, "companies-to-health").effects
    assert {field.sign for field in effect.fields} == {"-"}


def test_a_department_that_has_gone_cannot_log_in_after_pruning(fi: Declarations) -> None:
    """Its user is known by its rule on groups; other users of the cluster are left alone."""
    old = wants(fi.catalogue())
    fi.remove("contracts/om.courts.district")
    text = fi.text("departments.yaml")
    start = text.index("  - code: om.courts")
    fi.write("departments.yaml", text[:start] + text[text.index("  - code: stat") :])
    new = wants(fi.catalogue())
    found = in_step(old)
    stranger = Acl(principal="backup", resource="topic", name="backups", pattern="literal", operation="WRITE")
    found = dataclasses.replace(found, users=found.users | {"backup"}, acls=(found.acls or frozenset()) | {stranger})
    changes = difference(new, found).due(prune=True)
    assert [change.name for change in changes if change.step == "principal"] == ["om.courts.district"]
    assert all("backup" not in change.name for change in changes)


def test_foreign_rules_over_our_topics_are_told_of(fi: Declarations) -> None:
    """A wildcard from elsewhere opens every topic; a rule on one of ours that nobody declared is pruned."""
    wanted = wants(fi.catalogue())
    wild = Acl(principal="tool", resource="topic", name="*", pattern="literal", operation="READ")
    extra = Acl(principal="vero", resource="topic", name="pub.dvv.person_moved", pattern="literal", operation="READ")
    found = difference(wanted, dataclasses.replace(in_step(wanted), acls=wanted.acls | {wild, extra}))
    assert any("tool may read topic *" in note for note in found.notes)
    assert [change.name for change in found.stays(prune=False)] == ["vero: topic pub.dvv.person_moved"]


def test_a_cluster_without_authorizer_is_told_of(fi: Declarations) -> None:
    """No rule can be set, and the operator must know what that means."""
    wanted = wants(fi.catalogue())
    found = difference(wanted, dataclasses.replace(in_step(wanted), acls=None))
    assert found.changes == ()
    assert "no authorizer" in found.notes[0]


def test_changed_topic_settings_and_levels_are_put_right(fi: Declarations) -> None:
    """What somebody changed by hand on the bus is changed back."""
    wanted = wants(fi.catalogue())
    found = in_step(wanted)
    topics = dict(found.topics)
    topics["pub.thl.vaccination_recorded"] = TopicState(
        partitions=2, config={**topics["pub.thl.vaccination_recorded"].config, "retention.ms": "5"}
    )
    subjects = dict(found.subjects)
    name = "pub.thl.vaccination_recorded-value"
    subjects[name] = dataclasses.replace(subjects[name], level="NONE")
    found = dataclasses.replace(found, topics=topics, subjects=subjects)
    assert [(change.step, change.action, change.name) for change in difference(wanted, found).changes] == [
        ("topic", "change", "pub.thl.vaccination_recorded"),
        ("schema", "change", name),
    ]


def test_the_order_of_keys_is_no_difference(fi: Declarations) -> None:
    """fastavro orders a field's keys by hash, which differs from process to process; that must not look like a change."""
    wanted = wants(fi.catalogue())
    found = in_step(wanted)
    grants = {id_: json.dumps(json.loads(text), sort_keys=True).encode() for id_, text in found.grants.items()}
    assert difference(wanted, dataclasses.replace(found, grants=grants)).changes == ()


def test_an_unreadable_grant_is_written_anew(fi: Declarations) -> None:
    """What another version of the software left on the control topic does not stop an apply."""
    wanted = wants(fi.catalogue())
    found = in_step(wanted)
    grants = {**found.grants, "moves-to-benefits": b"{}", "left-over": b"junk"}
    result = difference(wanted, dataclasses.replace(found, grants=grants))
    assert [(change.name, change.prune) for change in result.changes] == [("moves-to-benefits", False), ("left-over", True)]


def test_the_tree_can_be_read_in_a_terminal(fi: Declarations) -> None:
    """Contracts, agreements, fields and the summary stand in the text."""
    old = wants(fi.catalogue())
    fi.edit(MOVES, "  - {field: notice_number}\n", "")
    fi.remove("agreements/thl/companies-to-health.yaml")
    console = Console(file=io.StringIO(), width=120, color_system=None)
    show(against(old, wants(fi.catalogue())), console, prune=False)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    for words in (
        "dvv.person_moved",
        "~ agreement moves-to-benefits",
        "- notice_number: as is, long",
        "will stay until --prune",
        "- topic sub.thl.companies",
        "touches what goes to 1 recipient: kela",
    ):
        assert words in text, text
    console = Console(file=io.StringIO(), width=120, color_system=None)
    show(difference(old, in_step(old)), console, prune=False)
    assert "nothing to do" in console.file.getvalue()  # type: ignore[attr-defined]


def flow_change(found: Difference) -> Change:
    return next(change for change in found.changes if change.step == "flow")


def test_the_topics_of_cases_are_there_where_flows_are(fi: Declarations) -> None:
    """The inbox has the broker's clock and room, the state is compacted beside it; without flows there is none of it."""
    topics = wants(fi.catalogue(), brokers=3).topics
    inbox, state, flows = (topics[f"ctl.{name}"] for name in ("cases.inbox", "cases.state", "flows"))
    assert (inbox.partitions, state.partitions, flows.partitions) == (8, 8, 1)
    assert inbox.config["message.timestamp.type"] == "LogAppendTime"
    assert inbox.config["retention.ms"] == str(30 * 86_400_000)
    assert int(inbox.config["max.message.bytes"]) > 1024 * 1024
    assert (inbox.config["cleanup.policy"], state.config["cleanup.policy"]) == ("delete", "compact")
    assert state.config["max.message.bytes"] == str(4 * 1024 * 1024)
    assert desired(fi.catalogue(), Layout(brokers=1, case_partitions=3)).topics["ctl.cases.state"].partitions == 3
    fi.remove("flows")
    wanted = wants(fi.catalogue())
    assert {name for name in wanted.topics if name.startswith("ctl.")} == {"ctl.agreements", "ctl.replays"}
    assert not any("ctl.cases" in str(acl) or "ctl.flows" in str(acl) for acl in wanted.acls)
    assert not any(acl.principal == "coordinator" for acl in wanted.acls)


def test_a_record_of_a_flow_holds_what_it_needs_and_no_more(fi: Declarations) -> None:
    """The declaration as it was written, the newest schemas of its own contracts, the time zone, no secret."""
    document = json.loads(wants(fi.catalogue()).flows["claim-check"].to_json())
    assert set(document) == {"format", "flow", "schemas", "timezone", "since"}
    assert set(document["schemas"]) == {f"kela.{name}" for name in ("claim_filed", "question_asked", "claim_checked")} | {
        "vero.income_answered"
    }
    assert document["flow"]["deadline"] == {"days": 30}
    assert document["timezone"] == "Europe/Helsinki"


def test_an_edited_flow_tells_what_it_means_for_running_cases(fi: Declarations) -> None:
    """A question that comes, one that changes, a deadline: each with whom it is for."""
    old = wants(fi.catalogue())
    fi.edit(FLOW, "    within: {days: 10}", "    within: {days: 12}")
    fi.edit(FLOW, "deadline: {days: 30}", "deadline: {working_days: 1}")
    again = "  - {id: again, agency: vero, after: income, question: {en: Sure?, fi: Varmasti?}, within: {hours: 9},"
    again += " answer: [{contract: vero.income_answered}]}\n"
    fi.edit(FLOW, "\nfigures:", again + "\nfigures:")
    found = against(old, wants(fi.catalogue()))
    assert [change.step for change in found.changes] == ["flow"]
    change = flow_change(found)
    assert (change.action, change.name, change.text) == (
        *("change", "claim-check"),
        "kela asks 2 questions, ends after 1 working day",
    )
    assert change.details == (
        "+ question again to vero: running cases ask it too",
        "~ question income (within): when it is asked from now on; what was asked keeps its times",
        "~ deadline: for cases that are opened from now on",
    )
    assert found.to_document(prune=False)["changes"][0]["details"] == change.details
    console = Console(file=io.StringIO(), width=140, color_system=None)
    show(found, console, prune=False)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "~ flow claim-check: kela asks 2 questions" in text
    assert "~ deadline: for cases that are opened from now on" in text


def test_a_new_version_of_a_contract_reaches_the_flow(fi: Declarations) -> None:
    """The record has the newest schema; that is the one thing told."""
    old = wants(fi.catalogue())
    fi.edit("contracts/kela/claim_checked/contract.yaml", "description: How it ended.", "description: How it did end.")
    assert [change.step for change in against(old, wants(fi.catalogue())).changes] == []
    folder = "contracts/kela/claim_checked"
    schema = json.loads(fi.text(f"{folder}/v1.avsc"))
    schema["fields"].append({"name": "late", "type": "boolean", "default": False, "doc": "Whether it was late."})
    fi.write(f"{folder}/v2.avsc", json.dumps(schema))
    text = fi.text(f"{folder}/contract.yaml").replace("version: 1.0.0", "version: 2.0.0")
    text += "      - {name: late, description: x, logicalType: boolean, physicalType: boolean, required: true,"
    fi.write(f"{folder}/contract.yaml", text + " classification: internal}\n")
    assert flow_change(against(old, wants(fi.catalogue()))).details == ("~ the newest version of kela.claim_checked",)


def test_a_flow_that_has_gone_stays_until_it_is_pruned(fi: Declarations) -> None:
    """With the last flow the topics of cases go, on request alone; what becomes of running cases is said."""
    old = wants(fi.catalogue())
    fi.remove(FLOW)
    found = against(old, wants(fi.catalogue()))
    assert found.due(prune=False) == ()
    change = flow_change(found)
    assert (change.action, change.prune) == ("remove", True)
    assert "running cases rest" in change.details[0]
    gone = {change.name for change in found.stays(prune=False) if change.step == "topic"}
    assert gone == {"ctl.flows", "ctl.cases.inbox", "ctl.cases.state"}


def test_keys_and_unreadable_records_of_flows_are_made_anew(fi: Declarations) -> None:
    """A flow whose key is personal has one; a record of another version is overwritten."""
    wanted = wants(fi.catalogue())
    found = in_step(wanted)
    found = dataclasses.replace(found, keys=found.keys - {"flow.claim-check"}, flows={"claim-check": b"{}"})
    result = difference(wanted, found)
    assert [(change.step, change.action, change.name) for change in result.changes] == [
        ("key", "create", "flow.claim-check"),
        ("flow", "change", "claim-check"),
    ]
    assert "written anew" in result.changes[1].details[0]
    reordered = json.dumps(json.loads(in_step(wanted).flows["claim-check"]), sort_keys=True).encode()
    assert difference(wanted, dataclasses.replace(in_step(wanted), flows={"claim-check": reordered})).changes == ()
