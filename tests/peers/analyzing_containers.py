"""`sextant analyze --launch container` with a real podman and a real Triton in the container.

No registry of images is reached: the image has nothing but directories, and this machine's /usr,
Triton and Python are mounted into it."""

import contextlib
import io
import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
import uuid

from analyzing import KNOWN, MARK, MODEL, analyze, command, marked, write_models
from processes import HERE, Failure, Run, Unable, expect, near, wait_until

IMAGE = "localhost/sextant-peers:1"
LABEL = "sextant=analyze"


def _bare_image(path):
    """Directories, and links into a /usr that is to come."""
    with tarfile.open(path, "w") as tar:
        for name in "usr", "etc", "tmp", "proc", "sys", "dev", "run", "opt", "var":
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(folder)
        for name in "bin", "sbin", "lib", "lib64":
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, f"usr/{name}"
            tar.addfile(link)
        about = tarfile.TarInfo("etc/made-for")
        text = b"tests of sextant analyze\n"
        about.size = len(text)
        tar.addfile(about, io.BytesIO(text))


class Podman:
    """An engine with a storage of its own, so that nothing of this machine's is touched."""

    def __init__(self, folder):
        self.command = ["podman", "--root", os.path.join(folder, "storage"), "--runroot",
                        os.path.join(folder, "state"), "--runtime", "runc", "--storage-driver",
                        "vfs", "--cgroup-manager", "cgroupfs"]  # fmt: skip
        # What can be installed must be there; what a machine forbids nobody can help.
        if shutil.which("podman") is None:
            missing = "there is no podman: scripts/setup.sh --tests installs it"
            required = os.environ.get("SEXTANT_REQUIRE_PEERS") == "1"
            raise Failure(missing) if required else Unable(missing)
        image = os.path.join(folder, "image.tar")
        _bare_image(image)
        self.deps = os.environ.get("SEXTANT_DEPS", os.path.expanduser("~/.cache/sextant"))
        self.tools = os.path.join(folder, "tools")
        os.mkdir(self.tools)
        wrapper = os.path.join(self.tools, "tritonserver")
        with open(wrapper, "w") as file:
            file.write(f'#!/bin/bash\nexec "{HERE}/triton.sh" "$@"\n')
        os.chmod(wrapper, 0o755)
        try:
            self.say("import", image, IMAGE)
            self.say("run", "--rm", "--network", "host", *self.arguments(), IMAGE, "true")
        except (OSError, Failure) as fault:
            raise Unable(f"podman with runc, as root: {fault}") from fault

    def say(self, *words):
        done = subprocess.run([*self.command, *words], capture_output=True, text=True, timeout=60)
        expect(done.returncode == 0, f"podman {' '.join(words)}: {done.stderr}")
        return done.stdout.strip()

    def containers(self):
        return self.say("ps", "--all", "--quiet").split()

    def arguments(self, mounts=None):
        """Of a run. Not everyone may raise the limits that podman sets by itself."""
        if mounts is None:
            mounts = ["/usr", self.deps, HERE, self.tools]
        return [
            "--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024", f"--env={MARK}",
            f"--env=SEXTANT_DEPS={self.deps}", f"--env=PATH={self.tools}:/usr/bin:/bin",
            *(f"--volume={folder}:{folder}:ro" for folder in mounts),
        ]  # fmt: skip

    def launch(self, mounts=None):
        return ["--launch", "container", "--image", IMAGE, "--container-engine",
                " ".join(self.command),
                *(f"--container-argument={a}" for a in self.arguments(mounts))]  # fmt: skip


@contextlib.contextmanager
def _podman():
    with tempfile.TemporaryDirectory(prefix="sextant_peers_") as folder:
        engine = Podman(folder)
        try:
            yield engine, folder
        finally:
            for container in engine.containers():
                engine.say("rm", "--force", "--time", "0", container)


