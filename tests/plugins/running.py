"""Built-in steps without a host: `run("flexcore.filter", files, rows=…)`."""

import importlib
from pathlib import Path
from typing import Any

import pytest

from plugins.blob_store import BlobStore
from plugins.builtin import BUILTIN
from plugins.files import Files
from plugins.memory_blob_store import MemoryBlobStore
from plugins.outside import Outside
from plugins.steps import Output, Step, StepContext, StepFailed


class Bench:
    """One run's context; steps share its blobs and its files."""

    def __init__(self, folder: Path, outside: Outside | None = None) -> None:
        self.folder = folder
        self.blobs: BlobStore = MemoryBlobStore()
        self._outside = outside or Outside()

    def run(
        self, uses: str, *, execution: str = "run", step: str = "step", **config: Any
    ) -> Output:
        module, _, function = BUILTIN[f"flexcore.{uses}"].partition(":")
        run: Step = getattr(importlib.import_module(module), function)
        files = Files(self.folder)
        context = StepContext("default", execution, step, 1, self.blobs, files, self._outside)
        return run(config, context)

    def refusal(self, uses: str, **config: Any) -> StepFailed:
        with pytest.raises(StepFailed) as caught:
            self.run(uses, **config)
        return caught.value

    def csv(self, text: str, /, **config: Any) -> Output:
        (self.folder / "data.csv").write_text(text)
        return self.run("csv_read", path="data.csv", **config)


def with_database(folder: Path, url: str) -> Outside:
    """Where steps find the database for pipeline data."""
    file = folder / "data_url"
    file.write_text(f"{url}\n")
    return Outside(data_url_file=file)
