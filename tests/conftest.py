"""Hypothesis for the whole suite: no deadlines (shared cores), and the same examples every time.

A suite that newcomers and CI run must not fail by chance. To look for new counter-examples:
``pytest --hypothesis-profile=random``, or ``unshrunk`` to see fast whether there are any.
"""

from __future__ import annotations

import signal

from hypothesis import HealthCheck, Phase, settings

# A suite started in the background of a shell ignores SIGINT, and its children inherit that; but an interrupt is how
# submitit's local jobs are stopped.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile(
    "default",
    deadline=None,
    max_examples=40,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.register_profile("random", settings.get_profile("default"), derandomize=False)
settings.register_profile("unshrunk", settings.get_profile("random"), phases=[Phase.explicit, Phase.generate])
settings.load_profile("default")
