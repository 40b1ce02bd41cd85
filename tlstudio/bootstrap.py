"""Sets a fresh checkout up: the environment in ``.venv``, the dependencies, the system libraries that Qt needs.

Standard library only, and syntax that Python 3.8 can parse: it runs before anything is installed.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

MINIMUM = (3, 11)
ROOT = Path(__file__).resolve().parent.parent
STAMP = "tlstudio-setup.json"
VISION = "torchvision>=0.25"
_TORCH_TO_VISION = 15  # torch 2.x goes with torchvision 0.(x + 15)
_HEARTBEAT_SECONDS = 15.0

QT_LIBRARIES = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libX11-xcb.so.1": "libx11-xcb1",
    "libX11.so.6": "libx11-6",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libfreetype.so.6": "libfreetype6",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-glx.so.0": "libxcb-glx0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-randr.so.0": "libxcb-randr0",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-render.so.0": "libxcb-render0",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-shm.so.0": "libxcb-shm0",
    "libxcb-sync.so.1": "libxcb-sync1",
    "libxcb-util.so.1": "libxcb-util1",
    "libxcb-xfixes.so.0": "libxcb-xfixes0",
    "libxcb-xkb.so.1": "libxcb-xkb1",
    "libxcb.so.1": "libxcb1",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libz.so.1": "zlib1g",
    "libzstd.so.1": "libzstd1",
}
"""What Qt's libraries and its X11 plugin link to: soname -> Debian package."""

ALONG = ("fonts-dejavu-core", "libwayland-client0", "libwayland-cursor0")
"""Good to have; installed where something is installed anyway, never asked for."""


class SetupError(Exception):
    """The set-up cannot go on; the message is for the user and says what to do."""


def start(arguments: list[str]) -> int:
    """``python3 tlstudio [arguments]``: set up, then run the program; without arguments, the demo."""
    try:
        python = set_up(extras=())
    except SetupError as error:
        return _fail(error)
    return _hand_over([str(python), "-P", "-m", "tlstudio", *(arguments or ["demo"])])


def set_up(extras: tuple[str, ...], root: Path = ROOT) -> Path:
    """Make sure that everything is installed; returns the Python to run. Quick when nothing is to do.

    Args:
        extras: optional dependencies of ``pyproject.toml``, such as ``test``.
        root: the checkout.

    Raises:
        SetupError: with one line that says what to do.
    """
    check_python(sys.version_info[:2])
    install_system_packages(missing_system_packages())
    venv = root / ".venv"
    python = venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if is_ready(venv, root, extras) and python.exists():
        return python
    with _only_one(root):
        if not (is_ready(venv, root, extras) and python.exists()):
            _make_environment(venv, python)
            wanted = tuple(sorted({*extras, *_read_stamp(venv).get("extras", ())}))
            _install(venv, python, root, wanted)
            write_stamp(venv, root, wanted)
    return python


def check_python(version: tuple[int, int]) -> None:
    """Refuse a Python that is too old, with the way out."""
    if version >= MINIMUM:
        return
    newer = [name for name in ("python3.14", "python3.13", "python3.12", "python3.11") if shutil.which(name)]
    way_out = f"run it with {newer[0]}" if newer else "install a newer Python and run it with that"
    raise SetupError(f"tlstudio needs Python {MINIMUM[0]}.{MINIMUM[1]} or newer, this is {version[0]}.{version[1]}: {way_out}.")


# --- what is installed already ---------------------------------------------------------------------------------------


