"""The way to the next server: names, connections, pools. Knows nothing of who asked."""
