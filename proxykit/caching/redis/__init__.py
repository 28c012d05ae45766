"""The store in Redis or Valkey: what several machines share."""
