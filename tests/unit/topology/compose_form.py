"""What `docker compose config --format json` says, brought into one form for comparison.

Everything is compared, apart from what the tables here name. What envspin says in another way that means the same
(limits, tmpfs, ports, targets of secrets) is said in one way.
"""

from __future__ import annotations

from envspin.topology import values
from envspin.topology.keys import REPLACED_SERVICE_KEYS

NOT_KEPT = {
    # a name per environment; a warning says so
    "networks": ("name", "driver", "ipam", "attachable", "enable_ipv6"),
    "volumes": ("name",),
    "configs": ("name", "labels"),
    "secrets": ("name", "labels"),
    # what `REPLACED_SERVICE_KEYS` gives a reason for, and links, which become aliases and an order of start
    "service": (*REPLACED_SERVICE_KEYS, "links"),
    # caches and attestations change no image that a test sees
    "build": ("cache_from", "cache_to", "tags", "provenance", "sbom", "no_cache_filter"),
    # a dependency that restarts during a test is a finding
    "depends_on": ("restart",),
    # relabelling and consistency are matters of the host
    "mount": ("consistency",),
    "bind": ("selinux",),
    # the networks come in the order of their priority, which is what it is for
    "attachment": ("priority",),
}
SECONDS = ("interval", "timeout", "start_period", "start_interval")


def to_form(data):
    """Return Compose's answer in the form in which answers are compared."""
    form = {"name": data["name"]}
    for section in ("networks", "volumes", "configs", "secrets"):
        entries = data.get(section) or {}
        form[section] = {name: top_level(section, entry or {}) for name, entry in entries.items()}
    form["services"] = {name: service_form(service) for name, service in data["services"].items()}
    for service in data["services"].values():
        add_links(form["services"], service.get("links") or [])
    return form


def top_level(section, entry):
    kept = () if not entry.get("external") else ("name",)
    return without(entry, *(key for key in NOT_KEPT[section] if key not in kept))


def without(data, *keys):
    """Return a mapping without these keys, extensions and what says nothing."""
    return {
        key: value
        for key, value in data.items()
        if key not in keys and not key.startswith("x-") and value not in (None, False, "", [], {})
    }


def service_form(service):
    form = without(service, *NOT_KEPT["service"], *FORMS, "tmpfs", "deploy", *LIMITS)
    for key, convert in FORMS.items():
        value = convert(service.get(key))
        if value:
            form[key] = value
    mounts = [mount_form(mount) for mount in service.get("volumes") or []]
    mounts += [tmpfs_form(text) for text in service.get("tmpfs") or []]
    form["volumes"] = {mount["target"]: mount for mount in mounts}
    form["limits"] = limits_form(service)
    return form


def add_links(services, links):
    """Give the targets of links the names that the links make up, on all their networks."""
    for link in links:
        target, _, alias = link.partition(":")
        for network in services[target]["networks"].values():
            network["aliases"] = sorted({*network["aliases"], *([alias] if alias not in ("", target) else [])})


def environment_form(given):
    # a name without a value that nobody gives one: neither hands it to the container
    return {key: value for key, value in (given or {}).items() if value is not None}


def ports_form(ports):
    # the published side is chosen anew for each environment
    return sorted({(port["target"], port.get("protocol", "tcp")) for port in ports or []})


def expose_form(texts):
    return sorted({str(port) for text in texts or [] for port in values.to_exposed(str(text))})


def dependencies_form(dependencies):
    return {name: without(entry, *NOT_KEPT["depends_on"]) for name, entry in (dependencies or {}).items()}


def networks_form(networks):
    return {
        name: {**without(entry or {}, *NOT_KEPT["attachment"]), "aliases": sorted((entry or {}).get("aliases") or [])}
        for name, entry in (networks or {}).items()
    }


