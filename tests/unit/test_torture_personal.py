"""The search for personal data finds what was planted, in every form and in every place that needs no broker, and no more."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from random import Random
from urllib.parse import quote

import pytest

from demo.population import populate
from hutong.home import Home
from tests.spans import collector
from tests.torture.needles import Needles
from tests.torture.personal import look, secrets_of, values_of
from tests.torture.places import Place, files, pages, processes
from tests.torture.planted import new_value, planted_at_home, planted_error, post_span

NUMBER, NAME, ADDRESS = "11010519491231002X", "王小明", "北京市朝阳区幸福路7号"


@pytest.mark.parametrize("value", [NUMBER, NAME, ADDRESS])
@pytest.mark.parametrize(
    "written",
    [
        lambda value: value.encode(),
        lambda value: value.lower().encode(),
        lambda value: value.encode("gb18030"),
        lambda value: json.dumps({"name": value}).encode(),
        lambda value: json.dumps(json.dumps(value)).encode(),
        lambda value: repr({"key": value.encode()}).encode(),
        lambda value: quote(f"?name={value}").encode(),
        lambda value: value.encode().hex().encode(),
        lambda value: base64.b64encode(f"{value}".encode()),
        lambda value: base64.b64encode(f"x{value}y".encode()),
        lambda value: base64.urlsafe_b64encode(f"xx{value}yy".encode()),
    ],
)
def test_every_form_is_found(value: str, written: object) -> None:
    """Alone, and in the middle of much else, across the border of two pieces."""
    needles, data = Needles({"personal": [value]}), written(value)  # type: ignore[operator]
    assert {(one.what, one.number) for one in needles.search(data)} == {("personal", 0)}
    for before in (0, 1, 1 << 20, (1 << 20) - 3):
        assert needles.search(b"." * before + data + b"." * 100)


def test_what_is_not_there_is_not_found() -> None:
    """Not in what looks like it, and not in chance."""
    needles = Needles({"personal": [NUMBER, NAME, "10012345678"]})
    assert not needles.search(NUMBER[:-1].encode() + b"Y")
    assert not needles.search(f"{NAME[:2]} {NAME[2:]}".encode())
    assert not needles.search(Random(1).randbytes(1 << 20))
    assert not needles.search(b"1100123456789")  # a longer number, of something else
    assert needles.search(b"phone=10012345678,")


def test_a_value_that_stands_anywhere_by_chance_is_refused() -> None:
    """The search would say nothing."""
    with pytest.raises(ValueError, match="too short"):
        Needles({"personal": ["Li"]})


def test_a_hit_tells_where_and_not_what() -> None:
    """Also where the value is part of the place's name."""
    places = [
        Place(kind="log", name="router.log", data=f"... {NAME} ...".encode()),
        Place(kind="page", name=f"/{NUMBER}", data=b""),
    ]
    hits = look(places, Needles({"personal": [NUMBER, NAME]}))
    assert [(hit.kind, hit.number, hit.form) for hit in hits] == [("log", 1, "as it is"), ("page", 0, "as it is")]
    told = " ".join(map(str, hits))
    assert "router.log" in told
    assert NAME not in told
    assert NUMBER not in told


def test_every_kind_of_place_is_looked_into(tmp_path: Path) -> None:
    """A planted value is found in all that needs no broker, and nothing is found where none is."""
    home, value = Home(root=tmp_path), new_value()
    needles = Needles({"planted": [value]})

    def kinds() -> set[str]:
        return {hit.kind for hit in look([*files(home), *pages(home), *processes(home)], needles)}

    with planted_at_home(value, home):
        assert kinds() == {"log", "state file", "page", "command line", "environment"}
    assert kinds() == set()
    assert [hit.kind for hit in look([planted_error(value)], needles)] == ["error"]
    with collector() as collected:
        post_span(value, collected.endpoint)
        places = [Place(kind="span", name="request", data=body) for body in collected.bodies]
    assert [hit.kind for hit in look(places, needles)] == ["span"]


def test_a_password_on_a_command_line_is_found(tmp_path: Path) -> None:
    """In an environment it may stand; in a process's arguments, which everybody sees, it may not."""
    home = Home(root=tmp_path)
    password, key = home.ensure_secret("mca.funeral"), home.ensure_key("an-agreement")
    command = [sys.executable, "-c", "import sys; sys.stdin.read()", password, key]
    environment = os.environ | {"HUTONG_HOME": str(home.root), "HUTONG_KAFKA_PASSWORD": password}
    with subprocess.Popen(command, stdin=subprocess.PIPE, env=environment):
        hits = look(processes(home), Needles({"secret": secrets_of(home)}))
    assert {(hit.what, hit.kind, hit.number) for hit in hits} == {("secret", "command line", 0), ("secret", "command line", 1)}


def test_all_of_a_population_can_be_looked_for() -> None:
    """Numbers of both kinds, names, telephone numbers and addresses."""
    population = populate(7, 100)
    person = population.persons[-1]
    data = f"{person.identity_number}\n{person.name}\n{person.phone}\n{population.households[-1].address}".encode()
    found = Needles({"personal": values_of(population)}).search(data)
    assert len({one.number for one in found if one.form == "as it is"}) >= 4
