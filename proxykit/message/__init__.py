"""HTTP messages as values: fields, targets, requests, responses. Knows no sockets."""
