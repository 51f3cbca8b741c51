"""ezdxf, imported so that it leaves the home directory alone: import it from here.

At its own import ezdxf reads settings in the home directory, looks through all fonts of the system and writes a list of
them there. An empty list, in a directory that is gone afterwards, spares it all three (and 0.2 s). It never asks a
network. An `ezdxf.ini` in the working directory would still be read: nobody but the operator can put one there.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_VARIABLES = ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "EZDXF_CONFIG_FILE")


@contextmanager
def _a_home_of_its_own() -> Iterator[None]:
    before = {name: os.environ.pop(name, None) for name in _VARIABLES}
    with tempfile.TemporaryDirectory(prefix="ezdxf-") as home:
        fonts = Path(home, "ezdxf", "font_manager_cache.json")
        fonts.parent.mkdir()
        fonts.write_text('{"version": 0, "font-faces": []}')
        os.environ["XDG_CACHE_HOME"] = os.environ["XDG_CONFIG_HOME"] = home
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value


with _a_home_of_its_own():
    import ezdxf
    import ezdxf.document
    import ezdxf.lldxf.tagger
    import ezdxf.path
    import ezdxf.recover

__all__ = ["ezdxf"]
