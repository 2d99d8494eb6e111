"""The demo's own reading of agreements: what a row lets through and what a field becomes."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from demo.rights import Right, as_plain, read_rights

KEY = "ab" * 32

EVENT = {
    "number": "N-1",
    "region": "140105",
    "person": {"id": "11010519491231002X", "name": "欧阳明", "sex": "MALE", "born": date(1949, 12, 31)},
    "amount": Decimal("735.50"),
    "members": [{"kin": "SON", "name": "李明"}, {"kin": "SPOUSE", "name": "王芳"}],
    "nothing": None,
}


def right(tmp_path: Path, fields: list[dict[str, Any]], rows: list[dict[str, Any]] | None = None) -> Right:
    (tmp_path / "codelists").mkdir()
    sexes = [{"symbol": "MALE", "code": "1"}, {"symbol": "FEMALE", "code": "2"}]
    (tmp_path / "codelists" / "sex.yaml").write_text(yaml.safe_dump({"id": "sex", "entries": sexes}), "utf-8")
    (tmp_path / "agreements" / "x.y").mkdir(parents=True)
    declared = {"id": "a", "recipient": "x.y", "contract": "p.q.r", "rows": rows or [], "fields": fields}
    (tmp_path / "agreements" / "x.y" / "a.yaml").write_text(yaml.safe_dump(declared), "utf-8")
    (only,) = read_rights(tmp_path, lambda _: KEY)
    return only


@pytest.mark.parametrize(
    ("row", "granted"),
    [
        ({"field": "region", "prefix": "14"}, True),
        ({"field": "region", "prefix": "15"}, False),
        ({"field": "person.sex", "equals": "MALE"}, True),
        ({"field": "person.sex", "in": ["FEMALE", "UNKNOWN"]}, False),
        ({"field": "person.born", "at_most": "1949-12-31"}, True),
        ({"field": "person.born", "at_least": "1950-01-01"}, False),
        ({"field": "amount", "at_least": 700, "at_most": 735.5}, True),
        ({"field": "amount", "at_most": 735}, False),
        ({"field": "nothing", "prefix": "1"}, False),
        ({"cel": "size(members) > 1"}, True),
        ({"cel": "amount > 1000.0"}, False),
    ],
)
def test_rows(tmp_path: Path, row: dict[str, Any], granted: bool) -> None:
    """Each kind of condition lets through what it should; a null field never passes."""
    assert right(tmp_path, [{"field": "number"}], [row]).grants(EVENT) is granted


def test_all_rows_must_hold(tmp_path: Path) -> None:
    """One condition that fails keeps the event back."""
    rows = [{"field": "region", "prefix": "14"}, {"field": "person.sex", "equals": "FEMALE"}]
    assert not right(tmp_path, [{"field": "number"}], rows).grants(EVENT)


def test_fields(tmp_path: Path) -> None:
    """Every transform, nested and renamed, and nothing that is not named."""
    fields: list[dict[str, Any]] = [
        {"field": "number"},
        {"field": "region", "as": "province", "transform": "generalise", "keep_first": 2, "pad": "0"},
        {"field": "person.id", "transform": "pseudonymise"},
        {"field": "person.name", "transform": "mask", "keep_first": 1, "keep_last": 0},
        {"field": "person.sex", "transform": "map", "code_list": "sex", "to": "code"},
        {"field": "person.born", "as": "birth_year", "transform": "generalise", "to": "year"},
        {"field": "amount", "as": "band", "transform": "generalise", "bands": [0, 500, 1000]},
        {"field": "members.kin"},
        {"field": "nothing"},
        {"transform": "constant", "as": "from_", "value": "p.q"},
        {"transform": "derive", "as": "persons", "cel": "size(members)", "type": "long"},
    ]
    assert right(tmp_path, fields).delivery(EVENT) == {
        "number": "N-1",
        "province": "140000",
        "person": {
            "id": hmac.new(bytes.fromhex(KEY), b"11010519491231002X", hashlib.sha256).hexdigest(),
            "name": "欧**",
            "sex": "1",
            "birth_year": 1949,
        },
        "band": "500-1000",
        "members": [{"kin": "SON"}, {"kin": "SPOUSE"}],
        "nothing": None,
        "from_": "p.q",
        "persons": 2,
    }


def test_unknown_transform_is_an_error(tmp_path: Path) -> None:
    """A transform that the demo cannot judge stops it."""
    with pytest.raises(ValueError, match="does not know the transform"):
        right(tmp_path, [{"field": "number", "transform": "reverse"}]).delivery(EVENT)


def test_plain_values_are_the_same_for_equal_instants() -> None:
    """Times are compared in UTC, dates and decimals as text."""
    eight = datetime.fromisoformat("2024-01-01T08:00:00+08:00")
    assert as_plain(eight) == as_plain(datetime(2024, 1, 1, tzinfo=UTC))
    assert as_plain({"a": [Decimal("1.20"), date(2024, 1, 1)]}) == {"a": ["1.20", "2024-01-01"]}


def test_key_is_shown_only_where_its_field_is(tmp_path: Path) -> None:
    """A key that the recipient may not have becomes its pseudonym."""
    granted = right(tmp_path, [{"field": "number"}, {"field": "region", "transform": "generalise", "keep_first": 2}])
    assert granted.delivery_key("N-1", "number") == "N-1"
    assert granted.delivery_key("140105", "region") == hmac.new(bytes.fromhex(KEY), b"140105", hashlib.sha256).hexdigest()
