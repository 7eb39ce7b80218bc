"""Google's two emulators as processes: their command lines and readiness probes.

They are started as plain `java`, not with gcloud, whose wrapper does not end the JVM when it is
stopped.
"""

from collections.abc import Callable
from pathlib import Path

from local_stack.emulators.jars import FIRESTORE, PUBSUB, EmulatorJar, find_jar
from local_stack.emulators.java import find_java
from local_stack.firestore_proxy.exports import FIRESTORE_OWNER
from local_stack.loopback import LOOPBACK
from local_stack.processes.child_process import ProcessSpec
from local_stack.processes.probes import all_of, listens_on, responds_ok

# One GC thread and only the C1 compiler halve the start time of the JVMs. Firestore's emulator
# keeps every version of every document, about 30 kB per finished task: with a heap of half a
# gigabyte it stops responding at 14,000 tasks.
_JVM_FLAGS = (
    *("-Xmx2g", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Duser.language=en"),
    # A JVM without memory hangs for minutes; one that has exited is restarted or reported.
    "-XX:+ExitOnOutOfMemoryError",
)


def pubsub_emulator(
    *, port: int, project_id: str, java: Path | None = None, notify: Callable[[str], None] = lambda _: None
) -> ProcessSpec:
    """The Pub/Sub emulator. It keeps everything in memory and nothing on disk.

    Its REST interface connects to `localhost`, so it cannot listen at another address.
    """
    return ProcessSpec(
        name="pubsub-emulator",
        argv=(*_java(find_jar(PUBSUB, notify=notify), java), f"--host={LOOPBACK}", f"--port={port}"),
        why_not_ready=all_of(
            responds_ok(f"http://{LOOPBACK}:{port}/v1/projects/{project_id}/topics"), listens_on(port)
        ),
    )


def firestore_emulator(
    *,
    host: str,
    port: int,
    websocket_port: int,
    project_id: str,
    rules: Path | None,
    exported: Path | None = None,
    java: Path | None = None,
    notify: Callable[[str], None] = lambda _: None,
    renew: Callable[[], ProcessSpec] | None = None,
) -> ProcessSpec:
    """The Firestore emulator, with the documents of an export's metadata file (`exported`).

    `renew` creates the spec of a restart; without it the process is not restarted. It is ready when
    a read succeeds: with invalid rules the emulator starts but rejects every request.
    """
    arguments = [f"--host={host}", f"--port={port}", f"--websocket_port={websocket_port}"]
    if rules is not None:
        arguments.append(f"--rules={rules}")
    if exported is not None:
        arguments.append(f"--import-data={exported}")
    documents = f"http://{host}:{port}/v1/projects/{project_id}/databases/(default)/documents"
    return ProcessSpec(
        name="firestore-emulator",
        argv=(*_java(find_jar(FIRESTORE, notify=notify), java), *arguments),
        why_not_ready=all_of(
            responds_ok(f"{documents}/readiness", FIRESTORE_OWNER, permanent_errors=frozenset({400})),
            listens_on(port),
        ),
        restarts=renew is not None,
        renew=renew,
    )


def _java(jar: EmulatorJar, given: Path | None) -> tuple[str, ...]:
    java = find_java(at_least=jar.java_needed, given=given)
    return (str(java), *_JVM_FLAGS, "-cp", str(jar.path), jar.main_class)
