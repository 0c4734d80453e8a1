"""Doing what was planned: the runner, the probes, environments and their removal."""
