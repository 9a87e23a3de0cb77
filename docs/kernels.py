"""Kernels of notebooks in a moment: one process imports what most of them import, and forks for each.

python docs/kernels.py serve SOCKET        that process, until its standard input ends
python docs/kernels.py be SOCKET WORD ...  what a kernel manager starts: it lives as long as the kernel that it asks for
"""

import atexit
import functools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading

COMMON = """torch torch.testing sympy numpy plotly.graph_objects plotly.subplots ipywidgets anywidget nbformat pytest
PIL.Image ipykernel.kernelapp"""


@functools.cache
def forker() -> str:
    "The socket of the process that forks, begun when first asked for; it ends with this one."
    room = tempfile.TemporaryDirectory(prefix="graves-")  # a short path: sockets take no long ones
    address = os.path.join(room.name, "kernels")
    process = subprocess.Popen(
        [sys.executable, __file__, "serve", address], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    process.stdout.readline()  # it listens

    @atexit.register
    def end():
        process.stdin.close()
        process.wait(20)
        room.cleanup()

    return address


def command() -> list[str]:
    "What starts a kernel; its own words follow."
    return [sys.executable, "-S", "-E", __file__, "be", forker()]


def be(address: str, *words: str) -> None:
    "Stand for a kernel: pass on signals, and end when it does, or when who started it has."
    parent = os.getppid()
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(address)
        asked = line.makefile("rw")
        asked.write(json.dumps(dict(words=words, cwd=os.getcwd(), env=dict(os.environ))) + "\n")
        asked.flush()
        kernel = int(asked.readline())
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, _: os.kill(kernel, number))
        while os.getppid() == parent and not select.select([line], [], [], 1)[0]:
            pass


def serve(address: str) -> None:
    "Fork a kernel for each who asks."
    sys.path.pop(0)  # the folder of this file is none of the notebooks'
    for name in COMMON.split():
        __import__(name)

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a kernel
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen()
    print("listening", flush=True)
    while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
        line, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            become(line)
        line.close()


def become(line: socket.socket) -> None:
    "Be the kernel that is asked for; end when nobody stands for it any more."
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    spoken = line.makefile("rw")
    asked = json.loads(spoken.readline())
    spoken.write(f"{os.getpid()}\n")
    spoken.flush()
    os.environ.clear()
    os.environ |= asked["env"]
    os.chdir(asked["cwd"])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    threading.Thread(target=lambda: line.recv(1) or os._exit(1), daemon=True).start()
    from ipykernel.kernelapp import launch_new_instance

    sys.argv = ["ipykernel_launcher", *asked["words"]]
    launch_new_instance()
    os._exit(0)


if __name__ == "__main__":
    {"serve": serve, "be": be}[sys.argv[1]](*sys.argv[2:])