def mount_form(mount):
    form = without(mount, *NOT_KEPT["mount"], "bind", "target")
    form["target"] = "/" + mount["target"].strip("/")
    if mount["type"] == "bind":
        form["source"] = mount["source"].rstrip("/") or "/"
        form["bind"] = {"create_host_path": True, **without(mount.get("bind") or {}, *NOT_KEPT["bind"])}
    return form


def tmpfs_form(text):
    target, _, options = text.partition(":")
    pairs = dict(option.partition("=")[::2] for option in options.split(",") if option)
    form = {"type": "tmpfs", "target": target, "read_only": "ro" in pairs}
    size, mode = pairs.get("size"), pairs.get("mode")
    form["tmpfs"] = without({"size": size and str(values.to_size(size)), "mode": mode and int(mode, 8)})
    return without(form)


def grants_form(folder):
    def convert(grants):
        found = []
        for grant in grants or []:
            target = grant.get("target") or grant["source"]
            ids = {"uid": grant.get("uid") or "0", "gid": grant.get("gid") or "0"}
            mode = grant.get("mode") or 0o444
            found.append({**grant, **ids, "mode": mode, "target": target if target[0] == "/" else folder + target})
        return sorted(found, key=lambda grant: grant["target"])

    return convert


def healthcheck_form(check):
    form = without(check or {}, *SECONDS)
    if form.get("test") == ["NONE"] or form.get("disable"):
        return {"disable": True}
    return form | {key: values.to_duration(check[key]) for key in SECONDS if check and check.get(key)}


def duration_form(text):
    return text and values.to_duration(text)


def build_form(build):
    form = without(build or {}, *NOT_KEPT["build"], "args", "extra_hosts")
    if build and not form.get("dockerfile_inline"):
        form.setdefault("dockerfile", "Dockerfile")
    form["args"] = environment_form((build or {}).get("args"))
    form["extra_hosts"] = hosts_form((build or {}).get("extra_hosts"))
    return without(form)


def hosts_form(hosts):
    # saying the same twice changes nothing
    return sorted(set(hosts or []))


def groups_form(groups):
    # naming a group twice changes nothing
    return sorted({str(group) for group in groups or []})


def ulimits_form(ulimits):
    return {
        name: entry if isinstance(entry, dict) else {"soft": entry, "hard": entry}
        for name, entry in (ulimits or {}).items()
    }


LIMITS = ("mem_limit", "mem_reservation", "cpus", "pids_limit", "scale")


def limits_form(service):
    """Return limits and count, whether they stand under `deploy` or beside it."""
    deploy = service.get("deploy") or {}
    limits = (deploy.get("resources") or {}).get("limits") or {}
    reserved = (deploy.get("resources") or {}).get("reservations") or {}
    counts = (service.get("scale"), deploy.get("replicas"))
    return {
        "memory": service.get("mem_limit") or limits.get("memory"),
        "reserved": service.get("mem_reservation") or reserved.get("memory"),
        "cpus": float(service.get("cpus") or limits.get("cpus") or 0),
        "pids": service.get("pids_limit") or limits.get("pids") or -1,
        "replicas": next((count for count in counts if count is not None), 1),
    }


FORMS = {
    "environment": environment_form,
    "ports": ports_form,
    "expose": expose_form,
    "depends_on": dependencies_form,
    "networks": networks_form,
    "configs": grants_form("/"),
    "secrets": grants_form("/run/secrets/"),
    "healthcheck": healthcheck_form,
    "stop_grace_period": duration_form,
    "build": build_form,
    "extra_hosts": hosts_form,
    "group_add": groups_form,
    "ulimits": ulimits_form,
}


def differences(ours, theirs, path=""):
    """Return where two forms differ, as `path: ours, theirs`."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        found = []
        for key in (*ours, *(key for key in theirs if key not in ours)):
            found += differences(ours.get(key), theirs.get(key), f"{path}.{key}" if path else key)
        return found
    return [] if ours == theirs else [f"{path}: {ours!r}, {theirs!r}"]
