"""`./flexcore docs`: the site of the documentation, built into .cache/site; `--serve` shows it.

docs/*.md, tools/site/zensical.toml ─► zensical, of an environment of its own ─► .cache/site/index.html
"""

import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from benchmarks.peers.environments import NotAvailable, installed

ROOT = Path(__file__).parents[1]
HERE = ROOT / "tools" / "site"
CACHE = ROOT / ".cache"
SITE = CACHE / "site"
ENVIRONMENT = CACHE / "site-environment"
CONFIGURATION = "zensical.toml"
PORT = 8000


def main(arguments: list[str]) -> int:
    """Build the site; exit code 1 where a link of it leads nowhere."""
    if arguments not in ([], ["--serve"]):
        print("error[usage]: flexcore docs takes --serve or nothing", file=sys.stderr)
        return 2
    try:
        zensical = installed(HERE / "requirements.lock", ENVIRONMENT) / "zensical"
    except NotAvailable as error:
        return _failed(str(error), "check the network, run again")
    _prepare()
    build = ["build", "--strict", "--config-file", str(CACHE / CONFIGURATION)]
    if subprocess.run([zensical, *build]).returncode != 0:
        return _failed("a page has a fault", "mend what is named above")
    print(SITE / "index.html")
    if arguments:
        _serve()
    return 0


def _prepare() -> None:
    """Copies in .cache: zensical takes and leaves nothing outside of its folder, nor follows links."""
    for made in (SITE, CACHE / "docs"):
        # What was renamed since must not stay.
        shutil.rmtree(made, ignore_errors=True)
    shutil.copytree(ROOT / "docs", CACHE / "docs")
    shutil.copy(HERE / "site.css", CACHE / "docs")
    shutil.copy(HERE / CONFIGURATION, CACHE)


def _serve() -> None:
    """Show the site until Ctrl-C; a build in another terminal is seen at once."""
    print(f"http://127.0.0.1:{PORT} shows it; Ctrl-C ends it", file=sys.stderr)
    server = [sys.executable, "-m", "http.server", str(PORT), "--bind", "127.0.0.1"]
    with suppress(KeyboardInterrupt):
        subprocess.run([*server, "--directory", SITE], stderr=subprocess.DEVNULL)


def _failed(cause: str, fix: str) -> int:
    print(
        f"error[setup.no_site]: the site was not built\ncause: {cause}\nfix:   {fix}",
        file=sys.stderr,
    )
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
