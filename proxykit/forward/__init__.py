"""What only a forward proxy has: any origin as an upstream, and which ones may be reached."""
