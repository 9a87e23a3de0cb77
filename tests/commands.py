"""Many commands in little time: a process that has loaded all of them forks for each.

Run as a program it is that process: a line of JSON for each command on standard input, one for its end on standard
output.
"""

import atexit
import base64
import functools
import json
import os
import subprocess
import sys
import tempfile
from typing import NamedTuple


class Ended(NamedTuple):
    "How a command ended."

    returncode: int
    stdout: bytes
    stderr: str


class Commands:
    "Runs `graves`, one command after the other."

    def __init__(self):
        self.server = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __call__(self, *words, stdin=b"", cwd="."):
        asked = dict(words=[str(w) for w in words], stdin=base64.b64encode(stdin).decode(), cwd=str(cwd))
        assert self.server.poll() is None, f"the server ended with {self.server.returncode}"
        self.server.stdin.write(json.dumps(asked) + "\n")
        self.server.stdin.flush()
        code, out, err = json.loads(self.server.stdout.readline())
        return Ended(code, base64.b64decode(out), err)

    def close(self):
        self.server.stdin.close()
        self.server.wait(10)


@functools.cache
def server() -> Commands:
    "The one of these tests, from the first command on."
    made = Commands()
    atexit.register(made.close)
    return made


def graves(*words, **options) -> Ended:
    "Run a command; of the options `stdin` and `cwd`."
    return server()(*words, **options)


def in_child(words, stdin, cwd, files):
    "Be the command; never returns."
    for number, file in enumerate(files):
        os.dup2(file.fileno(), number)
    os.chdir(cwd)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")
    sys.argv = ["graves", *words]
    code = 70
    try:
        from graves_nb.cli import main

        main()
    except SystemExit as end:
        code = end.code
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def serve():
    "Load what is slow to load, then fork for each line of standard input."
    from graves_nb import cli, compression, evaluation, folders, page, recipes, sampling  # noqa: F401

    for line in sys.stdin:
        asked = json.loads(line)
        files = [tempfile.TemporaryFile() for _ in range(3)]
        files[0].write(base64.b64decode(asked["stdin"]))
        files[0].seek(0)
        child = os.fork()
        if child == 0:
            in_child(asked["words"], asked["stdin"], asked["cwd"], files)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        for file in files[1:]:
            file.seek(0)
        out, err = (file.read() for file in files[1:])
        print(json.dumps([code, base64.b64encode(out).decode(), err.decode("utf-8", "replace")]), flush=True)


if __name__ == "__main__":
    serve()
