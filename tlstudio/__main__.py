"""Two ways in: ``python3 tlstudio`` (a fresh checkout) sets everything up first, ``python -m tlstudio`` is the terminal.

Like `tlstudio.bootstrap`, this file must parse on Python 3.8, so that an old Python gets a sentence and no traceback.
"""

import os
import sys


def _run() -> int:
    if __package__:
        from tlstudio.cli.app import main

        return main()
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or os.curdir) != here]
    sys.path.insert(0, os.path.dirname(here))
    from tlstudio import bootstrap

    return bootstrap.start(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(_run())
