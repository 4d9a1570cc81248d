"""The real parts that tests run on: Apache Kafka and PostgreSQL, started from what `deploy/parts.sh` installs."""


class PartMissing(Exception):
    """Something that `deploy/parts.sh` installs is not on this machine."""
