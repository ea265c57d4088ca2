"""Sextant against a real Triton over ways other than plain TCP."""

import os
import subprocess
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


CASES = {"tritons_grpc_under_tls": tritons_grpc_under_tls}
