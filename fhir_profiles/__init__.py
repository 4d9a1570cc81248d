"""The words of the hub: identifiers, codes, concepts, refusals and the R4 check. Nothing here knows of machinery."""
