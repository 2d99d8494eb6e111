"""``hutong codegen``: typed models of contracts, and of deliveries, as Python files.

Neighbours: ``codegen.module`` writes a module's text, ``catalogue`` reads the declarations.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import click

from hutong.agreements.check import plain_lists
from hutong.agreements.delivery import delivery_schema
from hutong.catalogue.catalogue import Catalogue
from hutong.catalogue.load import load
from hutong.cli import FINE, FOUND, _complete
from hutong.cli._json import json_option, print_json
from hutong.cli.check import schemas_option
from hutong.codegen.module import Root, module_text
from hutong.codegen.names import module_name
from hutong.errors import HutongError
from hutong.language import said

__all__ = ["command", "generate"]

T = TypeVar("T")


@click.command("codegen")
@click.argument("contracts", nargs=-1, shell_complete=_complete.contracts)
@schemas_option
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="A directory (a module each), or one .py file for all."
)
@click.option("--version", type=click.IntRange(min=1), help="Version of the contracts; by default the newest.")
@click.option(
    "--agreement",
    "agreements",
    multiple=True,
    help="Also the model of what this agreement delivers; repeatable.",
    shell_complete=_complete.agreements,
)
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 where a file is not as it would be written.")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    contracts: tuple[str, ...],
    schemas: Path,
    out: Path,
    version: int | None,
    agreements: tuple[str, ...],
    check: bool,
    as_json: bool,
) -> None:
    """Write typed models of CONTRACTS; without any and without --agreement, of all contracts.

    Exit code 0: they are written, or are as they would be; 1: with --check, a file is not; 2: wrong use, or wrong declarations.
    """
    try:
        files = generate(load(schemas), out, contracts, agreements, version)
    except HutongError as error:
        raise click.ClickException(str(error)) from None
    stale = [path for path, text in files.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if not check:
        for path in stale:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files[path], encoding="utf-8")
    if as_json:
        done = "differs" if check else "written"
        print_json({"files": [{"path": str(path), "state": done if path in stale else "unchanged"} for path in files]})
    else:
        _tell(out, len(files), stale, check=check)
    ctx.exit(FOUND if check and stale else FINE)


def _tell(out: Path, files: int, stale: list[Path], *, check: bool) -> None:
    if check:
        for path in stale:
            click.echo(said("{path} is not as the declarations say: run 'hutong codegen' without --check", path=path))
    elif files > 1:
        click.echo(said("{files} files, {written} of them written", files=files, written=len(stale)))
    else:
        click.echo(said("{path}: written", path=out) if stale else said("{path}: unchanged", path=out))


def generate(
    catalogue: Catalogue, out: Path, contracts: Iterable[str] = (), agreements: Iterable[str] = (), version: int | None = None
) -> dict[Path, str]:
    """The files to write, each with its text.

    Raises:
        HutongError: no such contract, version or agreement.
    """
    named, granted = tuple(contracts), tuple(agreements)
    if not named and not granted:
        named = tuple(catalogue.contracts)
    roots = [*_contract_roots(catalogue, named, version), *_delivery_roots(catalogue, granted)]
    if out.suffix == ".py":
        return {out: module_text([root for _, root in roots])}
    files = {out / place: module_text([root]) for place, root in roots}
    packages = {path.parent for path in files} | {out}
    notes = {
        path / "__init__.py": '"""Models of contracts and deliveries, written by ``hutong codegen``."""\n' for path in packages
    }
    return dict(sorted((notes | files).items()))


def _contract_roots(catalogue: Catalogue, names: tuple[str, ...], version: int | None) -> Iterator[tuple[Path, Root]]:
    for name in names:
        contract = _one(catalogue.contracts, name, "contract")
        schema = contract.version(version)
        if schema is None:
            raise HutongError(f"contract {name} has the versions 1 to {contract.newest.version}, not {version}")
        suffix = f"_v{version}" if version else ""
        place = Path(module_name(contract.department)) / f"{module_name(name.rpartition('.')[2] + suffix)}.py"
        facts: dict[str, str | int] = {"contract": name, "version": schema.version}
        title = f"Contract {name}, version {schema.version}: {contract.title}"
        yield place, Root(title=title, schema=schema.schema, base="ChangeEvent", facts=facts)


def _delivery_roots(catalogue: Catalogue, names: tuple[str, ...]) -> Iterator[tuple[Path, Root]]:
    for name in names:
        agreement = _one(catalogue.agreements, name, "agreement")
        reader = catalogue.contracts[agreement.contract].version(agreement.version)
        if reader is None:
            raise HutongError(f"agreement {name}: contract {agreement.contract} has no version {agreement.version}")
        schema = delivery_schema(agreement, reader, plain_lists(catalogue.code_lists))
        place = Path(module_name(agreement.recipient)) / f"delivery_{module_name(name)}.py"
        title = f"What agreement {name} delivers to {agreement.recipient}"
        yield place, Root(title=title, schema=schema, base="Delivery", facts={"agreement": name})


def _one(known: Mapping[str, T], name: str, what: str) -> T:
    found = known.get(name)
    if found is None:
        near = difflib.get_close_matches(name, known, n=1)
        raise HutongError(f"there is no {what} {name}" + (f"; do you mean {near[0]}?" if near else ""))
    return found
