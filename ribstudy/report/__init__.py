"""What the chapters of the book share: their start and end, tables, figures, published values."""
