"""Make or reuse the virtual environment `.venv` with exactly the packages of envs/venv.lock.

Runs on any Python 3.8 or newer and imports nothing but the standard library. Where this Python is neither 3.11 nor 3.12
(mediapipe 0.10.21 has wheels for those alone), it looks for one on the PATH, else asks uv (from PyPI) for one.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
VENV = REPOSITORY / ".venv"
LOCK = REPOSITORY / "envs" / "venv.lock"
STAMP = VENV / "talkset.lock.sha256"
PYTHON = VENV / "bin" / "python"
VERSIONS = ("3.11", "3.12")


def main():
    wanted = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if STAMP.is_file() and STAMP.read_text() == wanted and PYTHON.exists():
        return
    print(
        f"talkset: installing {sum(1 for _ in requirements())} pinned packages into .venv (minutes, once)", flush=True
    )
    STAMP.unlink(missing_ok=True)
    if not (PYTHON.exists() and version(PYTHON) in VERSIONS):
        shutil.rmtree(VENV, ignore_errors=True)
        make_venv()
    pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    torch = next(line for line in requirements() if line.startswith("torch=="))
    # torch first and with its dependencies: its wheel pins the CUDA libraries that it was built with, if any. Then all
    # the rest exactly as locked: envs/venv.overrides says which wishes of packages the lock overrules, and why.
    run([*pip, torch, "--constraint", str(LOCK)])
    run([*pip, "--no-deps", "--requirement", str(LOCK)])
    STAMP.write_text(wanted)


def requirements():
    """The lock's lines, without comments."""
    for line in LOCK.read_text().splitlines():
        if line and not line.startswith("#"):
            yield line


def version(python):
    """`3.11` for a Python 3.11, empty if it does not run."""
    ask = [str(python), "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    try:
        return subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def make_venv():
    """Create `.venv` with the first suitable Python."""
    for python in (sys.executable, *(f"python{wanted}" for wanted in VERSIONS)):
        if version(python) in VERSIONS:
            if subprocess.run([python, "-m", "venv", str(VENV)]).returncode == 0:
                return
            shutil.rmtree(VENV, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        got_uv = (
            subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--target", folder, "uv"]).returncode
            == 0
        )
        uv = [os.path.join(folder, "bin", "uv"), "venv", "--seed", "--python", VERSIONS[0], str(VENV)]
        if got_uv and subprocess.run(uv).returncode == 0:
            return
    sys.exit(
        "talkset needs Python 3.11 or 3.12 with its venv module; found only Python "
        f"{version(sys.executable)} at {sys.executable}, and uv could not bring another. Install one "
        "(Debian, Ubuntu: python3.11 and python3.11-venv) and run the same command again."
    )


def run(command):
    """Run a command; leave with its status if it fails."""
    status = subprocess.run(command).returncode
    if status:
        sys.exit(f"talkset: this failed with status {status}: {' '.join(command)}")


if __name__ == "__main__":
    main()
