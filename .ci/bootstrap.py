"""Make a virtual environment equal to poetry.lock, from whatever state it is in: ``bootstrap.py FOLDER``.

Runs before anything is installed: standard library only. A stamp in the environment names what it was made
from, and is written last; without it the environment counts as half-made and is made anew.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final, NoReturn

ROOT: Final = Path(__file__).resolve().parent.parent
TOOLS: Final = ROOT / ".venv-tools"
POETRY: Final = ("poetry>=2.2,<3", "poetry-plugin-export>=1.9,<2")
UV: Final = "uv>=0.9,<1"
STAMP: Final = "made-from"


def fail(sentence: str) -> NoReturn:
    """End with one sentence."""
    sys.exit(sentence)


def say(line: str) -> None:
    """Print progress at once, also into a pipe."""
    print(line, flush=True)


def digest(*parts: str | bytes) -> str:
    """Return one hash for all ``parts``."""
    return hashlib.sha256(b"\0".join(p.encode() if isinstance(p, str) else p for p in parts)).hexdigest()


def version(python: Path) -> str | None:
    """Return the version of an interpreter, None when it does not run."""
    code = "import sys; print('.'.join(map(str, sys.version_info[:3])))"
    try:
        done = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def stamped(folder: Path) -> str:
    """Return what ``folder`` was made from; empty when it was never finished."""
    try:
        return (folder / STAMP).read_text()
    except OSError:
        return ""


def make(folder: Path) -> None:
    """Make an empty environment in place of whatever is there."""
    shutil.rmtree(folder, ignore_errors=True)
    # Of the interpreter below, should this one be in a virtual environment itself.
    base = getattr(sys, "_base_executable", None) or sys.executable
    done = subprocess.run([base, "-m", "venv", folder], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        shutil.rmtree(folder, ignore_errors=True)
        if "ensurepip" in done.stdout + done.stderr or "No module named venv" in done.stderr:
            fail(f"{base} lacks the module venv: install it (on Debian: apt install python3-venv).")
        fail(f"{folder} could not be made: {(done.stderr or done.stdout).strip().splitlines()[-1]}")


def pip(folder: Path, *arguments: str) -> bool:
    """Install into an environment; tell whether it worked."""
    command = [
        str(folder / "bin" / "python"),
        "-m",
        "pip",
        "install",
        "-qq",
        "--disable-pip-version-check",
    ]
    return subprocess.run([*command, *arguments], check=False).returncode == 0


def tools() -> Path:
    """Return the environment of the tools that read poetry.lock."""
    wanted = digest(UV, *POETRY, str(TOOLS))
    if stamped(TOOLS) != wanted or version(TOOLS / "bin" / "python") is None:
        say("Fetching the tools that read poetry.lock …")
        make(TOOLS)
        # uv is only the fast way: not every platform has it.
        if not pip(TOOLS, UV, *POETRY) and not pip(TOOLS, *POETRY):
            fail("The tools could not be fetched: see pip's message above, and check the network.")
        (TOOLS / STAMP).write_text(wanted)
    return TOOLS / "bin"


def install(folder: Path) -> None:
    """Bring an environment in line with poetry.lock."""
    bin_ = tools()
    with tempfile.TemporaryDirectory() as scratch:
        requirements = Path(scratch) / "requirements.txt"
        export = [str(bin_ / "poetry"), "export", "--all-groups", "--output", str(requirements)]
        environment = os.environ | {"POETRY_VIRTUALENVS_CREATE": "false"}
        done = subprocess.run(export, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            fail(f"poetry.lock could not be read: {(done.stderr or done.stdout).strip()}")
        uv = [str(bin_ / "uv"), "pip", "sync", "--quiet", "--require-hashes", str(requirements)]
        uv += ["--python", str(folder / "bin" / "python")]
        trust = os.environ | {"UV_SYSTEM_CERTS": "1"}  # as pip does: companies have authorities of their own
        if (bin_ / "uv").exists() and subprocess.run(uv, env=trust, check=False).returncode == 0:
            return
        say("uv cannot do it here; pip takes a minute longer …")
        make(folder)  # pip would leave what the lock no longer names
        if not pip(folder, "--no-deps", "--require-hashes", "--requirement", str(requirements)):
            fail("The packages could not be installed: see pip's message above, and check the network.")


def main() -> None:
    """Make the environment, or see in a moment that nothing is to be done."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, nargs="?", default=Path(".venv"))
    parser.add_argument(
        "--check-lock", action="store_true", help="only see that poetry.lock fits pyproject.toml"
    )
    parser.add_argument("--exactly", action="store_true", help="this Python version, not just one that fits")
    options = parser.parse_args()
    if options.check_lock:
        sys.exit(
            subprocess.run([str(tools() / "poetry"), "check", "--lock"], cwd=ROOT, check=False).returncode
        )
    folder = options.folder.absolute()
    lock = (ROOT / "poetry.lock").read_bytes()
    here = ".".join(map(str, sys.version_info[:3]))
    has = version(folder / "bin" / "python")
    fits = has is not None and (has == here or not options.exactly)
    # The path is part of it: scripts in an environment begin with it.
    place, _, content = stamped(folder).partition("\n")
    fits = fits and place == f"{has} {folder}"
    if fits and content == digest(lock):
        return
    if fits:
        say(f"Bringing {folder.name} in line with poetry.lock …")
        (folder / STAMP).unlink()
    else:
        say(f"Making {folder.name} (Python {here}) …")
        make(folder)
    say("Installing the packages (some 100 MB, the first time) …")
    install(folder)
    made = version(folder / "bin" / "python")
    (folder / STAMP).write_text(f"{made} {folder}\n{digest(lock)}")
    say("The environment is ready.")


if __name__ == "__main__":
    main()
