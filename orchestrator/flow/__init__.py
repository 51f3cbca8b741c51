"""What happens, in which order: one file a step. Speaks to the world only through `orchestrator.ports`."""
