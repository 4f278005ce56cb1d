"""Makes .venv as the lock says and then becomes a program of it: bootstrap.py [--dev] [PROGRAM [ARGUMENTS...]]

Standard library only. It must be understood even by a Python that is too old, to tell so in a sentence: therefore no
f-strings, no annotations, nothing newer than Python 2.7 in its syntax (a test holds it to that).
"""

from __future__ import print_function

import hashlib
import os
import subprocess
import sys

OLDEST = (3, 11)
NEWER = ("python3.14", "python3.13", "python3.12", "python3.11")
ROOT = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
RUN, DEV = "requirements-run.lock", "requirements-dev.lock"


class CannotSetUp(Exception):
    """Why not, in one sentence with the remedy."""


def main(arguments):
    dev = arguments[:1] == ["--dev"]
    program = arguments[1:] if dev else arguments
    try:
        check_python()
        with_lock(lambda: set_up(dev))
    except CannotSetUp as reason:
        print("xuezu: %s" % reason, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped; the next start goes on from here.", file=sys.stderr)
        return 130
    if program:
        become(program)
    return 0


def check_python():
    if sys.version_info >= OLDEST:
        return
    for directory in os.environ.get("PATH", "").split(os.pathsep):
        for name in NEWER:
            path = os.path.join(directory, name)
            if os.access(path, os.X_OK):
                os.execv(path, [path, os.path.abspath(__file__)] + sys.argv[1:])
    raise CannotSetUp(
        "Python %d.%d or newer is needed and this is %d.%d: install one, or name it: make run PYTHON=/path/to/python"
        % (OLDEST + tuple(sys.version_info[:2]))
    )


def with_lock(work):
    """Two `make` in one directory take turns: the lock is on the directory and ends with the process."""
    try:
        import fcntl
    except ImportError:
        return work()
    directory = os.open(ROOT, os.O_RDONLY)
    try:
        try:
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (IOError, OSError):
            say("Waiting for another set-up of this directory to finish")
            fcntl.flock(directory, fcntl.LOCK_EX)
        return work()
    finally:
        os.close(directory)


def set_up(dev):
    if is_ready(DEV) or (not dev and is_ready(RUN)):
        return
    if not os.access(ROOT, os.W_OK):
        raise CannotSetUp("%s cannot be written by this user: make it writable, or clone it elsewhere." % ROOT)
    if not venv_fits():
        make_venv()
    install(DEV if dev else RUN)


def is_ready(lock):
    try:
        with open(stamp_of(lock)) as stamp:
            return stamp.read() == expected(lock) and os.path.exists(PYTHON)
    except (IOError, OSError):
        return False


def stamp_of(lock):
    return os.path.join(VENV, lock + ".installed")


def expected(lock):
    """What an installation depends on; the development lock contains the other one."""
    digest = hashlib.sha256()
    for name in sorted({lock, RUN, "pyproject.toml"}):
        with open(os.path.join(ROOT, name), "rb") as file:
            digest.update(file.read())
    return "%s\n%s\n%s\n" % (digest.hexdigest(), sys.version, ROOT)


def venv_fits():
    """Whether .venv is whole, of this Python, and was made in this place (its scripts hold the path)."""
    try:
        with open(os.path.join(VENV, "pyvenv.cfg")) as file:
            settings = dict(line.strip().split(" = ", 1) for line in file if " = " in line)
        with open(os.path.join(VENV, "bin", "activate")) as file:
            here = VENV in file.read()
        return (
            here
            and settings.get("version") == "%d.%d.%d" % tuple(sys.version_info[:3])
            and subprocess.call([PYTHON, "-c", "import pip"], stderr=subprocess.DEVNULL) == 0
        )
    except (IOError, OSError):
        return False


def make_venv():
    try:
        import ensurepip  # noqa: F401 - only to see whether it exists
        import venv  # noqa: F401 - only to see whether it exists
    except ImportError:
        raise CannotSetUp(
            "This Python cannot make virtual environments: install its venv module, on Debian and Ubuntu with "
            "`apt-get install python%d.%d-venv`." % tuple(sys.version_info[:2])
        )
    say("Making .venv with Python %d.%d" % tuple(sys.version_info[:2]))
    run([sys.executable, "-m", "venv", "--clear", VENV], "The virtual environment could not be made.")


def install(lock):
    say("Installing the packages of %s (a minute the first time)" % lock)
    wanted = sum(1 for line in open(os.path.join(ROOT, lock)) if line[:1].isalnum())
    pip = [PYTHON, "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--no-deps"]
    # Hashes are required and the lock is whole: nothing is looked up beside it, nothing is compiled here.
    options = ["--require-hashes", "--only-binary", ":all:", "--no-compile", "--progress-bar", "off"]
    failure = "The packages could not be installed: most often the network or a proxy is the reason, so run it again."
    run(pip + options + ["-r", os.path.join(ROOT, lock)], failure, Progress(wanted))
    run(pip + ["--no-build-isolation", "--no-index", "--editable", ROOT], "The service itself could not be installed.")
    with open(stamp_of(lock), "w") as stamp:
        stamp.write(expected(lock))


class Progress:
    """Counts the packages in pip's output: in place on a terminal, a line now and then elsewhere."""

    starts = ("Collecting ", "Processing ", "Requirement already satisfied", "Ignoring ")

    def __init__(self, wanted):
        self.wanted = wanted
        self.seen = 0
        self.terminal = sys.stdout.isatty()

    def __call__(self, line):
        if line.startswith(self.starts):
            self.seen += 1
            if self.terminal:
                print("\r  %d of %d" % (self.seen, self.wanted), end="")
            elif self.seen % 25 == 0:
                print("  %d of %d" % (self.seen, self.wanted))
            sys.stdout.flush()
        elif line.startswith("Installing collected packages"):
            self.end()
            say("  fetched; unpacking")

    def end(self):
        if self.terminal and self.seen:
            self.seen = 0
            print()


def run(command, failure, progress=None):
    """Run a command quietly; where it fails, show what it said, then the sentence."""
    environment = dict(os.environ, PIP_USER="0", PYTHONUNBUFFERED="1")
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
    )
    said = []
    try:
        for line in process.stdout:
            said.append(line)
            if progress:
                progress(line)
        code = process.wait()
        if progress:
            progress.end()
    except BaseException:
        process.terminate()
        process.wait()
        raise
    if code:
        sys.stderr.write("".join(line for line in said[-40:] if not line.startswith("WARNING: Location ")))
        raise CannotSetUp(failure)


def become(program):
    """Replace this process, so that signals reach the program itself."""
    directory = os.path.join(VENV, "bin")
    os.environ["PATH"] = directory + os.pathsep + os.environ.get("PATH", "")
    os.environ["VIRTUAL_ENV"] = VENV
    # Kept in .venv, whatever the environment says: else each process compiles thousands of modules anew.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = os.path.join(VENV, "bytecode")
    path = os.path.join(directory, program[0])
    os.execv(path, [path] + program[1:])


def say(line):
    print(line)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
