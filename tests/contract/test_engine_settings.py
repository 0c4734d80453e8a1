"""Every setting of a ContainerSpec reaches the container: read back from inside a real one."""

from __future__ import annotations

from pathlib import Path

import pytest

from envspin.engine.base import MountSpec
from envspin.errors import EngineError
from envspin.model import Resources, Ulimit

from .images import TESTBOX
from .lab import Lab, pack

pytestmark = pytest.mark.engine


@pytest.fixture
def lab(docker_lab: Lab) -> Lab:
    """Use the real engine only."""
    return docker_lab


def read_limit(lab: Lab, container: str, name: str) -> str:
    """Return a file of the memory, cpu or pids controller, of whichever version of cgroups there is."""
    paths = {
        "memory": ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory.max"),
        "reservation": ("/sys/fs/cgroup/memory/memory.soft_limit_in_bytes", "/sys/fs/cgroup/memory.low"),
        "cpu": ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu.max"),
        "pids": ("/sys/fs/cgroup/pids/pids.max", "/sys/fs/cgroup/pids.max"),
    }
    results = [lab.engine.execute(container, ["cat", path]) for path in paths[name]]
    return next(result.output.split()[0] for result in results if result.exit_code == 0)


def read_mount_options(lab: Lab, container: str, target: str) -> set[str]:
    """Return the options of a mount and its filesystem."""
    for line in lab.execute(container, "cat", "/proc/self/mountinfo").splitlines():
        fields = line.split()
        if fields[4] == target:
            return {*fields[5].split(","), *fields[-1].split(",")}
    return set()


def read_capabilities(lab: Lab, container: str) -> int:
    """Return the bounding set of the main process."""
    status = lab.execute(container, "cat", "/proc/1/status")
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapBnd")), 16)


def test_hostname_and_domain(lab: Lab) -> None:
    container = lab.run(hostname="db", domainname="example.test")
    assert lab.execute(container, "cat", "/etc/hostname") == "db"
    assert lab.execute(container, "cat", "/proc/sys/kernel/domainname") == "example.test"


def test_default_hostname_is_the_short_id(lab: Lab) -> None:
    container = lab.run()
    assert lab.execute(container, "hostname") == container[:12]


def test_command_and_entrypoint(lab: Lab) -> None:
    container = lab.finish(entrypoint=("python3", "-c"), command=("import sys; print(sys.argv)", "a b", "$HOME"))
    assert lab.read_lines(container) == ["['-c', 'a b', '$HOME']"]


def test_image_says_what_is_left_unsaid(lab: Lab) -> None:
    container = lab.run(command=None)
    shown = lab.execute(container, "cat", "/proc/1/cmdline").split("\0")
    assert shown[:3] == ["python3", "-u", "/serve.py"]


def test_user_and_groups(lab: Lab) -> None:
    container = lab.run(user="1234:2345", group_add=("3456",))
    assert lab.execute(container, "id", "-u") == "1234"
    assert lab.execute(container, "id", "-G") == "2345 3456"


def test_process_environment(lab: Lab) -> None:
    container = lab.run(environment={"COLOUR": "blue", "EMPTY": "", "LINES": "a\nb", "EQUAL": "x=y"})
    entries = lab.execute(container, "cat", "/proc/1/environ").split("\0")
    assert {"COLOUR=blue", "EMPTY=", "LINES=a\nb", "EQUAL=x=y"} <= set(entries)


def test_ulimits(lab: Lab) -> None:
    container = lab.run(ulimits=(Ulimit("nofile", 123, 456), Ulimit("core", 0, 0)))
    assert lab.execute(container, "sh", "-c", "ulimit -Sn; ulimit -Hn; ulimit -c") == "123\n456\n0"


def test_sysctls(lab: Lab) -> None:
    container = lab.run(networks=(lab.network(),), sysctls={"net.ipv4.ip_unprivileged_port_start": "77"})
    assert lab.execute(container, "cat", "/proc/sys/net/ipv4/ip_unprivileged_port_start") == "77"


def test_capabilities(lab: Lab) -> None:
    net_admin, chown = 1 << 12, 1 << 0
    usual = read_capabilities(lab, lab.run())
    assert (usual & net_admin, usual & chown) == (0, chown)
    changed = read_capabilities(lab, lab.run(cap_add=("NET_ADMIN",), cap_drop=("CHOWN",)))
    assert (changed & net_admin, changed & chown) == (net_admin, 0)
    assert read_capabilities(lab, lab.run(cap_drop=("ALL",))) == 0


def test_privileged(lab: Lab) -> None:
    sys_module = 1 << 16
    assert not read_capabilities(lab, lab.run()) & sys_module
    try:
        container = lab.run(privileged=True)
    except EngineError as error:
        if "unable to apply caps" not in str(error):
            raise
        pytest.skip("this engine lacks capabilities itself, so it cannot give all of them away")
    assert read_capabilities(lab, container) & sys_module


def test_no_new_privileges(lab: Lab) -> None:
    container = lab.run(security_opt=("no-new-privileges:true",))
    assert "NoNewPrivs:\t1" in lab.execute(container, "cat", "/proc/1/status")


def test_shared_memory_size(lab: Lab) -> None:
    container = lab.run(shm_size=12 << 20)
    assert f"size={12 << 10}k" in read_mount_options(lab, container, "/dev/shm")


def test_read_only_root(lab: Lab) -> None:
    container = lab.run(read_only=True)
    assert lab.engine.execute(container, ["touch", "/note"]).exit_code != 0
    assert lab.engine.execute(lab.run(), ["touch", "/note"]).exit_code == 0


