"""Whether the tests of the extension run at all: where it can be built, it must have been."""

from __future__ import annotations

import shutil

from hutong.transcode.native.transcoder import extension


def test_with_a_rust_toolchain_the_extension_is_there() -> None:
    """A build that failed would else go unseen: every test of the extension would be skipped."""
    if shutil.which("cargo"):
        assert extension is not None, "cargo is here but hutong_native is not: run `make native` and read .venv/native.log"
