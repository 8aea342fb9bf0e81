#!/usr/bin/env python3
"""Makes the recordings in this folder anew, with a built tcpwatch and as root.

    tests/data/record.py target/debug/tcpwatch [NAME...]

Each recording is one claim: a private network namespace, one process called "client" and one called
"server" that do what the function says, and tcpwatch with --record beside them. Nothing else of the
machine gets into the file, and it replays as it was seen live; both are checked before it is kept.
Afterwards make the expected output anew and read its difference:

    UPDATE_GOLDEN=1 cargo test -p tcpwatch --test replay
"""

import ctypes
import itertools
import json
import os
import pathlib
import socket
import struct
import subprocess
import sys
import tempfile
import threading

HERE = pathlib.Path(__file__).resolve().parent
PORT = 8080
PEER_HOST = "198.51.100.2"
OWN_HOST = "198.51.100.1"
SO_ATTACH_FILTER = 26
SO_DETACH_FILTER = 27


# The other processes: each obeys one word a line and answers when it has done so.


def actor(name):
    ctypes.CDLL(None).prctl(15, name.encode())  # PR_SET_NAME
    held = None
    listener = None
    for line in sys.stdin:
        word, *rest = line.split()
        if word == "listen":
            family = socket.AF_INET6 if ":" in rest[0] else socket.AF_INET
            listener = socket.socket(family)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((rest[0], PORT))
            listener.listen()
        elif word == "listen_anywhere":
            listener = socket.socket()
            listener.listen()
        elif word == "listen_again":
            disconnect(listener)
            listener.listen()
        elif word == "accept":
            held, _ = listener.accept()
        elif word == "unlisten":
            listener.close()
        elif word == "connect":
            family = socket.AF_INET6 if ":" in rest[0] else socket.AF_INET
            held = socket.socket(family)
            held.connect_ex((rest[0], PORT))
        elif word == "connect_from":
            held = socket.socket()
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.bind((rest[0], int(rest[1])))
            held.connect((rest[0], PORT))
        elif word == "connect_again":
            held.connect_ex((rest[0], PORT))
        elif word == "disconnect":
            disconnect(held)
        elif word == "connect_deaf":
            held = socket.socket(socket.AF_INET)
            deafen(held)
            held.connect_ex((rest[0], PORT))
        elif word == "deafen":
            deafen(held)
        elif word == "hear":
            held.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)
        elif word == "send":
            held.sendall(b"hello")
        elif word == "read":
            held.recv(5)
        elif word == "read_end":
            while held.recv(4096):
                pass
        elif word == "shutdown":
            held.shutdown(socket.SHUT_WR)
        elif word == "abort":
            held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            held.close()
        elif word == "close":
            held.close()
        elif word == "syn":
            raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
            raw.sendto(syn(PEER_HOST, OWN_HOST, int(rest[0])), (OWN_HOST, 0))
        else:
            raise ValueError(word)
        print("done", flush=True)


def disconnect(sock):
    """The socket is as new (connect() to AF_UNSPEC)."""
    nowhere = struct.pack("H14x", socket.AF_UNSPEC)
    assert ctypes.CDLL(None).connect(sock.fileno(), nowhere, len(nowhere)) == 0


def deafen(sock):
    """Whatever comes in is dropped before TCP sees it (SO_ATTACH_FILTER)."""
    drop_all = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0), 8)
    program = struct.pack("HxxxxxxP", 1, ctypes.addressof(drop_all))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


def syn(source, target, source_port):
    """A SYN that nobody stands behind."""
    ends = socket.inet_aton(source) + socket.inet_aton(target)
    tcp = struct.pack("!HHIIBBHHH", source_port, PORT, 1000, 0, 5 << 4, 2, 64240, 0, 0)
    total = sum(struct.unpack("!16H", ends + struct.pack("!HH", 6, len(tcp)) + tcp))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    tcp = tcp[:16] + struct.pack("!H", ~total & 0xFFFF) + tcp[18:]
    return struct.pack("!BBHHHBBH", 0x45, 0, 40, 0, 0, 64, 6, 0) + ends + tcp


class Actor:
    def __init__(self, netns, name):
        command = ["ip", "netns", "exec", netns, sys.executable, __file__, "--actor", name]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __getattr__(self, word):
        def act(*rest):
            self.process.stdin.write(" ".join([word, *map(str, rest)]) + "\n")
            self.process.stdin.flush()
            assert self.process.stdout.readline() == "done\n", word

        return act


