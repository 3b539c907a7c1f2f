"""The wire between hub and central: vocabulary, records, seal, signatures, frames, uplinks."""
