"""The store on disk: an index in LMDB, a file for each body, shared by a machine's workers."""
