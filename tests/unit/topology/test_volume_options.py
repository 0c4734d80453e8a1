"""What the options of a volume may mount without ``--allow-unsafe``."""

from __future__ import annotations

import pytest


def write(options, driver=""):
    return f"services: {{a: {{image: i}}}}\nvolumes: {{v: {{{driver}driver_opts: {options}}}}}\n"


@pytest.mark.parametrize(
    "options",
    [
        "{type: tmpfs, device: tmpfs}",
        "{type: tmpfs, device: /dev/shm, o: 'size=1m,uid=1000'}",
        "{type: none, o: bind, device: data}",
        "{type: none, o: 'ro,rbind', device: ./data}",
        "{type: '', o: bind, device: .}",
        "[type=none, o=bind, device=./data]",
        "{type: '${T:-tmpfs}', device: x}",
        "{}",
        "{size: 1g}",
    ],
)
def test_memory_and_folders_of_the_topology_are_let_through(bench, options):
    assert "v" in bench.load(write(options)).volumes


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ("{type: none, o: bind, device: /etc}", "unsafe-bind-mount"),
        ("{type: none, o: bind, device: ../x}", "unsafe-bind-mount"),
        ("{type: none, o: 'bind,ro', device: ~/x}", "unsafe-bind-mount"),
        ("{type: none, o: 'ro,rbind', device: /}", "unsafe-bind-mount"),
        ("{type: tmpfs, o: bind, device: /etc}", "unsafe-bind-mount"),
        ("{type: nfs, o: bind, device: /etc}", "unsafe-bind-mount"),
        ("{type: '', o: bind, device: /etc}", "unsafe-bind-mount"),
        ("{type: bind, device: /etc}", "unsafe-bind-mount"),
        ("{TYPE: none, O: bind, Device: /etc}", "unsafe-bind-mount"),
        ("{TYPE: overlay, O: 'lowerdir=/etc'}", "unsafe-bind-mount"),
        ("{type: tmpfs, o: move, device: /srv}", "unsafe-bind-mount"),
        ("[type=none, o=bind, device=/etc]", "unsafe-bind-mount"),
        ("{type: none, o: BIND, device: data}", "unsafe-bind-mount"),
        ("{type: NONE, o: ' bind', device: data}", "unsafe-bind-mount"),
        ("{type: '${T}', o: '${O}', device: '${D}'}", "unsafe-bind-mount"),
        ("{type: overlay, device: overlay, o: 'lowerdir=/etc:/root'}", "unsafe-bind-mount"),
        ("{type: ext4, device: /dev/sda1}", "unsafe-bind-mount"),
        ("{type: proc, device: proc}", "unsafe-bind-mount"),
        ("{type: unknown}", "unsafe-bind-mount"),
        ("{device: data}", "unsafe-bind-mount"),
        ("{type: nfs, device: ':/export', o: addr=10.0.0.1}", "unsafe-external"),
        ("{type: nfs4, device: ':/export'}", "unsafe-external"),
        ("{type: cifs, device: //server/share}", "unsafe-external"),
    ],
)
def test_whatever_else_can_be_mounted_needs_trust(bench, options, code):
    bench.environ = {"HOME": "/home/u", "T": "none", "O": "bind", "D": "/etc"}
    assert bench.codes(write(options)) == [code]
    assert "v" in bench.load(write(options), allow_unsafe=True).volumes


def test_a_link_that_leads_outside_is_outside(bench):
    (bench.folder / "link").symlink_to("/etc")
    assert bench.codes(write("{type: none, o: bind, device: link}")) == ["unsafe-bind-mount"]


def test_a_folder_becomes_absolute_and_a_share_stays(bench):
    bound = bench.load(write("{type: none, o: bind, device: data}")).volumes["v"]
    assert bound.driver_opts["device"] == str(bench.folder / "data")
    share = bench.load(write("{type: cifs, device: //server/share}"), allow_unsafe=True).volumes["v"]
    assert share.driver_opts["device"] == "//server/share"


def test_another_driver_needs_trust_and_keeps_its_options(bench):
    text = write("{device: ./x, o: bind}", "driver: vieux/sshfs, ")
    assert bench.codes(text) == ["unsafe-external"]
    volume = bench.load(text, allow_unsafe=True).volumes["v"]
    assert (volume.driver, volume.driver_opts) == ("vieux/sshfs", {"device": "./x", "o": "bind"})


@pytest.mark.parametrize("driver", ["local", "'${X:-}'", "~"])
def test_the_local_driver_needs_no_trust(bench, driver):
    assert bench.load(write("{type: tmpfs, device: tmpfs}", f"driver: {driver}, ")).volumes["v"].driver in (
        "local",
        None,
    )
    assert bench.codes(write("{type: ext4, device: x}", f"driver: {driver}, ")) == ["unsafe-bind-mount"]
