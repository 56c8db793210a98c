"""The programs of `gateway_against_peers`: how each is configured, started, pinned and watched."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.benchmarks.debian import Programs
from tests.benchmarks.gateway_program import AUDIENCE, CONSUMER, ISSUER, QUOTA, SECONDS
from tests.serving import free_port

PATH = "/things/v1/things"
ANSWER = msgspec.json.encode({"things": [{"id": f"thing-{n}", "quantity": n} for n in range(8)]})
_PATIENCE = 30.0
_TICKS = os.sysconf("SC_CLK_TCK")


class Key:
    """The issuer's key: signs the callers' token, and is known to every program under test."""

    def __init__(self, folder: Path) -> None:
        made = RSAKey.generate_key(2048, {"kid": "bench", "use": "sig", "alg": "RS256"})
        self.jwks = folder / "jwks"
        self.jwks.write_bytes(msgspec.json.encode({"keys": [made.as_dict(private=False)]}))
        self.public = folder / "public.pem"
        self.public.write_bytes(made.as_pem(private=False))
        now = int(time.time())
        claims = {
            "iss": ISSUER, "sub": CONSUMER, "client_id": CONSUMER, "aud": AUDIENCE,
            "scope": "things:read", "jti": "bench-1", "iat": now, "exp": now + 86_400,
        }  # fmt: skip
        header = {"alg": "RS256", "typ": "at+jwt", "kid": "bench"}
        self.token = jwt.encode(header, claims, made)


class Running:
    """A started program, pinned to one core."""

    def __init__(
        self, name: str, process: "subprocess.Popen[bytes]", port: int, *, seconds: float
    ) -> None:
        self.name = name
        self.seconds_to_listen = seconds
        self.process = process
        self.port = port

    @property
    def url(self) -> str:
        """What is asked for."""
        return f"http://127.0.0.1:{self.port}{PATH}"

    @property
    def cpu_seconds(self) -> float:
        """Seconds of CPU it has used, user and system, all its threads."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    @property
    def resident_kib(self) -> int:
        """KiB of memory it holds."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        lines = (line.split() for line in status.splitlines())
        return next(int(each[1]) for each in lines if each[0] == "VmRSS:")

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Bench:
    """Starts the programs, each with its own folder of configuration and logs."""

    def __init__(self, programs: Programs, folder: Path) -> None:
        self._programs = programs
        self._folder = folder
        self.key = Key(folder)
        cores = sorted(os.sched_getaffinity(0))
        self.tested, self.around = cores[0], cores[-1]
        self._all: list[Running] = []

    def start(self, name: str, command: Sequence[str], port: int, core: int) -> Running:
        """Start a program on a core and wait until it listens."""
        log = (self._folder / f"{name}.log").open("wb")
        process = subprocess.Popen(
            ["taskset", "-c", str(core), *command],
            env=dict(self._environment(command[0])), stdout=log, stderr=log,
        )  # fmt: skip
        began = time.monotonic()
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > began + _PATIENCE:
                process.kill()
                said = (self._folder / f"{name}.log").read_text()[-2000:]
                raise SystemExit(f"{name} does not listen: {said}")
            time.sleep(0.01)
        running = Running(name, process, port, seconds=time.monotonic() - began)
        self._all.append(running)
        return running

    def _environment(self, program: str) -> Mapping[str, str]:
        ours = program == sys.executable
        return os.environ if ours else self._programs.environment()

    def backend(self) -> Running:
        """Nginx with one answer, the issuer's keys and a place for spans, beside the load."""
        port = free_port()
        say = f"""
            location = {PATH} {{ default_type application/json; return 200 '{ANSWER.decode()}'; }}
            location = /jwks {{ default_type application/json; root {self._folder}; }}
            location = /v1/traces {{ return 200; }}
        """
        return self._nginx("backend", port, say, access="off", core=self.around)

    def nginx(self, backend: Running) -> Running:
        """Nginx as a proxy with a rate limit; open-source nginx knows no JWT."""
        port = free_port()
        say = """
            location / {
                limit_req zone=callers burst=1000000 nodelay;
                proxy_http_version 1.1;
                proxy_set_header Connection "";
                proxy_pass http://backend;
            }
        """
        before = f"""
            limit_req_zone $http_authorization zone=callers:10m rate={QUOTA // SECONDS}r/s;
            upstream backend {{
                server 127.0.0.1:{backend.port} max_fails=5 fail_timeout=2s;
                keepalive 256;
            }}
        """
        log = str(self._folder / "nginx-access.log")
        return self._nginx("nginx", port, say, access=log, core=self.tested, before=before)

    def _nginx(
        self, name: str, port: int, say: str, *, access: str, core: int, before: str = ""
    ) -> Running:
        folder = self._folder / name
        folder.mkdir()
        temporary = "".join(
            f"{kind}_temp_path {folder};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (folder / "nginx.conf").write_text(f"""
            daemon off; master_process off; worker_processes 1; pid {folder}/pid;
            error_log {folder}/error.log;
            events {{ worker_connections 4096; }}
            http {{
                access_log {access}; {temporary}
                keepalive_requests 100000000; keepalive_timeout 600s;
                {before}
                server {{ listen 127.0.0.1:{port} backlog=2048; {say} }}
            }}
        """)
        command = [self._programs.nginx, "-p", str(folder), "-e", f"{folder}/error.log",
                   "-c", f"{folder}/nginx.conf"]  # fmt: skip
        return self.start(name, command, port, core)

    def haproxy(self, backend: Running) -> Running:
        """HAProxy: RS256 and the claims, a rate of each consumer, failing servers, a record."""
        port = free_port()
        file = self._folder / "haproxy.cfg"
        file.write_text(HAPROXY.format(
            port=port, backend=backend.port, public=self.key.public, issuer=ISSUER,
            audience=AUDIENCE, quota=QUOTA, seconds=SECONDS,
        ))  # fmt: skip
        command = [self._programs.haproxy, "-db", "-f", str(file)]
        return self.start("haproxy", command, port, self.tested)

    def ours(self, kind: str, backend: Running) -> Running:
        """Our gateway (`full`), with traces (`traced`), or our forwarder alone (`bare`)."""
        port = free_port()
        folder = self._folder / kind
        folder.mkdir()
        command = [sys.executable, "-m", "tests.benchmarks.gateway_program", kind, str(port),
                   f"http://127.0.0.1:{backend.port}", str(folder)]  # fmt: skip
        return self.start(kind, command, port, self.tested)

    def stop(self) -> None:
        """End everything."""
        for each in reversed(self._all):
            each.stop()


HAPROXY = """
global
    nbthread 1
    maxconn 8192
    log stdout format raw local0 info

defaults
    mode http
    log global
    option httplog
    option dontlognull
    timeout connect 2s
    timeout client 600s
    timeout server 10s
    timeout http-keep-alive 600s
    timeout http-request 3s

backend quotas
    stick-table type string len 64 size 100k expire {seconds}s store http_req_rate({seconds}s)

frontend front
    bind 127.0.0.1:{port} backlog 2048
    http-request deny deny_status 401 unless {{ req.hdr(authorization) -m found }}
    http-request set-var(txn.token) http_auth_bearer
    http-request set-var(txn.alg) var(txn.token),jwt_header_query('$.alg')
    http-request set-var(txn.iss) var(txn.token),jwt_payload_query('$.iss')
    http-request set-var(txn.aud) var(txn.token),jwt_payload_query('$.aud')
    http-request set-var(txn.exp) var(txn.token),jwt_payload_query('$.exp','int')
    http-request set-var(txn.client) var(txn.token),jwt_payload_query('$.client_id')
    http-request set-var(txn.scope) var(txn.token),jwt_payload_query('$.scope')
    http-request set-var(txn.now) date()
    http-request deny deny_status 401 unless {{ var(txn.alg) -m str RS256 }}
    http-request deny deny_status 401 unless {{ var(txn.token),jwt_verify(txn.alg,"{public}") 1 }}
    http-request deny deny_status 401 unless {{ var(txn.iss) -m str {issuer} }}
    http-request deny deny_status 401 unless {{ var(txn.aud) -m str {audience} }}
    http-request deny deny_status 401 if {{ var(txn.exp),sub(txn.now) -m int lt 0 }}
    http-request deny deny_status 403 unless {{ var(txn.scope) -m sub things:read }}
    http-request track-sc0 var(txn.client) table quotas
    http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt {quota} }}
    http-request set-header x-crossdock-consumer %[var(txn.client)]
    http-request del-header authorization
    default_backend behind

backend behind
    http-reuse always
    default-server maxconn 256 check inter 2s observe layer7 error-limit 5 on-error mark-down
    server one 127.0.0.1:{backend}
"""


def _listens(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def refusals(bench: Bench, running: Running) -> dict[str, Any]:
    """What a program answers to a good token, to a broken one and to none."""
    head, _, signature = bench.key.token.rpartition(".")
    forged = f"{head}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}"
    return {
        "good": asked(running, bench.key.token),
        "forged": asked(running, forged),
        "none": asked(running, None),
    }


def asked(running: Running, token: str | None) -> int:
    """The status of one call."""
    request = urllib.request.Request(running.url)
    if token is not None:
        request.add_header("authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        return refused.code
