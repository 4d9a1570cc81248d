"""Commands that run until they are stopped, and `map FILE`, which shares its name with one of them."""

from __future__ import annotations

import argparse

from hub.cli.given import settings_of


def up(arguments: argparse.Namespace) -> int:
    """Everything in one process."""
    from hub import wiring

    return wiring.up(settings_of(arguments, demo=arguments.demo, simulators=not arguments.no_simulators))


def connect(arguments: argparse.Namespace) -> int:
    """The connectors."""
    from hub import wiring

    return wiring.connect(settings_of(arguments), arguments.names)


def project(arguments: argparse.Namespace) -> int:
    """The projector."""
    from hub import wiring

    return wiring.project(settings_of(arguments))


def serve(arguments: argparse.Namespace) -> int:
    """API and pages."""
    from hub import wiring

    return wiring.serve(settings_of(arguments))


def topics(arguments: argparse.Namespace) -> int:
    """Make the Kafka topics."""
    from hub import wiring

    return wiring.topics(settings_of(arguments))


def map_(arguments: argparse.Namespace) -> int:
    """Show what files become, or run the mapper."""
    from hub import wiring

    if not arguments.files:
        return wiring.map_(settings_of(arguments))
    from hub.cli import mapping

    return mapping.run(arguments.files, wiring.all_mappings(), wiring.utc_now(), wanted=arguments.source, as_json=arguments.json)
