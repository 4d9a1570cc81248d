"""The hub: two logs, a mapper between them, views folded from them, and one door."""
