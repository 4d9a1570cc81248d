"""May this person read this section of this plan? One pure decision over typed facts, and the words for its reasons."""
