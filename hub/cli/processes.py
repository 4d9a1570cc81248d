"""Commands that run until they are stopped, and `map FILE`, which shares its name with one of them."""

from __future__ import annotations

import argparse

from hub.cli.given import settings_of


def up(arguments: argparse.Namespace) -> int:
    """Everything in one process."""
    from hub import embedded

    # What is not said on the command line is left to the environment.
    chosen = {**({"demo": True} if arguments.demo else {}), **({"simulators": False} if arguments.no_simulators else {})}
    return embedded.up(settings_of(arguments, **chosen))


def connect(arguments: argparse.Namespace) -> int:
    """The connectors."""
    from hub import connecting

    return connecting.connect(settings_of(arguments), arguments.names)


def project(arguments: argparse.Namespace) -> int:
    """The projector."""
    from hub import looping

    return looping.project(settings_of(arguments))


def serve(arguments: argparse.Namespace) -> int:
    """API and pages."""
    from hub import serving

    return serving.serve(settings_of(arguments))


def topics(arguments: argparse.Namespace) -> int:
    """Make the Kafka topics."""
    from hub import looping

    return looping.topics(settings_of(arguments))


def map_(arguments: argparse.Namespace) -> int:
    """Show what files become, or run the mapper."""
    if not arguments.files:
        from hub import looping

        return looping.map_(settings_of(arguments))
    from hub import wiring
    from hub.cli import mapping

    return mapping.run(arguments.files, wiring.all_mappings(), wiring.utc_now(), wanted=arguments.source, as_json=arguments.json)
