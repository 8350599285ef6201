"""The presets: named settings as `.yml` files, each value with its source. There is no code here."""
