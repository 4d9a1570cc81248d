#!/usr/bin/env bash
# Installs what the tests run on and a Debian machine may lack: Java and the Kafka jars, PostgreSQL, Chromium and fonts.
# Only what is missing is fetched. What cannot be had is said, and the script still ends with 0: the tests then skip what
# needs it, with a count at the end (or fail, with CI=true).
set -u
here=$(cd "$(dirname "$0")" && pwd)
kafka="$here/kafka"
missing=()

say() { printf 'parts: %s\n' "$*"; }

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

# The Debian packages whose programs or files are not here yet.
wanted=()
need_package() { [ "$1" = yes ] || wanted+=("$2"); }
have() { command -v "$1" >/dev/null 2>&1 && echo yes || echo no; }
have_file() { compgen -G "$1" >/dev/null && echo yes || echo no; }

jars_good() { (cd "$kafka/lib" 2>/dev/null && sha256sum --check --quiet --strict ../jars.sha256 >/dev/null 2>&1); }

need_package "$(have java)" default-jre-headless
jars_good || need_package "$(have mvn)" maven
need_package "$(have_file '/usr/lib/postgresql/*/bin/initdb')" postgresql
need_package "$(have chromium)" chromium
need_package "$(have_file '/usr/share/fonts/truetype/noto/NotoSans-Regular.ttf')" fonts-noto-core

if [ ${#wanted[@]} -gt 0 ]; then
  say "installing ${wanted[*]}"
  # The lists of an image are often stale, so they are fetched first; one package that fails must not keep the others out.
  as_root apt-get update -qq >/dev/null 2>&1 || say "apt-get update failed; trying with the lists that are here"
  for package in "${wanted[@]}"; do
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >/dev/null 2>&1 \
      || missing+=("$package")
  done
fi

# The jars: exactly those of the list, nothing more.
if ! jars_good; then
  if [ "$(have mvn)" = yes ]; then
    say "fetching the Kafka jars"
    rm -rf "$kafka/lib"
    mvn -B -q -ntp -f "$kafka/pom.xml" dependency:copy-dependencies >/dev/null 2>&1 || true
  fi
  jars_good || missing+=("the Kafka jars of deploy/kafka/jars.sha256")
fi

if [ ${#missing[@]} -gt 0 ]; then
  say "!!! could not be had: ${missing[*]}"
  say "!!! the tests that need them will be skipped (they fail with CI=true)"
else
  say "all there"
fi
exit 0
