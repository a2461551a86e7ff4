"""Thunderbird by its remote control (Marionette): sends it a script, prints what that answers as one line of JSON.

usage: marionette.py PORT SCRIPT [ARGUMENT...]

A message is `LENGTH:JSON`; a command `[0, id, name, parameters]`, its answer `[1, id, error, result]`. The script runs
with the rights of the program itself, finds its arguments in `arguments`, and ends by `arguments.at(-1)(ANSWER)`.
"""

import json
import socket
import sys


class Marionette:
    """One session. Invariant: one command at a time, so the next message is its answer."""

    def __init__(self, port):
        self.stream = socket.create_connection(("127.0.0.1", port), timeout=60).makefile("rwb")
        self.sent = 0
        self.receive()  # who it is

    def receive(self):
        length = b""
        while not length.endswith(b":"):
            byte = self.stream.read(1)
            if not byte:
                raise ConnectionError("Thunderbird closed the connection")
            length += byte
        return json.loads(self.stream.read(int(length[:-1])))

    def ask(self, name, **parameters):
        self.sent += 1
        text = json.dumps([0, self.sent, name, parameters]).encode()
        self.stream.write(str(len(text)).encode() + b":" + text)
        self.stream.flush()
        _, _, error, result = self.receive()
        if error:
            raise RuntimeError(f"{name}: {error['error']}: {error['message']}\n{error.get('stacktrace', '')}")
        return result


def main():
    port, script, *arguments = sys.argv[1:]
    session = Marionette(int(port))
    session.ask("WebDriver:NewSession")
    session.ask("Marionette:SetContext", value="chrome")
    session.ask("WebDriver:SetTimeouts", script=30000)
    with open(script, encoding="utf-8") as file:
        answer = session.ask("WebDriver:ExecuteAsyncScript", script=file.read(), args=arguments)
    print(json.dumps(answer["value"], ensure_ascii=False))
    session.ask("WebDriver:DeleteSession")


main()
