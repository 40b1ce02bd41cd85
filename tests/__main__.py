"""``python3 tests``: sets everything up, then runs every check; with arguments, only pytest with those arguments.

``--headed`` shows the windows of the tests on the screen.
"""

import os
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def run() -> int:
    """Set up, then run the checks; returns the exit status of the first that failed."""
    sys.path.insert(0, ROOT)
    from tlstudio import bootstrap

    try:
        python = str(bootstrap.set_up(extras=("test",)))
    except bootstrap.SetupError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    os.chdir(ROOT)
    arguments = [argument for argument in sys.argv[1:] if argument != "--headed"]
    environment = dict(os.environ)
    if "--headed" not in sys.argv:
        environment["QT_QPA_PLATFORM"] = "offscreen"
    steps = [("pytest", ["-m", "pytest", *arguments])]
    if not arguments:
        steps = [
            ("ruff check", ["-m", "ruff", "check", "."]),
            ("ruff format", ["-m", "ruff", "format", "--check", "."]),
            ("mypy", ["-m", "mypy"]),
            ("import contracts", ["-c", "from importlinter.cli import lint_imports_command as c; c()"]),
            *steps,
        ]
    results = []
    for name, command in steps:
        print(f"--- {name}", flush=True)
        start = time.monotonic()
        status = subprocess.run([python, *command], env=environment).returncode
        results.append((name, status, time.monotonic() - start))
    print("---")
    for name, status, seconds in results:
        print(f"{'ok    ' if status == 0 else 'FAILED'}  {name:18} {seconds:7.1f} s")
    return next((status for _, status, _ in results if status), 0)


if __name__ == "__main__":
    sys.exit(run())
