"""The logs: what happened, in order, sealed. All else can be rebuilt from them."""
