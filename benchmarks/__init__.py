"""Peers side by side: envspin, Docker Compose, testcontainers and pytest-docker on the same services.

``python -m benchmarks`` runs them interleaved from one process, keeps every raw sample in ``results/latest.json`` and
writes the tables of the README to ``results/README-table.md``. ``--only topology`` needs no engine: it measures how
files are loaded, ordered and refused, into ``results/topology.json``.
"""
