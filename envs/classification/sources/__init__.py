"""What there is to classify: images, tables, curves and glyphs, and how they may be changed."""
