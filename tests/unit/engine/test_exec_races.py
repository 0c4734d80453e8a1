"""A container may end at any moment of a command: before it begins, or before its exit code is asked for."""

from __future__ import annotations

import pytest
import requests
from docker import errors as docker_errors
from urllib3 import HTTPResponse

from envspin.engine.docker.streams import KILLED, read_exit_code, start_exec
from envspin.errors import ConflictError


class Client:
    """An SDK client that has forgotten the command."""

    base_url, api_version, timeout = "http://engine", "1.41", 60

    def post(self, url, **_):
        response = requests.Response()
        response.status_code, response.url, response.raw = 404, url, HTTPResponse()
        return response

    def exec_inspect(self, _id):
        raise docker_errors.NotFound("No such exec instance")


def test_a_command_whose_container_was_forgotten_counts_as_killed():
    assert read_exit_code(Client(), "1") == KILLED


def test_a_command_that_was_forgotten_before_it_began_is_a_conflict():
    with pytest.raises(ConflictError, match="the container ended before the command began"):
        start_exec(Client(), "1", None)