def test_tmpfs(lab: Lab) -> None:
    container = lab.run(mounts=(MountSpec("tmpfs", "/scratch", tmpfs_size=1 << 20, tmpfs_mode=0o1770),))
    assert "size=1024k" in read_mount_options(lab, container, "/scratch")
    assert lab.execute(container, "stat", "-c", "%a", "/scratch") == "1770"
    lab.execute(container, "touch", "/scratch/note")
    lab.engine.kill(container)
    lab.engine.start(container)
    assert lab.execute(container, "ls", "/scratch") == ""


def test_read_only_mounts(lab: Lab, tmp_path: Path) -> None:
    for mount in (MountSpec("volume", "/data", source=lab.volume()), MountSpec("bind", "/data", source=str(tmp_path))):
        fixed = MountSpec(mount.kind, mount.target, source=mount.source, read_only=True)
        lab.execute(lab.run(mounts=(mount,)), "touch", "/data/note")
        container = lab.run(mounts=(fixed,))
        assert lab.execute(container, "ls", "/data") == "note"
        assert lab.engine.execute(container, ["touch", "/data/other"]).exit_code != 0
    assert [path.name for path in tmp_path.iterdir()] == ["note"]


@pytest.mark.parametrize("nocopy", [False, True])
def test_new_volume_takes_the_images_files_unless_told_not_to(lab: Lab, nocopy: bool) -> None:  # noqa: FBT001
    mount = MountSpec("volume", "/etc/apt", source=lab.volume(), nocopy=nocopy)
    listed = lab.execute(lab.run(mounts=(mount,)), "ls", "/etc/apt")
    assert ("sources.list" in listed) is not nocopy


def test_bind_of_a_single_file(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "app.ini"
    path.write_text("colour = blue\n")
    container = lab.run(mounts=(MountSpec("bind", "/etc/app.ini", source=str(path), read_only=True),))
    assert lab.execute(container, "cat", "/etc/app.ini") == "colour = blue"


def test_resources(lab: Lab) -> None:
    limits = Resources(memory=64 << 20, memory_reservation=32 << 20, cpus=0.5, pids=50)
    container = lab.run(resources=limits)
    assert read_limit(lab, container, "memory") == str(64 << 20)
    assert read_limit(lab, container, "reservation") == str(32 << 20)
    assert read_limit(lab, container, "cpu") == "50000"
    assert read_limit(lab, container, "pids") == "50"


def test_extra_hosts(lab: Lab) -> None:
    container = lab.run(networks=(lab.network(),), extra_hosts=("outside:192.0.2.7", "six:2001:db8::7"))
    hosts = [line.split() for line in lab.execute(container, "cat", "/etc/hosts").splitlines()]
    assert ["192.0.2.7", "outside"] in hosts
    assert ["2001:db8::7", "six"] in hosts


def test_name_servers(lab: Lab) -> None:
    container = lab.run(
        networks=(lab.network(),), dns=("192.0.2.53",), dns_search=("example.test",), dns_opt=("ndots:3",)
    )
    shown = lab.execute(container, "cat", "/etc/resolv.conf")
    assert "search example.test" in shown
    assert "ndots:3" in shown


def test_init_is_the_first_process(lab: Lab) -> None:
    assert "serve.py" in lab.execute(lab.run(), "cat", "/proc/1/cmdline")
    assert "init" in lab.execute(lab.run(init=True), "cat", "/proc/1/cmdline").split("\0")[0]


def test_terminal_and_input(lab: Lab) -> None:
    probe = "import sys; print(sys.stdout.isatty(), repr(sys.stdin.read()) if not sys.stdin.isatty() else 'tty')"
    plain = lab.finish(entrypoint=("python3", "-c"), command=(probe,))
    assert lab.read_lines(plain) == ["False ''"]
    terminal = lab.finish(entrypoint=("python3", "-c"), command=(probe,), tty=True, stdin_open=True)
    assert lab.read_lines(terminal) == ["True tty"]


def test_no_network(lab: Lab) -> None:
    container = lab.run(network_mode="none")
    assert lab.execute(container, "ls", "/sys/class/net").split() == ["lo"]


def test_network_of_another_container(lab: Lab) -> None:
    first = lab.run(networks=(lab.network(),), hostname="first")
    second = lab.run(network_mode=f"container:{first}")
    routes = [lab.execute(container, "cat", "/proc/net/fib_trie") for container in (first, second)]
    assert routes[0] == routes[1]


def test_processes_and_memory_of_another_container(lab: Lab) -> None:
    first = lab.run("--line", "first", ipc="shareable")
    second = lab.run("--line", "second", pid=f"container:{first}", ipc=f"container:{first}")
    assert "first" in lab.execute(second, "cat", "/proc/1/cmdline").split("\0")
    lab.execute(first, "touch", "/dev/shm/shared")
    assert lab.execute(second, "ls", "/dev/shm") == "shared"


def test_platform_of_this_machine_is_accepted(lab: Lab) -> None:
    image = lab.engine.find_image(TESTBOX)
    assert image is not None
    container = lab.run("--line", "up", platform=image.platform)
    assert lab.wait_for_line(container, "up") == "up"


def test_files_keep_mode_and_owner(lab: Lab) -> None:
    container = lab.create()
    lab.engine.copy_into(container, pack({"/run/secrets/token": b"x"}, mode=0o440, uid=1234))
    lab.engine.start(container)
    assert lab.execute(container, "stat", "-c", "%a %u", "/run/secrets/token") == "440 1234"


def test_network_options_reach_the_bridge(lab: Lab) -> None:
    network = lab.network(driver_opts={"com.docker.network.driver.mtu": "1400"})
    container = lab.run(networks=(network,))
    assert lab.execute(container, "cat", "/sys/class/net/eth0/mtu") == "1400"
