"""The declarations in the words of public standards, for tools that know those: one file per kind, pure functions all.

``bus`` says what is exported, ``origins`` where each field of a delivery comes from; ``asyncapi``, ``odcs``, ``odcs_delivery``,
``openlineage``, ``picture`` with ``layout`` and ``svg``, and ``strimzi`` write. Neighbours: ``hutong export`` is the command, the
catalogue and ``control.desired`` are what everything here is made from.
"""
