"""Every honoured key, read back: inside the running container where a program could notice it, else by inspection.

`keys/` carries all keys on as few containers as can, and comes up once; each row and each test names what it shows.
"""

from __future__ import annotations

import contextlib
import functools
from pathlib import Path

import docker
import pytest

from envspin import Environment
from envspin.engine.base import NetworkSpec, VolumeSpec
from envspin.errors import EnvspinError, ImageError, NotReadyError
from envspin.run import naming
from envspin.topology.extension import UNBUILT
from envspin.topology.keys import SERVICE_EXTENSION_KEYS
from envspin.topology.service import READERS
from tests.contract.images import TESTBOX

HERE = Path(__file__).parent / "keys"
SHOWN: set[str] = set()
"""Keys that a test below shows; filled while this file is read."""

pytestmark = pytest.mark.engine


def shows(*keys: str):
    """Note that a test shows these keys."""
    SHOWN.update(keys)
    return lambda test: test


@pytest.fixture(scope="module")
def client(real_engine):
    """The engine itself, without envspin between."""
    with contextlib.closing(docker.APIClient(base_url=real_engine.info().address)) as opened:
        yield opened


@pytest.fixture(scope="module")
def env(real_engine, client):
    """The environment of `keys/`."""
    environ = {
        "KEYS_CONFIG": "a = 1",
        "KEYS_PASSED": "passed on",
        "KEYS_PLATFORM": real_engine.find_image(TESTBOX).platform,
        "KEYS_SECRET": "from a variable",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environ.items():
            patch.setenv(name, value)
        with Environment.up(HERE, engine=real_engine, stub=["stubbed"], profiles=["asked-for"]) as environment:
            unwanted = [environment[name].image for name in ("stopping", "slow")]
            yield environment
    for image in unwanted:  # made anew by every run, so nobody will use them again
        client.remove_image(image, force=True)
    assert [each.name for each in real_engine.list_resources({naming.ENV: environment.name})] == []


def run(env, service: str, line: str) -> str:
    """Return what a shell in a service's container prints."""
    return env[service].exec(["sh", "-c", line]).output.replace("\r\n", "\n").rstrip("\n")


def read_cgroup(old: str, new: str) -> str:
    """Return the command that prints the first word of a limit, by either version of control groups."""
    return f"cd /sys/fs/cgroup; cat {old} 2>/dev/null || cut -d' ' -f1 {new}"


def read_mount(target: str, option: str) -> str:
    """Return the command that prints the options of a mount that begin so."""
    return f"grep ' {target} ' /proc/mounts | cut -d' ' -f4 | tr , '\\n' | grep '^{option}'"


def has_capability(number: int) -> str:
    return f"echo $(( (0x$(grep CapBnd /proc/1/status | cut -f2) >> {number}) & 1 ))"


MEMORY = read_cgroup("memory/memory.limit_in_bytes", "memory.max")
RESERVED = read_cgroup("memory/memory.soft_limit_in_bytes", "memory.low")
PROCESSORS = read_cgroup("cpu/cpu.cfs_quota_us", "cpu.max")
PROCESSES = read_cgroup("pids/pids.max", "pids.max")
ARGUMENTS = "tr '\\0' '\\n' < /proc/1/cmdline"
SECCOMP = "grep Seccomp: /proc/1/status | cut -f2"
SHARED_MEMORY = "grep -c ' /dev/shm ' /proc/mounts"
FILE = "stat -c '%a %u %g'"

INSIDE = [
    ("image", "person", "head -c 3 /serve.py", '"""'),
    ("command", "files", f"{ARGUMENTS} | tail -2", "--listen\n8000"),
    ("entrypoint", "files", f"{ARGUMENTS} | head -2", "python3\n-u"),
    ("user", "person", "id -u; id -g", "1234\n2345"),
    ("group_add", "person", "id -G", "2345 3456"),
    ("hostname", "person", "hostname", "person-host"),
    ("domainname", "person", "cat /proc/sys/kernel/domainname", "example.test"),
    ("working_dir", "person", "pwd", "/var/tmp"),
    ("environment", "person", 'echo "$OVER,$EMPTY,$KEYS_PASSED"', "environment,,passed on"),
    ("env_file", "person", 'echo "$FIRST,$QUOTED,$RAW"', 'file,a b,"a b"'),
    ("extends", "child", 'echo "$FROM,$WHOSE"', "parent,child's own"),
    ("init", "person", f"{ARGUMENTS} | head -1 | grep -o init", "init"),
    ("init absent", "files", f"{ARGUMENTS} | head -1 | grep -o init", ""),
    ("ulimits", "limits", "ulimit -Sn; ulimit -Hn; ulimit -c", "123\n456\n0"),
    ("sysctls", "limits", "cat /proc/sys/net/ipv4/ip_unprivileged_port_start", "77"),
    ("shm_size", "limits", read_mount("/dev/shm", "size"), "size=12288k"),
    ("mem_limit", "limits", MEMORY, str(64 << 20)),
    ("mem_reservation", "limits", RESERVED, str(32 << 20)),
    ("cpus", "limits", PROCESSORS, "50000"),
    ("pids_limit", "limits", PROCESSES, "50"),
    ("cap_add", "limits", has_capability(12), "1"),
    ("cap_add absent", "files", has_capability(12), "0"),
    ("cap_drop", "limits", has_capability(0), "0"),
    ("cap_drop absent", "files", has_capability(0), "1"),
    ("security_opt", "limits", SECCOMP, "0"),
    ("security_opt absent", "files", SECCOMP, "2"),
    ("deploy.resources.limits.memory", "deployed", MEMORY, str(48 << 20)),
    ("deploy.resources.limits.cpus", "deployed", PROCESSORS, "25000"),
    ("deploy.resources.limits.pids", "deployed", PROCESSES, "60"),
    ("deploy.resources.reservations.memory", "deployed", RESERVED, str(24 << 20)),
    ("healthcheck.test as text", "limits", "ls /tmp/checked", "/tmp/checked"),
    ("healthcheck.test CMD", "deployed", "ls /tmp/checked", "/tmp/checked"),
    ("healthcheck.test CMD-SHELL", "names", "wc -l < /shared/checks", "3"),
    ("healthcheck.timeout", "outer", "ls /tmp/once", "/tmp/once"),
    ("dns_search", "names", "grep ^search /etc/resolv.conf", "search example.test"),
    ("dns_opt", "names", "grep -o 'ndots:3' /etc/resolv.conf", "ndots:3"),
    ("extra_hosts", "names", "grep elsewhere /etc/hosts", "192.0.2.7\telsewhere"),
    ("extra_hosts v6", "names", "grep six /etc/hosts", "2001:db8::7\tsix"),
    ("networks", "outer", "ls -d /sys/class/net/eth*", "/sys/class/net/eth0\n/sys/class/net/eth1"),
    ("networks.aliases", "outer", "getent hosts entrance | grep -o entrance", "entrance"),
    ("networks.driver_opts", "outer", "cat /sys/class/net/eth*/mtu | sort", "1400\n1500"),
    ("network_mode", "alone", "ls /sys/class/net", "lo"),
    ("links", "follower", "getent hosts safe | grep -o safe", "safe"),
    ("scale", "person", "getent ahostsv4 on-request | grep -c STREAM", "2"),
    ("ipc", "alone", SHARED_MEMORY, "0"),
    ("read_only", "vault", "touch /anywhere 2>/dev/null || echo no", "no"),
    ("tmpfs size", "vault", read_mount("/quick", "size"), "size=1024k"),
    ("tmpfs mode", "vault", "stat -c %a /quick", "1770"),
    ("tmpfs ro", "vault", read_mount("/still", "ro"), "ro"),
    ("volumes named", "files", "echo x > /data/x; cat /data-fixed/x /data-long/x", "x\nx"),
    ("volumes ro", "files", read_mount("/data-fixed", "r[ow]"), "ro"),
    ("volumes.read_only", "files", read_mount("/data-long", "r[ow]"), "ro"),
    ("volumes nocopy", "files", "ls /etc/apt", ""),
    ("volumes.volume.nocopy", "files", "ls /etc/dpkg", ""),
    ("volumes nocopy absent", "files", "ls /etc/security | grep limits.conf", "limits.conf"),
    ("volumes driver_opts", "files", read_mount("/sized", "size"), "size=3072k"),
    ("volumes anonymous", "files", "grep -c ' /scratch' /proc/mounts", "2"),
    ("volumes bind", "files", "cat /here/note.txt; test -w /here && echo may", "a note\nmay"),
    ("volumes bind ro", "files", "cat /here-fixed/note.txt; test -w /here-fixed || echo not", "a note\nnot"),
    ("volumes bind of a file", "files", "cat /note.txt; test -w /note.txt || echo not", "a note\nnot"),
    ("volumes.tmpfs.size", "files", read_mount("/quick", "size"), "size=1024k"),
    ("volumes.tmpfs.mode", "files", "stat -c %a /quick", "700"),
    ("secrets.file", "files", "cat /run/secrets/from-file", "from a file"),
    ("secrets defaults", "files", f"{FILE} /run/secrets/from-file", "444 0 0"),
    ("secrets.environment", "files", "cat /run/secrets/renamed", "from a variable"),
    ("secrets.uid gid mode", "files", f"{FILE} /run/secrets/renamed", "400 7 8"),
    ("secrets read-only root", "vault", "cat /run/secrets/from-file", "from a file"),
    ("configs.content", "files", "cat /inline", "colour = passed on"),
    ("configs.environment", "files", "cat /etc/app/app.ini", "a = 1"),
    ("configs.uid gid mode", "files", f"{FILE} /etc/app/app.ini", "440 7 8"),
    ("configs.file", "files", "cat /from-file", "a note"),
    ("build.args and target", "built", "cat /arguments", "blue passed on"),
    ("build.extra_hosts", "built", "grep elsewhere /build-hosts", "192.0.2.9\telsewhere"),
    ("build.shm_size", "built", "grep -o 'size=[0-9]*k' /build-shm", "size=9216k"),
    ("build.context", "inline", "cat /note.txt", "copied"),
    ("build.network", "inline", "cat /interfaces", "lo"),
]
"""Key, service, a line for its shell, and what that prints."""
SHOWN.update(key.partition(" ")[0].partition(".")[0] for key, *_ in INSIDE)


@pytest.mark.parametrize(("key", "service", "line", "printed"), INSIDE, ids=[row[0] for row in INSIDE])
def test_a_program_in_the_container_notices(env, key, service, line, printed):
    assert run(env, service, line) == printed


INSPECTED = [
    ("tty", "person", "Config.Tty", True),
    ("tty absent", "files", "Config.Tty", False),
    ("stdin_open", "person", "Config.OpenStdin", True),
    ("ipc shareable", "person", "HostConfig.IpcMode", "shareable"),
    ("labels", "person", "Config.Labels.team", "payments"),
    ("stop_signal", "stopping", "Config.StopSignal", "SIGUSR1"),
    ("stop_grace_period", "stopping", "Config.StopTimeout", 1),
    ("dns", "names", "HostConfig.Dns", ["192.0.2.53"]),
    ("healthcheck is ours", "limits", "Config.Healthcheck.Test", ["NONE"]),
    ("healthcheck NONE", "built", "Config.Healthcheck.Test", ["NONE"]),
]
"""Key, service, a path in the engine's description of its container, and what stands there."""
SHOWN.update(key.partition(" ")[0] for key, *_ in INSPECTED)


@pytest.mark.parametrize(("key", "service", "path", "value"), INSPECTED, ids=[row[0] for row in INSPECTED])
def test_the_engine_holds(env, client, key, service, path, value):
    document = client.inspect_container(env[service].container_id)
    assert functools.reduce(lambda node, step: node[step], path.split("."), document) == value


@shows("ports", "expose")
def test_ports_are_published_on_loopback_and_those_under_expose_too(env, client):
    assert {*env["person"].endpoints} == {"8000/tcp", "8001/tcp", "8002/tcp", "8003/udp", "9000/tcp"}
    bound = client.inspect_container(env["person"].container_id)["NetworkSettings"]["Ports"]
    published = [each for bindings in bound.values() for each in bindings]
    assert {each["HostIp"] for each in published} == {"127.0.0.1"}
    assert "18001" not in {each["HostPort"] for each in published}


@shows("networks")
def test_the_network_of_the_highest_priority_is_joined_first(env, client):
    mode = client.inspect_container(env["outer"].container_id)["HostConfig"]["NetworkMode"]
    assert mode == f"envspin-{env.name}-front"


@shows("networks", "volumes")
def test_networks_and_volumes_are_made_as_they_are_described(env, client):
    network = client.inspect_network(f"envspin-{env.name}-front")
    volume = client.inspect_volume(f"envspin-{env.name}-data")
    assert (network["Labels"]["team"], volume["Labels"]["team"]) == ("payments", "payments")
    assert client.inspect_volume(f"envspin-{env.name}-sized")["Driver"] == "local"
    internal = [client.inspect_network(f"envspin-{env.name}-{name}")["Internal"] for name in ("inner", "back")]
    assert internal == [True, False]


@shows("build", "platform")
def test_a_built_image_carries_its_labels_and_its_platform(env, client, real_engine):
    image = client.inspect_image(env["built"].image)
    assert image["Config"]["Labels"]["made-for"] == "keys"
    assert f"{image['Os']}/{image['Architecture']}" == real_engine.find_image(TESTBOX).platform


@shows("build")
def test_a_build_without_cache_reuses_no_layer(env):
    stamps = {run(env, name, "cat /stamp") for name in ("stopping", "slow")}
    assert len(stamps) == 2


@shows("build")
def test_a_build_that_pulls_asks_the_registry_for_its_base(real_engine, tmp_path):
    build = f"{{context: ., pull: true, dockerfile_inline: 'FROM {TESTBOX}'}}"
    with pytest.raises(ImageError):
        up_text(real_engine, tmp_path, f"services: {{a: {{build: {build}}}}}")


@shows("platform")
def test_an_image_of_another_platform_is_not_taken(real_engine, tmp_path):
    with pytest.raises(ImageError):
        up_text(real_engine, tmp_path, f"services: {{a: {{image: {TESTBOX}, platform: linux/s390x}}}}")


@shows("healthcheck")
def test_a_healthcheck_that_is_switched_off_gives_way_to_the_port(env):
    """The images of both have a healthcheck that never passes."""
    assert [env[name].state for name in ("built", "inline")] == ["ready", "ready"]


@shows("command")
def test_a_command_as_text_is_split_like_a_shell_does(env):
    assert env["stopping"].logs().splitlines()[:2] == ["one word", "$HOME"]


@shows("entrypoint")
def test_an_entrypoint_as_text_is_split_and_takes_the_command_as_arguments(env):
    assert env["filler"].logs() == "first and second word"


@shows("depends_on", "job")
def test_a_service_starts_once_its_dependencies_are_as_far_as_their_conditions_say(env):
    """It found the job's file and three healthchecks; `slow` became ready by what it did; `broken` has failed."""
    assert env["follower"].logs().splitlines() == ["filled", "3"]
    assert [env[name].state for name in ("slow", "filler", "follower")] == ["ready", "completed", "ready"]


@shows("profiles", "scale")
def test_services_of_active_profiles_are_there_with_all_their_replicas(env):
    assert "never" not in env.services
    assert [each.name for each in env.replicas("on-request")] == ["on-request", "on-request-2"]


@shows("stub", "ready")
def test_a_stub_stands_in_with_its_own_image_and_command(env):
    assert "stand-in" in env["stubbed"].logs()
    assert env["stubbed"].image == TESTBOX
    assert env["alone"].state == "ready"


@shows("secrets")
def test_a_generated_secret_is_the_same_in_the_container_and_in_the_exports(env):
    made = run(env, "files", "cat /run/secrets/made")
    assert len(made) == 12
    assert env.exports["MADE"] == made
    assert env.exports["STUB_URL"] == f"http://127.0.0.1:{env['stubbed'].port}"


@shows("stop_signal", "stop_grace_period")
def test_a_stop_sends_the_signal_and_kills_after_the_grace_period(env):
    stopping = env["stopping"]
    stopping.stop()
    assert stopping.logs().splitlines()[-1] == "signal SIGUSR1"
    assert stopping.describe()["state"] == "exited"


def up_text(engine, folder: Path, text: str, **options):
    path = folder / "compose.yaml"
    path.write_text(text)
    return Environment.up(path, engine=engine, **options)


@shows("timeout")
def test_a_service_has_its_timeout_to_become_ready(real_engine, tmp_path):
    service = f"{{image: {TESTBOX}, command: [], x-envspin: {{timeout: 500ms}}}}"
    with pytest.raises(NotReadyError, match=r"not ready after 0\.5 s"):
        up_text(real_engine, tmp_path, f"services: {{a: {service}}}")


MAKING = """
services:
  a:
    image: envspin-testbox:1
    command: [--listen, "8000"]
    volumes: [{type: bind, source: ./made, target: /made, bind: {create_host_path: MAY}}]
x-envspin: {hermetic: true}
"""


@shows("volumes")
def test_a_bind_whose_folder_must_not_be_made_fails_without_it(real_engine, tmp_path):
    with pytest.raises(EnvspinError, match="made"):
        up_text(real_engine, tmp_path, MAKING.replace("MAY", "false"))
    assert not (tmp_path / "made").exists()


@shows("volumes")
def test_a_bind_makes_its_folder_and_a_hermetic_environment_has_internal_networks(real_engine, client, tmp_path):
    with up_text(real_engine, tmp_path, MAKING.replace("MAY", "true")) as env:
        assert run(env, "a", "touch /made/note && ls /made") == "note"
        assert (tmp_path / "made" / "note").exists()
        assert client.inspect_network(f"envspin-{env.name}-default")["Internal"]


UNSAFE = """
services:
  host:
    image: envspin-testbox:1
    command: [--line, up]
    network_mode: host
    pid: host
    ipc: host
    volumes: [/etc/hostname:/outside:ro]
    x-envspin: {ready: {log: up}}
  guest:
    image: envspin-testbox:1
    command: [--line, up]
    networks: [theirs]
    volumes: [theirs:/theirs]
    x-envspin: {ready: {log: up}}
networks: {theirs: {external: true, name: NAME}}
volumes: {theirs: {external: true, name: NAME}}
"""


@pytest.fixture
def theirs(real_engine, client):
    """A network and a volume that are not envspin's; to remove them fails if envspin has."""
    name = "keys-of-somebody-else"
    real_engine.create_network(NetworkSpec(name, {}))
    real_engine.create_volume(VolumeSpec(name, {}))
    yield name
    client.remove_network(name)
    client.remove_volume(name)


@shows("network_mode", "pid", "ipc", "networks", "volumes")
def test_what_is_unsafe_is_given_where_it_is_allowed(real_engine, client, tmp_path, theirs):
    with up_text(real_engine, tmp_path, UNSAFE.replace("NAME", theirs), allow_unsafe=True) as env:
        settings = client.inspect_container(env["host"].container_id)["HostConfig"]
        assert [settings[key] for key in ("NetworkMode", "PidMode", "IpcMode")] == ["host", "host", "host"]
        assert run(env, "host", f"{ARGUMENTS} | grep -c serve.py") == "0"  # the first process is not its own
        assert run(env, "host", "cat /outside") == Path("/etc/hostname").read_text().rstrip("\n")
        joined = client.inspect_container(env["guest"].container_id)["NetworkSettings"]["Networks"]
        assert [*joined] == [theirs]
        run(env, "guest", "echo hello > /theirs/note")


@shows("privileged")
def test_a_privileged_container_has_every_capability(real_engine, tmp_path):
    text = f"services: {{a: {{image: {TESTBOX}, privileged: true, command: [--listen, '8000']}}}}"
    try:
        started = up_text(real_engine, tmp_path, text, allow_unsafe=True)
    except NotReadyError as error:
        if "unable to apply caps" not in str(error):
            raise
        pytest.skip("this engine lacks capabilities itself, so it cannot give all of them away")
    with started as env:
        assert run(env, "a", has_capability(16)) == "1"


def test_every_honoured_key_is_shown():
    assert {*READERS, *SERVICE_EXTENSION_KEYS} - {*UNBUILT} - SHOWN == set()
