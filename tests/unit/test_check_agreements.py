"""What can be wrong with an agreement: each fault by itself, found with its file, line and field."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from hutong.agreements.check import expiry_finding
from tests.declaring import Declarations

MOVES = "agreements/kela/moves-to-benefits.yaml"
STATISTICS = "agreements/stat/benefits-for-statistics.yaml"
TAX = "agreements/vero/benefits-to-tax.yaml"


@pytest.fixture
def fi(tmp_path: Path) -> Declarations:
    return Declarations(tmp_path)


ONE_EDIT = [
    # the file itself
    (MOVES, "id: moves-to-benefits", "id: moves", "id", "but the file is called"),
    (MOVES, "recipient: kela", "recipient: vero", "recipient", "but the folder is"),
    (MOVES, "legal_basis: Made-up Act 1/2025, section 3", "legal_basis: ''", "legal_basis", "must not be empty"),
    (MOVES, "purpose: Made up for tests\n", "", "purpose", "is required; add it"),
    (MOVES, "channel: population", "channel: Population!", "channel", "must have the form"),
    (MOVES, "valid: {from: 2025-01-01}", "valid: {from: 2025-01-01, until: 2024-12-31}", "valid", "before valid.from"),
    (MOVES, "valid: {from: 2025-01-01}", "valid: {from: yesterday}", "valid.from", "date"),
    (MOVES, "title:", "titel:", "titel", "is not known here"),
    # against other declarations
    (MOVES, "contract: dvv.person_moved", "contract: dvv.person_left", "contract", "no contract 'dvv.person_left'"),
    (MOVES, "channel:", "version: 7\nchannel:", "version", "has no v7; the newest is v2"),
    (STATISTICS, "contract: kela.benefit_decided", "contract: om.courts.district.judgment_given", "contract", "not_shared"),
    (TAX, "code_list: benefit-kind", "code_list: benefit-sort", "fields[2].transform", "benefit-sort"),
    # rows and fields against the contract
    (MOVES, "{field: municipality, in:", "{field: town, in:", "rows[0]", "town"),
    (MOVES, '{field: moved_on, at_least: "2024-01-01"}', "{field: moved_on}", "rows[1]", "exactly one of"),
    (MOVES, '{field: moved_on, at_least: "2024-01-01"}', "{at_least: 1}", "rows[1]", "names a field, or is a cel"),
    (MOVES, "{field: notice_number}", "{field: notice}", "fields[0].field", "no field notice"),
    (MOVES, "{field: members.hetu}", "{field: members.ssn}", "fields[3].field", "no field ssn"),
    (MOVES, "{field: notice_number}", "{field: notice_number, transform: shred}", "fields[0]", "must be one of"),
    (STATISTICS, "transform: generalise, to: month", "transform: generalise", "fields[0]", "exactly one of"),
    (STATISTICS, "transform: generalise, to: month", "transform: mask", "fields[0].transform", "mask"),
    (STATISTICS, "bands: [1, 3, 5]", "bands: [1, 3, 5], round: 1", "fields[5].round", "not known here"),
    (STATISTICS, "{field: language}", "{field: language, as: kind}", "fields[6].field", "same field kind"),
    (STATISTICS, "double(dependants) / 10.0", "double(dependant) / 10.0", "fields[9].cel", "refers to dependant"),
    (STATISTICS, "double(dependants) / 10.0", "double(dependants", "fields[9].cel", "does not compile"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "old", "new", "field", "words"), ONE_EDIT)
def test_each_fault_of_an_agreement_is_found(fi: Declarations, file: str, old: str, new: str, field: str, words: str) -> None:
    """One edit, one error, with the file, the line and the field."""
    line = fi.edit(file, old, new)
    errors = [error for error in fi.reading().errors if words in error.problem]
    assert [(error.file, error.field) for error in errors] == [(file, field)], [str(e) for e in fi.reading().errors]
    assert errors[0].line == (1 if old.startswith("purpose") else line)  # what is missing is missing in the whole file
    assert len(fi.reading().errors) == 1 or field == "contract", [str(error) for error in fi.reading().errors]


def test_an_unknown_recipient_is_an_error(fi: Declarations) -> None:
    """The folder and the file agree, but there is no such department."""
    text = fi.text(MOVES).replace("recipient: kela", "recipient: kela.north")
    fi.remove(MOVES)
    fi.write("agreements/kela.north/moves-to-benefits.yaml", text)
    error = fi.only_error()
    assert (error.field, error.line) == ("recipient", 3)


def test_a_sensitive_field_needs_its_own_basis(fi: Declarations) -> None:
    """Passed as is by itself, inside a record granted whole, and deep inside a type that contains itself."""
    families = "agreements/kela/families-to-benefits.yaml"
    basis = ', sensitive_basis: "Made-up Benefits Act 4/2025, section 9"'
    fi.edit(families, basis, "")
    error = fi.only_error()
    assert (error.file, error.field) == (families, "tree")
    assert "tree.adopted" in error.problem
    fi.edit(families, "{field: tree}", "{field: tree.children}")
    assert "tree.children.adopted" in fi.only_error().problem
    fi.edit(families, "{field: tree.children}", "{field: tree.children" + basis + "}")
    assert fi.reading().errors == ()
    moves = "agreements/stat/moves-for-statistics.yaml"
    fi.edit(moves, ', sensitive_basis: "Made-up Statistics Act 2/2025, section 14"', "")
    error = fi.only_error()
    assert (error.file, error.field) == (moves, "members.languages")
    assert error.problem.startswith("it is sensitive")


def test_a_sensitive_key_field_is_no_exception(fi: Declarations) -> None:
    """A key field travels as the key of every delivery only where it is granted, and then it needs its basis too."""
    contract = "contracts/thl/vaccination_recorded/contract.yaml"
    text = fi.text(contract)
    head, mark, rest = text.partition("- name: record_id")
    fi.write(contract, head + mark + rest.replace("classification: internal", "classification: sensitive", 1))
    error = fi.only_error()
    assert (error.file, error.field) == ("agreements/stat/vaccinations-for-statistics.yaml", "record_id")


def test_a_derived_field_may_not_smuggle_a_sensitive_one(fi: Declarations) -> None:
    """An expression that is a sensitive field and nothing else passes it as is."""
    fi.edit(STATISTICS, "double(dependants) / 10.0", "score")
    assert "sensitive field itself" in fi.only_error().problem


def test_transforms_of_sensitive_fields_need_no_basis(fi: Declarations) -> None:
    """What does not show the value may be granted like any other field."""
    file = "agreements/stat/vaccinations-for-statistics.yaml"
    fi.edit(
        file,
        '{field: vaccine, sensitive_basis: "Made-up Statistics Act 2/2025, section 14"}',
        "{field: vaccine, transform: pseudonymise}",
    )
    assert fi.reading().errors == ()


def test_ids_are_unique_over_all_recipients(fi: Declarations) -> None:
    """An id is the key of a grant: two agreements with one id would overwrite each other."""
    text = fi.text(MOVES).replace("recipient: kela", "recipient: vero")
    fi.write("agreements/vero/moves-to-benefits.yaml", text)
    error = fi.only_error()
    assert error.file == "agreements/vero/moves-to-benefits.yaml"
    assert "also used in agreements/kela/moves-to-benefits.yaml" in error.problem


def test_records_of_one_channel_have_names_of_their_own(fi: Declarations) -> None:
    """A reader of a channel tells deliveries apart by record name; ids that make one name may not share a channel."""
    text = fi.text(MOVES)
    for id_ in ("moves-2", "moves2"):
        fi.write(f"agreements/kela/{id_}.yaml", text.replace("id: moves-to-benefits", f"id: {id_}"))
    assert "records of the same name (kela.deliveries.Moves2)" in fi.only_error().problem
    fi.edit("agreements/kela/moves2.yaml", "channel: population", "channel: others")
    assert fi.reading().errors == ()


def test_misplaced_agreements_are_told_of(fi: Declarations) -> None:
    """A file outside a recipient's folder, or with another ending, would be an agreement that nobody applies."""
    fi.write("agreements/loose.yaml", "id: loose\n")
    fi.write("agreements/stat/other.yml", "id: other\n")
    assert [error.file for error in fi.reading().errors] == ["agreements/loose.yaml", "agreements/stat/other.yml"]


def test_expiry_counts_days_to_the_end(fi: Declarations) -> None:
    """The last day still counts; the clock is the caller's."""
    agreement = fi.catalogue().agreements["moves-for-statistics"]
    assert expiry_finding(agreement, date(2031, 12, 31)) is None
    finding = expiry_finding(agreement, date(2032, 1, 1))
    assert finding is not None
    assert finding.place == ("valid", "until")


def test_errors_never_show_values(fi: Declarations) -> None:
    """An agreement with somebody's number pasted into it by mistake is refused without repeating the number."""
    fi.edit(MOVES, "{field: notice_number}", '{field: "131052-308T"}')
    assert all("131052" not in str(error) for error in fi.reading().errors)
