"""Numbers, durations, sizes, ports."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envspin.model import Port
from envspin.topology import values
from envspin.topology.render import format_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10s", 10),
        ("1m30s", 90),
        ("1.5s", 1.5),
        ("500ms", 0.5),
        ("2h", 7200),
        ("1h2m3s4ms", 3723.004),
        ("0", 0),
        ("5us", 5e-06),
        ("5µs", 5e-06),
        ("7ns", 7e-09),
        (".5s", 0.5),
        ("1.s", 1),
    ],
)
def test_durations(text, seconds):
    assert values.to_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "10", "s", "-1s", "1 s", "1d", "1s2", "1e3s", "ten"])
def test_no_durations(text):
    with pytest.raises(ValueError, match=r"unit|not a duration"):
        values.to_duration(text)


@pytest.mark.parametrize("text", ["999999999999h", "9223372036.9s", "2562047h48m"])
def test_durations_beyond_the_engines_are_refused(text):
    with pytest.raises(ValueError, match="292 years"):
        values.to_duration(text)


@given(st.integers(min_value=0, max_value=10**15))
def test_durations_survive_formatting(nanoseconds):
    seconds = nanoseconds / 1e9
    assert values.to_duration(format_duration(seconds)) == pytest.approx(seconds, abs=1e-9)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("64", 64),
        ("1b", 1),
        ("1k", 1024),
        ("64m", 64 << 20),
        ("1.5g", 3 << 29),
        ("2GB", 2 << 30),
        ("1MiB", 1 << 20),
    ],
)
def test_sizes(text, size):
    assert values.to_size(text) == size


@pytest.mark.parametrize("text", ["999999999999999p", "8192p"])
def test_sizes_beyond_the_engines_are_refused(text):
    with pytest.raises(ValueError, match="8 EiB"):
        values.to_size(text)


@pytest.mark.parametrize("text", ["", "m", "-1", "1x", "1.2.3m", "1 000"])
def test_no_sizes(text):
    with pytest.raises(ValueError, match="not a size"):
        values.to_size(text)


@pytest.mark.parametrize(
    ("text", "containers", "protocol", "published"),
    [
        ("80", [80], "tcp", ""),
        ("8080:80", [80], "tcp", "8080"),
        ("22:22", [22], "tcp", "22"),
        ("53/udp", [53], "udp", ""),
        ("127.0.0.1:8080:80/TCP", [80], "tcp", "127.0.0.1:8080"),
        ("127.0.0.1::80", [80], "tcp", "127.0.0.1:"),
        ("[::1]:80:81", [81], "tcp", "[::1]:80"),
        ("0:80", [80], "tcp", "0"),
        ("3000-3002", [3000, 3001, 3002], "tcp", ""),
        ("4000-4001:3000-3001/sctp", [3000, 3001], "sctp", "4000-4001"),
        ("9000-9005:80", [80], "tcp", "9000-9005"),
    ],
)
def test_short_ports(text, containers, protocol, published):
    assert values.to_ports(text) == ([Port(each, protocol) for each in containers], published)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("web", "not a port"),
        ("", "not a port"),
        ("80:", "not a port"),
        (":80", "not a port mapping"),
        ("0", "between 1 and 65535"),
        ("65536", "between 1 and 65535"),
        ("80/icmp", "unknown protocol"),
        ("90-80", "backwards"),
        ("1-2000", "more than 1000"),
        ("1-3:1-2", "different length"),
        ("99999999999", "not a port"),
    ],
)
def test_no_ports(text, reason):
    with pytest.raises(ValueError, match=reason):
        values.to_ports(text)


@pytest.mark.parametrize(
    ("text", "plain", "mode"),
    [("0440", True, 0o440), ("0o440", True, 0o440), ("288", True, 0o440), ("440", False, 0o440), ("0", True, 0)],
)
def test_modes(text, plain, mode):
    assert values.to_mode(text, plain=plain) == mode


@pytest.mark.parametrize("text", ["", "rw", "0888", "-1", "99999", "077777"])
def test_no_modes(text):
    with pytest.raises(ValueError, match="permissions"):
        values.to_mode(text, plain=True)


@pytest.mark.parametrize("text", ["1", "", "truth", "tRue"])
def test_no_truth_values(text):
    with pytest.raises(ValueError, match="true or false"):
        values.to_boolean(text)


def test_command_lines_are_split_like_a_shell_does():
    assert values.split_words("a 'b  c' \"d e\" f\\ g") == ("a", "b  c", "d e", "f g")
    with pytest.raises(ValueError, match="no closing quotation"):
        values.split_words("a 'b")
    with pytest.raises(ValueError, match="longer than 32 KiB"):
        values.split_words("x " * 100_000)


def test_whole_numbers_have_bounds():
    assert values.to_integer("0x10") == 16
    assert values.to_integer("007") == 7
    for text in ("1.5", "one", "9" * 40):
        with pytest.raises(ValueError, match="whole number"):
            values.to_integer(text)
    with pytest.raises(ValueError, match="at least 1"):
        values.to_integer("0", 1)
    with pytest.raises(ValueError, match="at most 9"):
        values.to_integer("10", 1, 9)


def reason_of(convert, text):
    try:
        convert(text)
    except ValueError as error:
        return str(error)
    return ""


@given(st.text(max_size=30))
def test_messages_never_repeat_the_value(text):
    """The value may be a secret that came from a variable."""
    marked = f"\N{SNOWMAN}{text}\N{SNOWMAN}"
    for convert in (values.to_ports, values.to_exposed, values.to_duration, values.to_size, values.split_words):
        assert "\N{SNOWMAN}" not in reason_of(convert, marked)
