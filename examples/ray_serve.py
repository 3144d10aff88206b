"""The server on many machines: as many copies as the load asks for, behind one address.

    pip install 'aoide[serve]' 'ray[serve]'
    serve run examples.ray_serve:deployment

Each copy is the application of `aoide serve`, with its own voices and its own line of sentences; Ray sends a request to
one that has room. Keys come from the environment variable AOIDE_KEYS, separated by commas;
without one only programs on the same machine are answered.
"""

from fastapi import FastAPI
from ray import serve

from aoide.serve import create_app
from aoide.serve.settings import Settings, keys_of_environment

CORES = 2  # of one copy


def application() -> FastAPI:
    """Made in the copy, not before: a voice that is loaded cannot travel."""
    return create_app(Settings(threads=CORES, waiting=32, keys=keys_of_environment()))


copies = serve.deployment(
    serve.ingress(application)(),
    name="Aoide",
    ray_actor_options={"num_cpus": CORES},
    max_ongoing_requests=32,
    autoscaling_config={"min_replicas": 1, "max_replicas": 16, "target_ongoing_requests": 8},
)
deployment = copies.bind()