class World:
    def __init__(self, name, tcpwatch):
        self.netns = f"record-{name.replace('_', '-')}"
        self.tcpwatch = tcpwatch
        self.seen = []

    def ip(self, *words):
        subprocess.run(["ip", "-n", self.netns, *words], check=True)

    def sysctl(self, key, value):
        command = ["ip", "netns", "exec", self.netns, "sysctl", "-qw", f"{key}={value}"]
        subprocess.run(command, check=True)

    def __enter__(self):
        subprocess.run(["ip", "netns", "add", self.netns], check=True)
        self.ip("link", "set", "lo", "up")
        self.client, self.server = Actor(self.netns, "client"), Actor(self.netns, "server")
        return self

    def __exit__(self, *_):
        for one in (self.client, self.server):
            one.process.kill()
            one.process.wait()
        subprocess.run(["ip", "netns", "delete", self.netns], check=True)

    def watch(self):
        self.file = tempfile.NamedTemporaryFile(suffix=".jsonl")
        command = [self.tcpwatch, "--netns", self.netns, "--format", "json"]
        self.log = subprocess.Popen(
            [*command, "--record", self.file.name],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for line in self.log.stderr:
            if "Ctrl-C to stop" in line:
                return

    def until(self, state, times=1):
        """Waits until this many sockets have entered a state."""
        count = lambda: sum(line.get("to") == state for line in self.seen)
        while count() < times:
            line = self.log.stdout.readline()
            assert line, "tcpwatch ended"
            self.seen.append(json.loads(line))

    def until_still(self, times):
        """Waits until this many lines are about sockets that stay in a state."""
        while sum(line["event"] == "still" for line in self.seen) < times:
            line = self.log.stdout.readline()
            assert line, "tcpwatch ended"
            self.seen.append(json.loads(line))

    def keep(self, name):
        self.log.send_signal(2)
        self.seen += map(json.loads, self.log.stdout)
        assert self.log.wait() == 0, self.log.stderr.read()
        text = pathlib.Path(self.file.name).read_text()
        names = set()
        for line in map(json.loads, text.splitlines()[1:]):
            if "record" in line:
                record = bytes.fromhex(line["record"])
                if record[20] in (1, 4):  # changes, and last changes with totals
                    names.add(record[40:56].rstrip(b"\0").decode())
            elif owner := (line.get("known") or line.get("answer") or {}).get("owner"):
                names.add(owner["comm"])
        assert names <= {"client", "server", ""}, f"{name}: strangers {names}"
        assert len(text) < 30_000, f"{name}: {len(text)} bytes"
        again = subprocess.run(
            [self.tcpwatch, "replay", "--format", "json", self.file.name],
            stdout=subprocess.PIPE, check=True, text=True,
        )
        again = [json.loads(line) for line in again.stdout.splitlines()]
        for live, now in itertools.zip_longest(self.seen, again):
            assert live == now, f"{name}: live it was\n{live}\nand replay shows\n{now}"
        (HERE / f"{name}.jsonl").write_text(text)
        print(f"{name}: {len(text)} bytes, {text.count(chr(10))} lines")


# The claims.


def hello(world, address):
    world.server.listen(address)
    world.client.connect(address)
    world.server.accept()
    world.client.send()
    world.server.read()


def client_closes_first_v4(world):
    world.watch()
    hello(world, "127.0.0.1")
    world.client.close()
    world.server.read_end()
    world.server.close()
    world.server.unlisten()
    world.until("TIME_WAIT")
    world.until("CLOSED", 3)  # server's end, listener, TIME_WAIT after a minute


def server_closes_first_v6(world):
    world.watch()
    hello(world, "::1")
    world.server.close()
    world.client.read_end()
    world.client.close()
    world.until("TIME_WAIT")


def connect_is_refused(world):
    world.watch()
    world.client.connect("127.0.0.1")
    world.client.connect("::1")
    world.until("CLOSED", 2)


def server_closes_late(world):
    world.watch()
    hello(world, "127.0.0.1")
    world.client.close()
    world.until("FIN_WAIT_2")
    threading.Event().wait(2.5)  # for the recording to show that it was late
    world.server.close()
    world.until("TIME_WAIT")


def server_closes_soon(world):
    """Too soon for the timer to move to another bucket of the wheel: TIME_WAIT begins in silence."""
    world.watch()
    hello(world, "127.0.0.1")
    world.client.close()
    world.until("FIN_WAIT_2")
    threading.Event().wait(0.2)
    world.server.close()
    world.until("TIME_WAIT")


def shutdown_then_close(world):
    """close() in FIN_WAIT_2 makes the kernel report FIN_WAIT_2 -> FIN_WAIT_2."""
    world.watch()
    hello(world, "127.0.0.1")
    world.client.shutdown()
    world.until("CLOSE_WAIT")
    world.until("FIN_WAIT_2")
    world.client.close()


def client_resets(world):
    world.watch()
    hello(world, "127.0.0.1")
    world.client.abort()
    world.until("CLOSED", 2)
    world.server.close()


def half_open_is_given_up(world):
    world.ip("link", "add", "dev", "here", "type", "veth", "peer", "name", "nowhere")
    world.ip("address", "add", f"{OWN_HOST}/24", "dev", "here")
    for device in ("here", "nowhere"):
        world.ip("link", "set", device, "up")
    world.ip("neighbour", "add", PEER_HOST, "lladdr", "02:00:00:00:00:01", "dev", "here")
    world.sysctl("net.ipv4.conf.all.rp_filter", 0)
    world.sysctl("net.ipv4.conf.lo.rp_filter", 0)
    world.sysctl("net.ipv4.conf.lo.accept_local", 1)
    world.sysctl("net.ipv4.tcp_synack_retries", 1)
    world.watch()
    world.server.listen(OWN_HOST)
    world.client.syn(40000)
    world.until("SYN_RECV")
    world.until("CLOSED")


def older_than_the_recording(world):
    hello(world, "127.0.0.1")
    world.watch()
    world.server.close()
    world.client.read_end()
    world.client.close()
    world.until("CLOSED")


def sockets_stay(world):
    """The client has closed, and the server neither reads nor closes for more than a second."""
    world.watch()
    world.server.listen("127.0.0.1")
    world.client.connect("127.0.0.1")
    world.server.accept()
    world.client.send()
    world.client.close()
    world.until_still(2)
    world.server.close()
    world.server.unlisten()
    world.until("CLOSED", 3)


def both_close_at_once(world):
    """Both send a FIN while nothing gets through."""
    world.watch()
    hello(world, "127.0.0.1")
    world.ip("link", "set", "lo", "down")
    world.client.close()
    world.server.close()
    world.ip("link", "set", "lo", "up")
    world.until("CLOSING")
    world.until("TIME_WAIT")


def much_goes_wrong(world):
    """Retries of all kinds, resets both ways, errors, and lives that end in failure."""
    world.sysctl("net.ipv4.tcp_syn_retries", 1)
    world.sysctl("net.ipv4.tcp_syn_linear_timeouts", 0)
    world.sysctl("net.ipv4.tcp_synack_retries", 1)
    world.watch()
    world.client.connect("127.0.0.1")  # nobody listens yet
    hello(world, "127.0.0.1")
    world.server.deafen()
    world.client.send()
    threading.Event().wait(0.5)
    world.server.hear()
    world.server.read()
    world.server.deafen()
    world.client.close()
    threading.Event().wait(0.5)
    world.server.hear()
    world.server.read_end()
    world.server.close()
    world.until("TIME_WAIT")
    world.client.connect("127.0.0.1")
    world.server.accept()
    world.client.abort()
    world.until("CLOSED", 4)
    world.server.close()
    world.client.connect("127.0.0.1")
    world.server.accept()
    world.client.send()
    world.server.close()  # with data unread
    world.until("CLOSED", 6)
    world.client.close()
    world.client.connect_deaf("127.0.0.1")  # which fails after 3 s
    world.until("CLOSED", 9)  # client and half-open connection, TIME_WAIT after a minute


def sockets_are_used_again(world):
    """A refused connect, a connection that connect() to AF_UNSPEC ends, and one that closes, by one socket."""
    world.watch()
    world.client.connect("127.0.0.1")
    world.server.listen("127.0.0.1")
    world.client.connect_again("127.0.0.1")
    world.server.accept()
    world.client.disconnect()
    world.until("CLOSED", 3)
    world.server.close()
    world.client.connect_again("127.0.0.1")
    world.server.accept()
    world.client.close()
    world.server.read_end()
    world.server.close()
    world.until("TIME_WAIT")
    world.server.unlisten()
    world.server.listen_anywhere()
    world.until("LISTEN", 2)
    world.server.listen_again()
    world.server.unlisten()
    world.until("CLOSED", 7)


def ends_are_used_again(world):
    """The same two ends thrice: the client's TIME_WAIT makes room for its connect(), the server's for a SYN."""
    world.watch()
    world.server.listen("127.0.0.1")
    for first, second in ("client", "server"), ("server", "client"), ("client", "server"):
        world.client.connect_from("127.0.0.1", 40000)
        world.server.accept()
        getattr(world, first).close()
        getattr(world, second).read_end()
        getattr(world, second).close()
        threading.Event().wait(1.2)  # TIME_WAIT is reused after a second (tcp_tw_reuse)
    world.until("TIME_WAIT", 3)


CLAIMS = [
    client_closes_first_v4,
    server_closes_first_v6,
    connect_is_refused,
    server_closes_late,
    server_closes_soon,
    shutdown_then_close,
    client_resets,
    half_open_is_given_up,
    older_than_the_recording,
    sockets_stay,
    both_close_at_once,
    much_goes_wrong,
    sockets_are_used_again,
    ends_are_used_again,
]


def main(tcpwatch, *names):
    for claim in CLAIMS:
        name = claim.__name__
        if names and name not in names:
            continue
        with World(name, tcpwatch) as world:
            claim(world)
            world.keep(name)


if __name__ == "__main__":
    if sys.argv[1] == "--actor":
        actor(sys.argv[2])
    else:
        main(*sys.argv[1:])
