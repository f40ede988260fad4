"""The StarVCenter wire: how operations look from outside. The legacy spelling lives here and in api.operations only."""
