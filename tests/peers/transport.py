"""Sextant against a real Triton over ways other than plain TCP."""

import os
import subprocess
import sys
import tempfile

from processes import HERE, Run, expect, parameters, parse_report, real_triton, tensors

MODEL = "delayed_identity"


def _certificates(folder):
    """ca.pem, and server and client certificates that it has signed, with their keys."""

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *key, "-days", "2", "-subj", "/CN=authority", "-keyout", "ca.key",
            "-out", "ca.pem")
    with open(os.path.join(folder, "names"), "w") as file:
        file.write("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    for name in "server", "client":
        openssl("req", *key, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out",
                f"{name}.csr")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                "-CAcreateserial", "-days", "2", "-extfile", "names", "-out", f"{name}.pem")


def tritons_grpc_under_tls(sextant):
    """Triton's own TLS, which wants the client's certificate too."""
    config = tensors("TYPE_FP32", 16) + parameters(delay_ms=1)
    model = os.path.join(HERE, "delayed_identity.py")
    with tempfile.TemporaryDirectory(prefix="sextant_peers_") as folder:
        _certificates(folder)

        def file(name):
            return os.path.join(folder, name)

        flags = ["--grpc-use-ssl=1", "--grpc-use-ssl-mutual=1",
                 f"--grpc-server-cert={file('server.pem')}",
                 f"--grpc-server-key={file('server.key')}", f"--grpc-root-cert={file('ca.pem')}"]
        with real_triton({MODEL: config}, model, flags) as server:
            command = [sextant, "perf", "-m", MODEL, "-i", "grpc", "-u",
                       f"127.0.0.1:{server.ports['grpc']}", "--ssl-grpc-use-ssl",
                       "--ssl-grpc-root-certifications-file", file("ca.pem")]
            refused = Run(command).wait()
            text = refused.text
            print(f"  without a certificate: {text.strip().splitlines()[-1]}")
            expect(refused.exit_code == 1, f"exit code {refused.exit_code} without a certificate")
            expect("wants a client's certificate" in text, "the reason is not named")
            measured = Run([*command, "--ssl-grpc-certificate-chain-file", file("client.pem"),
                            "--ssl-grpc-private-key-file", file("client.key"), "--requests",
                            "500", "--concurrency-range", "4"]).wait()
            print(measured.text)
            expect(measured.exit_code == 0, f"exit code {measured.exit_code}")
            expect(parse_report(measured.text)[0]["requests"] == 500, "not all requests were answered")


TOKEN = "eyJhbGciOiJIUzI1NiJ9.c2V4dGFudA.do-not-show-me"


def secrets_over_grpc(sextant):
    """No token is written anywhere, whatever a server repeats of it."""
    # A process of its own: one that serves gRPC must not fork.
    guard = subprocess.Popen([sys.executable, os.path.join(HERE, "grpc_guard.py"), TOKEN],
                             stdout=subprocess.PIPE, text=True)
    try:
        _check_secrets(sextant, *guard.stdout.readline().split())
    finally:
        guard.terminate()
        guard.wait()


def _check_secrets(sextant, open_port, refusing_port, closed_port):
    with tempfile.TemporaryDirectory(prefix="sextant_peers_") as folder:

        def file(name, text=None):
            path = os.path.join(folder, name)
            if text is not None:
                with open(path, "w") as out:
                    out.write(text)
            return path

        token = file("in.token", TOKEN + "\n")
        headers = file("in.headers", f"Authorization: Bearer {TOKEN}\n")
        child = (f"cat {token}; cat /proc/$$/cmdline > {file('child.cmdline')}; "
                 f"cat /proc/$$/environ > {file('child.environ')}")
        sources = [["--token-file", token], ["--token-command", child],
                   ["--header-file", headers], ["-H", f"Authorization: Bearer {TOKEN}"]]

        def measure(port, source, more):
            result = Run([sextant, "perf", "-m", "m", "-i", "grpc", "-u", f"127.0.0.1:{port}",
                          "--requests", "20", "--warmup", "0", "--workers", "1", "--progress",
                          "json", "--output", file("run.jsonl"), "-f", file("report.csv"), *source,
                          *more]).wait()
            written = {"the output": result.text}
            for name in os.listdir(folder):
                if not name.startswith("in."):
                    with open(file(name), errors="replace") as out:
                        written[name] = out.read()
            for name, text in written.items():
                # Nor its beginning, where a text was cut.
                expect(TOKEN[:12] not in text, f"the token of {source[0]} is in {name}: {text}")
            return result

        for source in sources:
            for more in [], ["--streaming"]:
                measured = measure(open_port, source, more)
                expect(measured.exit_code == 0, f"{source[0]}: {measured.text}")
                refused = measure(refusing_port, source, more)
                expect("who is this?" in refused.text, f"what the server said is not shown: "
                       f"{refused.text}")
                stopped = measure(closed_port, source, more)
                expect(stopped.exit_code != 0, f"a refusal ends with {stopped.exit_code}: "
                       f"{stopped.text}")
            print(f"  {source[0]}: nowhere")
        expect(os.path.getsize(file("child.cmdline")) > 0, "the command did not run")


CASES = {"tritons_grpc_under_tls": tritons_grpc_under_tls, "secrets_over_grpc": secrets_over_grpc}
