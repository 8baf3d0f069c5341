"""Where FlexCore's own files lie: in a clone, or where a wheel was installed.

                        clone               installed
packages                the clone           site-packages
kafka.lock.json, demo   the clone           services/shipped/
jars, Java's cache      .cache/kafka        $XDG_CACHE_HOME/flexcore/kafka
its command             ./flexcore          flexcore
"""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""The folder that holds our packages."""
IN_CLONE = (ROOT / "pyproject.toml").exists()
SHIPPED = ROOT if IN_CLONE else ROOT / "services" / "shipped"
"""The folder of kafka.lock.json and examples/; pyproject.toml says what a wheel puts there."""
COMMAND = "./flexcore" if IN_CLONE else "flexcore"


def cache_folder() -> Path:
    """Where downloads are kept that every stack of this account can use."""
    if IN_CLONE:
        return ROOT / ".cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "flexcore"


def version() -> str:
    """FlexCore's version."""
    if IN_CLONE:
        import tomllib

        project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
        return str(project["version"])
    from importlib import metadata

    return metadata.version("flexcore")
