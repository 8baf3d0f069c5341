"""FlexCore as the Dockerfile installs it: a wheel from what .dockerignore lets in, and the image's lock."""

import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.peers.environments import installed
from services.installation import ROOT

WITHIN_S = 120
"""A command that imports everything on a machine with other work."""


def context(folder: Path) -> Path:
    """A copy of what `docker build` would be sent."""
    everything, *allowed, bytecode = [
        line
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert (everything, bytecode) == ("*", "**/__pycache__")
    for path in (line.removeprefix("!") for line in allowed):
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / path).is_dir():
            shutil.copytree(ROOT / path, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(ROOT / path, target)
    return folder


def build(source: Path, folder: Path) -> Path:
    """The wheel of `source`, made by the locked build backend."""
    programs = installed(ROOT / "tools" / "build.lock", folder / "backend")
    command = [
        programs / "python",
        "-m",
        "hatchling",
        "build",
        "-t",
        "wheel",
        "-d",
        folder / "dist",
    ]
    subprocess.run(command, cwd=source, check=True, capture_output=True, timeout=WITHIN_S)
    (wheel,) = (folder / "dist").glob("*.whl")
    return wheel


def install(wheel: Path, folder: Path) -> Path:
    """The folder of programs of an environment that has the image's packages, the wheel and nothing else."""
    programs = installed(ROOT / "tools" / "image.lock", folder)
    ours = ROOT / ".boot" / "bin" / "uv"
    uv = str(ours) if ours.exists() else shutil.which("uv")
    assert uv is not None, "run ./flexcore --help once, it installs uv"
    subprocess.run(
        [uv, "pip", "install", "--quiet", "--no-index", "--no-deps", wheel],
        env=os.environ | {"VIRTUAL_ENV": str(folder)},
        check=True,
        timeout=WITHIN_S,
    )
    return programs


@dataclass(frozen=True)
class Installed:
    """An installation; its commands run in `cwd`, with `settings` and nothing of this process."""

    programs: Path
    cwd: Path
    settings: dict[str, str] = field(default_factory=dict)

    def with_settings(self, **settings: str) -> "Installed":
        """The same with more variables."""
        return Installed(self.programs, self.cwd, self.settings | settings)

    def start(
        self, *arguments: str, program: str = "flexcore", log: Path | None = None
    ) -> "subprocess.Popen[str]":
        """Start a program of the installation."""
        output = subprocess.PIPE if log is None else log.open("w")
        return subprocess.Popen(
            [self.programs / program, *arguments],
            cwd=self.cwd,
            env={"PATH": f"{self.programs}:/usr/bin:/bin", "HOME": str(self.cwd)} | self.settings,
            stdout=output,
            stderr=subprocess.STDOUT if log else subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, program: str = "flexcore") -> "subprocess.CompletedProcess[str]":
        """Run a program of the installation to its end."""
        with self.start(*arguments, program=program) as process:
            out, err = process.communicate(timeout=WITHIN_S)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)