def fingerprint(venv: Path, root: Path) -> str:
    """Changes whenever the installation must be looked at again: the declaration, the Python, the place, this file."""
    digest = hashlib.sha256()
    for file in (root / "pyproject.toml", venv / "pyvenv.cfg", Path(__file__)):
        with contextlib.suppress(OSError):
            digest.update(file.read_bytes())
        digest.update(b"\0")
    digest.update(str(root).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def is_ready(venv: Path, root: Path, extras: tuple[str, ...]) -> bool:
    """Whether the last set-up went to its end and is still what is wanted."""
    stamp = _read_stamp(venv)
    return stamp.get("fingerprint") == fingerprint(venv, root) and set(extras) <= set(stamp.get("extras", ()))


def write_stamp(venv: Path, root: Path, extras: tuple[str, ...]) -> None:
    """Remember that the set-up went to its end; always the last thing that it does."""
    temporary = venv / (STAMP + ".tmp")
    temporary.write_text(json.dumps({"fingerprint": fingerprint(venv, root), "extras": list(extras)}), encoding="utf-8")
    os.replace(temporary, venv / STAMP)


def _read_stamp(venv: Path) -> dict:  # type: ignore[type-arg]
    try:
        stamp = json.loads((venv / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


# --- system libraries ------------------------------------------------------------------------------------------------


def missing_system_packages(libraries: dict[str, str] | None = None) -> list[str]:
    """Debian packages of the libraries that Qt needs and this system lacks; empty on other systems than Linux."""
    if not sys.platform.startswith("linux"):
        return []
    missing = set()
    for soname, package in (QT_LIBRARIES if libraries is None else libraries).items():
        try:
            ctypes.CDLL(soname)
        except OSError:
            missing.add(package)
    return sorted(missing)


def install_system_packages(packages: list[str]) -> None:
    """Install Debian packages where that is allowed, else name them in one line to copy."""
    if not packages:
        return
    apt = shutil.which("apt-get")
    if apt and os.geteuid() == 0:
        _say(f"Installing {len(packages)} system libraries that the window needs …")
        if _apt_install(apt, [*packages, *ALONG]):
            return
        _say("That did not work; the window may not open. By hand:")
    else:
        _say("The window needs system libraries that are missing here. To install them on Debian or Ubuntu:")
    _say("  " + by_hand(packages))


def by_hand(packages: list[str]) -> str:
    """The line for the user to copy."""
    sudo = "" if hasattr(os, "geteuid") and os.geteuid() == 0 else "sudo "
    return f"{sudo}apt-get install -y {' '.join(packages)}"


def _apt_install(apt: str, packages: list[str]) -> bool:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = [apt, "install", "-y", "-q", "--no-install-recommends", *packages]
    for attempt in ("with the package lists at hand", "with fresh ones"):
        if attempt == "with fresh ones":
            subprocess.run([apt, "update", "-q"], env=environment, stdout=subprocess.DEVNULL, check=False)
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return True
    sys.stderr.write(done.stderr)
    return False


# --- the environment -------------------------------------------------------------------------------------------------


def _make_environment(venv: Path, python: Path) -> None:
    if not _works(python):
        _say(f"Making the environment in {venv} …")
        make = [sys.executable, "-m", "venv", "--clear", str(venv)]
        if not _has_ensurepip() and not _host_pip() and not _install_venv_package():
            raise SetupError(f"Python's pip is missing. Run: {by_hand([f'python{sys.version_info[0]}-venv'])}")
        if not _has_ensurepip():  # Debian keeps it in a package of its own; the system's pip can fill the environment
            make.insert(-1, "--without-pip")
        if subprocess.run(make, check=False).returncode:
            raise SetupError(f"The environment could not be made. Remove {venv} and try again.")
    ignore = venv / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n", encoding="utf-8")


def _works(python: Path) -> bool:
    test = "import sys; sys.exit(sys.version_info[:2] < (3, 11))"
    try:
        return subprocess.run([str(python), "-c", test], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _has_ensurepip() -> bool:
    importlib.invalidate_caches()
    return importlib.util.find_spec("ensurepip") is not None


def _host_pip() -> bool:
    """Whether this Python has a pip that can install into another environment (22.3 or newer)."""
    done = subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, text=True, check=False)
    words = done.stdout.split()
    if done.returncode or len(words) < 2:
        return False
    numbers = [int(part) for part in words[1].split(".")[:2] if part.isdigit()]
    return numbers >= [22, 3]


def _install_venv_package() -> bool:
    apt = shutil.which("apt-get")
    return bool(apt) and os.geteuid() == 0 and _apt_install(str(apt), ["python3-venv"]) and _has_ensurepip()


def _pip(python: Path) -> list[str]:
    own = subprocess.run([str(python), "-c", "import pip"], capture_output=True, check=False).returncode == 0
    return [str(python), "-m", "pip"] if own else [sys.executable, "-m", "pip", "--python", str(python)]


def _install(venv: Path, python: Path, root: Path, extras: tuple[str, ...]) -> None:
    pip = [*_pip(python), "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    if not belong_together(_installed(python, "torch"), _installed(python, "torchvision")):
        # torchvision's metadata allow any newer torch, but its compiled part needs the one it was built for, and a new torch
        # can be out weeks before its torchvision: so the small one is chosen first, and the large one to fit. What torchvision
        # needs besides comes with tlstudio, which is why pip shall not warn of it here.
        _step("Choosing versions", [*pip, "--no-deps", VISION], venv)
        torch = matching_torch(_installed(python, "torchvision"))
        _step(
            f"Installing PyTorch {torch} (a download of some gigabytes on the first run)",
            [*pip, "--no-warn-conflicts", f"torch=={torch}.*"],
            venv,
        )
    target = f"{root}[{','.join(extras)}]" if extras else str(root)
    what = "Installing tlstudio and the tools for its tests" if "test" in extras else "Installing tlstudio"
    _step(what, [*pip, "--editable", target], venv)


def belong_together(torch: str, vision: str) -> bool:
    """Whether these versions of torch and torchvision were released for each other; empty means not installed."""
    return bool(torch and vision) and torch.startswith(f"{matching_torch(vision)}.")


def matching_torch(vision: str) -> str:
    """The torch series, such as ``2.10``, that goes with a version of torchvision, such as ``0.25.0``."""
    return f"2.{int(vision.split('.')[1]) - _TORCH_TO_VISION}"


def _installed(python: Path, name: str) -> str:
    code = f"from importlib.metadata import version; print(version({name!r}))"
    return subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=False).stdout.strip()


def _step(what: str, command: list[str], venv: Path) -> None:
    """Run one command; say that it goes on while it does."""
    _say(f"{what} …")
    start = beat = time.monotonic()
    with subprocess.Popen(command, cwd=str(venv)) as process:
        try:
            while process.poll() is None:
                time.sleep(0.1)
                if time.monotonic() - beat > _HEARTBEAT_SECONDS:
                    beat = time.monotonic()
                    _say(f"  … still at it, {beat - start:.0f} s")
        except KeyboardInterrupt:
            process.terminate()
            raise SetupError("Interrupted. Run the same command again; it goes on where it was.") from None
    if process.returncode:
        raise SetupError(f"{what} did not work (see above). Run the same command again to go on.")


@contextlib.contextmanager
def _only_one(root: Path):  # type: ignore[no-untyped-def] # noqa: ANN202
    """Let a second set-up of this checkout wait for the first."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    descriptor = os.open(str(root), os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


# --- words and the way on --------------------------------------------------------------------------------------------


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def _fail(error: SetupError) -> int:
    _say(str(error))
    return 1


def _hand_over(command: list[str]) -> int:
    """Become that program (on Windows, where a process cannot: run it and return its exit status)."""
    os.environ["TLSTUDIO_COMMAND"] = f"{os.path.basename(sys.executable)} {sys.argv[0]}"  # what to type again, for its hints
    if os.name == "nt":
        return subprocess.run(command, check=False).returncode
    os.execv(command[0], command)
    raise AssertionError  # not reached
