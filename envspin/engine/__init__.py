"""The seam to the container engine: ``base`` says what is needed, ``docker`` and ``fake`` provide it."""
