"""Reads Privoxy's action and filter files, and says what of them was taken over."""