def measures_in_a_container(sextant):
    """The sweep names what is best by construction, with figures of the processes inside."""
    with _podman() as (engine, folder):
        options = ["--set", "instance_group.count=2,3", "--set", "max_batch_size=4", "-c", 16]
        _, results = analyze(sextant, folder, *options, launch=engine.launch())
        best = results["ranking"][0]
        right = {"instance_group.count": KNOWN["best_instances"], "max_batch_size": 4}
        expect(best["settings"] == right and best["standing"] == "wins", f"named {best}")
        near("throughput", best["figures"]["throughput"]["value"], 2 * 4 / 0.028, 0.2)
        for point in results["points"]:
            cpu = point["figures"]["cpu_server"]["value"]
            memory = point["figures"]["memory_server"]["value"]
            print(f"{point['configuration']}: {cpu:.3f} cores, {memory / 2**20:.0f} MiB")
            # The engine's client has neither; Triton and a Python for each instance have.
            expect(0.002 < cpu < 4, f"cores of the server: {cpu}")
            expect(15 * 2**20 < memory < 2**31, f"memory of the server: {memory}")
        expect(not engine.containers(), "a container is left")


def _refusal(sextant, folder, launch):
    done = Run(command(sextant, folder, *launch, "-c", 1)).wait(50)
    print(done.text)
    expect(done.exit_code == 1, f"exit code {done.exit_code}")
    return done.text


def probes_the_directories(sextant):
    """What a container does not see or cannot do is said before anything is measured."""
    with _podman() as (engine, folder):
        write_models(os.path.join(folder, "models"))
        # Nothing to read with.
        text = _refusal(sextant, folder, engine.launch(mounts=[engine.tools]))
        expect("no `cat` in it" in text, "the missing program is not named")
        # A model's file that lies where the container sees nothing.
        elsewhere = os.path.join(folder, "elsewhere.py")
        shutil.copy(os.path.join(HERE, "python_models", "known_best.py"), elsewhere)
        python = os.path.join(folder, "models", MODEL, "1", "model.py")
        config = os.path.join(folder, "models", MODEL, "config.pbtxt")
        text_of_config = os.path.join(folder, "config.pbtxt")
        os.rename(config, text_of_config)
        os.symlink(text_of_config, config)
        os.remove(python)
        os.symlink(elsewhere, python)
        text = _refusal(sextant, folder, engine.launch())
        expect(f"leads to '{text_of_config}'" in text and "--volume=DIR:DIR:ro" in text, "no remedy")
        # No such image, and nowhere to have it from.
        launch = [w.replace(IMAGE, "localhost/none:1") for w in engine.launch()]
        text = _refusal(sextant, folder, launch)
        expect("fetches it" in text and "cannot be fetched" in text, "the image is not named")
        # The engine itself does not work.
        text = _refusal(sextant, folder, [*engine.launch(), "--container-argument=--no-such"])
        expect("cannot run a container" in text and "--no-such" in text, "no word of the engine")
        expect(not engine.containers(), "a container is left")


def is_guarded(sextant):
    """Killed by force, it takes its container along; what is killed with its guard is removed by
    the next start."""
    with _podman() as (engine, folder), contextlib.ExitStack() as started:
        write_models(os.path.join(folder, "models"))
        os.environ[MARK] = mark = uuid.uuid4().hex
        options = [*engine.launch(), "--set", "instance_group.count=1..4", "-c", "1,2,4,8"]
        labelled = ["ps", "--quiet", "--filter", f"label={LABEL}"]

        def start(others=()):
            run = Run(command(sextant, folder, *options))
            started.callback(run.kill)
            new = lambda: set(engine.say(*labelled).split()) - set(others)
            wait_until("a container of its own", new, 30)
            guards = [pid for pid, line in marked(mark).items() if line.startswith("sh -c read")]
            expect(len(guards) == 1, f"guards: {guards} of {marked(mark)}")
            return run, guards[0]

        run, _ = start()
        begin = time.monotonic()
        run.kill()
        wait_until("the container is gone", lambda: not engine.containers(), 20)
        print(f"gone after {time.monotonic() - begin:.1f} s")
        wait_until("no process is left", lambda: not marked(mark), 10)

        run, guard = start()
        os.kill(guard, signal.SIGKILL)
        run.kill()
        orphans = engine.containers()
        expect(len(orphans) == 1, f"containers: {orphans}")
        run, _ = start(orphans)
        print(f"{orphans} were left, now there are {engine.containers()}")
        expect(not set(orphans) & set(engine.containers()), "the orphan is still there")
        run.interrupt()
        run.wait(40)
        expect(run.exit_code == 130, f"exit code {run.exit_code}:\n{run.text}")
        expect(not engine.containers(), "a container is left")
        wait_until("no process is left", lambda: not marked(mark), 10)


CASES = {
    "analyze_in_a_container": measures_in_a_container,
    "analyze_container_probes": probes_the_directories,
    "analyze_container_guard": is_guarded,
}
