"""The first lines of the program that removes: where its modules are, then their import.

The standard library comes first, then envspin, then the interpreter's own packages, then the rest of what the owner had
on its path: a folder of tests called ``http`` must not stand before the one that the engine's SDK needs. What fails
here would be heard by nobody, so it is logged.
"""

from __future__ import annotations

import os
import site
import sys
import traceback
from pathlib import Path

from_owner = os.environ.pop("ENVSPIN_WATCHER_PATH", "").split(os.pathsep)
sys.path.append(from_owner[0])
site.main()
sys.path += from_owner[1:]

try:
    from envspin.run.watcher.removal import main
except BaseException:
    log = Path(sys.argv[1])
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    log.write_text(f"nothing was removed, for the watcher cannot be loaded any more\n{traceback.format_exc()}")
    raise

sys.exit(main(sys.argv[1:]))
