"""A service with a plugin host, to be killed: root, folder, step, named pipe for the step's pid."""

import sys
import threading
from pathlib import Path

if __name__ == "__main__":
    root, folder, uses, pipe = sys.argv[1:]
    sys.path.insert(0, root)
    from plugins.host import PluginHost
    from plugins.pool import PluginHostSettings
    from plugins.step_call import StepCall

    table = {uses: f"tests.plugins.hostile:{uses.partition('.')[2]}"}
    settings = PluginHostSettings(
        blobs=Path(folder),
        files_root=Path(folder),
        scratch=Path(folder) / "scratch",
        size=1,
        table=table,
    )
    host = PluginHost(settings)
    host.submit(StepCall("run/a/1", uses, {"tell": pipe}, None, "default"), print)
    threading.Event().wait()
