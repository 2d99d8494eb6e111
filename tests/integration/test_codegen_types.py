"""What only a type checker can say of generated models; it takes longer than a unit test may."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from hutong.codegen.module import module_text
from tests.samples import PERSON_REGISTERED, contract_root
from tests.unit.test_codegen import AWKWARD


def test_generated_code_is_clean_under_strict_mypy(tmp_path: Path) -> None:
    """Types hold under the strictest checker settings, without plugins, and for whoever uses the models."""
    (tmp_path / "person.py").write_text(module_text([contract_root(PERSON_REGISTERED)]), encoding="utf-8")
    (tmp_path / "awkward.py").write_text(module_text([contract_root(AWKWARD)]), encoding="utf-8")
    (tmp_path / "use.py").write_text(USE, encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir", str(tmp_path / "cache"), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env={"MYPYPATH": str(Path.cwd()), "PATH": "/usr/bin:/bin"},
    )
    assert run.returncode == 0, run.stdout


USE = """
import datetime as dt
from collections.abc import Iterator
from decimal import Decimal

from person import Person, PersonRegistered, Sex

from hutong import PublishHandle, Publisher, Subscription


def publish(publisher: Publisher) -> PublishHandle:
    person = Person(name="x", sex=Sex.MALE, born=dt.date(2000, 1, 1))
    now = dt.datetime.now(dt.UTC)
    return publisher.publish(
        PersonRegistered(number="A-1", person=person, region="110105", entered=now, fee=Decimal("1"), class_=2)
    )


def receive() -> Iterator[str]:
    with Subscription("kin.school", "persons", model=PersonRegistered, from_beginning=True) as subscription:
        for event in subscription:
            yield event.data.person.name
    for plain in Subscription("kin.school", "persons"):
        yield str(plain.data["number"])
"""
