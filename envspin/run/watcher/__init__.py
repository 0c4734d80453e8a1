"""The watcher: a detached process that outlives its owner and removes what that owner could not.

``waiting.py`` is the process while its owner lives, ``removal.py`` what it becomes afterwards, ``process.py`` the
owner's end of it, and ``journal.py`` what one run of the owner tells it. The idea of a reaper that survives the tests
is Ryuk's (testcontainers/moby-ryuk); this one needs no container, no privileges and no engine socket within one.
"""
