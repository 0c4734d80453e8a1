"""Compose's words: keys from the loader's own tables, and for each kind of value those that are right or nearly so."""

from __future__ import annotations

from envspin.topology.compose import TOP_LEVEL_KEYS
from envspin.topology.keys import REPLACED_SERVICE_KEYS, UNSUPPORTED_SERVICE_KEYS, UNSUPPORTED_TOP_LEVEL_KEYS
from envspin.topology.service import READERS

HONOURED_KEYS = list(READERS)
OTHER_KEYS = [*REPLACED_SERVICE_KEYS, *UNSUPPORTED_SERVICE_KEYS]
SERVICE_KEYS = [*HONOURED_KEYS, *OTHER_KEYS, "x-envspin", "x-other", "imgae", "dependson"]
TOP_KEYS = [*TOP_LEVEL_KEYS, *UNSUPPORTED_TOP_LEVEL_KEYS, "x-other", "service"]
NESTED_KEYS = ["source", "target", "type", "published", "protocol", "mode", "read_only", "tmpfs", "size"]
NESTED_KEYS += ["bind", "volume", "test", "interval", "retries", "disable", "condition", "required"]
NESTED_KEYS += ["aliases", "context", "dockerfile", "args", "resources", "limits", "reservations", "cpus"]
NESTED_KEYS += ["memory", "replicas", "soft", "hard", "file", "service", "path", "format", "external"]
NESTED_KEYS += ["content", "environment", "internal", "driver", "generate", "ready", "stub", "reset"]
NESTED_KEYS += ["timeout", "job", "tcp", "http", "log", "exec", "postgres", "exports", "matrix"]

PLAIN = ["", "null", "~", "true", "no", "0", "1", "-1", "1.10", "0x1F", "0o17", "1e3", "1_000", ".inf", "22:22"]
PLAIN += ["2001-01-01", "yes", "off", "=", "!", "1.", "+1", "0b1", "Null", ".NaN"]
TEXTS = ["i", "img:1", "a", "b", "nginx", "./x", "/x", "~/x", "../x", "data", "x y", "'q'", '"', "a=b", "=b", "a="]
TEXTS += ["K: v", "é", "ü\u0308", "\u202e", "\U0001f600", "\ufeff", "\u2028", "\x85", "\x07", "a\nb", " a ", "\t"]
NUMBERS = ["65535", "65536", "99999999999999999999", "9" * 400, "-0", "+5", "1" * 18, "0.1", "1e308", "00", "08", "٣"]

DURATIONS = ["10s", "1m30s", "500ms", "2h", "1.5h", "0.1ns", "1µs"]
BAD_DURATIONS = ["0", "10", "-1s", "1d", "9" * 12 + "h", "s", "1s1", "${SECRET}"]
SIZES = ["64m", "1.5gb", "512k", "4194304", "64 mb", "64MiB"]
BAD_SIZES = ["0", "1x", "-1m", "9" * 15 + "p", "${SECRET}"]
PORTS = [
    "80",
    "8080:80",
    "127.0.0.1:80:80",
    "[::1]:80:80/udp",
    "3000-3005",
    "3000-3005:80",
    "9000-9001:80-81",
    "53/udp",
]
PORTS += ["${PORT}", "${PORT}:80", "80:${PORT}"]
BAD_PORTS = ["0", "65536", "80:", ":80", "80-70", "1-1001", "a:b", "80/xtp", "1:2:3:4", "-", "${SECRET}:80"]
EXPOSED = ["80", "3000-3005", "53/udp", "${PORT}"]
MOUNTS = ["data:/data", "./x:/x:ro", "/x", "data:/x:rw,z", "more:/m:nocopy", "./${A}:/a//b/"]
BAD_MOUNTS = ["~/x:/x", "/var/run/docker.sock:/s", "data:data", ":/x", "a:b:c:d", "../x:/x", "/:/host", "nope:/n"]
BAD_MOUNTS += ["/c:\\x", "data:/x:${SECRET}", "${SECRET}:/x", "/a:/b:nocopy", "."]
VARIABLES = ["${A}", "$A", "${SECRET}", "${DB_PASSWORD}", "${UNSET}", "${UNSET:-d}", "${A:+x}", "${EMPTY:-${SECRET}}"]
VARIABLES += ["$$A", "$", "${PORT}", "x${SECRET}y", "$1", "${API_TOKEN}"]
BAD_VARIABLES = ["${", "${}", "${A!}", "${A", "${UNSET:?m}", "${BIG}"]
VALUES = [*PLAIN, *TEXTS, *NUMBERS, *DURATIONS, *BAD_DURATIONS, *SIZES, *BAD_SIZES, *PORTS, *BAD_PORTS, *MOUNTS]
VALUES += [*BAD_MOUNTS, *VARIABLES, *BAD_VARIABLES, "service_healthy", "host", "none", "[]", "{}"]
